"""The one shipment of an order, as an intent before the provider is asked and as a fact after."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row, dict_row

from blueprints.orders.fulfilment_models import Booking, Parcel, Standing
from blueprints.orders.models import Address
from shared.db import Transaction

type ShipmentStatus = Literal["booking", "booked", "refused", "cancelling", "cancelled"]

# The intent, and everything that the provider has to be told, in one round trip. A shipment that
# somebody else makes at the same time is seen by neither half of the statement: then the status is
# NULL and has to be read again.
INTEND_TO_BOOK = """
    WITH wanted AS (
        SELECT id, customer_id, status, version, cancelled_from, shipping_service, weight_g,
            ship_name, ship_line1, ship_line2, ship_city, ship_postal_code, ship_country
        FROM orders.orders
        WHERE id = %(order_id)s
    ), intent AS (
        INSERT INTO orders.shipments (order_id, status)
        SELECT id, 'booking'
        FROM wanted
        WHERE status = 'placed'
        ON CONFLICT (order_id) DO NOTHING
        RETURNING order_id, status
    )
    SELECT
        w.id, w.customer_id, w.status, w.version, w.cancelled_from, w.shipping_service,
        w.weight_g, w.ship_name, w.ship_line1, w.ship_line2, w.ship_city, w.ship_postal_code,
        w.ship_country, coalesce(i.status, s.status) AS shipment_status, s.refusal
    FROM wanted AS w
    LEFT JOIN intent AS i ON i.order_id = w.id
    LEFT JOIN orders.shipments AS s ON s.order_id = w.id
"""
BOOKED = """
    UPDATE orders.shipments
    SET status = 'booked', provider_id = %(provider_id)s, tracking_number = %(tracking_number)s,
        booked_at = clock_timestamp()
    WHERE order_id = %(order_id)s AND status = 'booking'
    RETURNING true
"""
REFUSED = """
    UPDATE orders.shipments
    SET status = 'refused', refusal = %(refusal)s
    WHERE order_id = %(order_id)s AND status = 'booking'
"""
# An order without a shipment gets one that is cancelled from the start: a booking that is still on
# its way through a stalled process finds it and stops.
INTEND_TO_CANCEL = """
    INSERT INTO orders.shipments AS s (order_id, status, cancelled_at)
    VALUES (%(order_id)s, 'cancelled', clock_timestamp())
    ON CONFLICT (order_id) DO UPDATE
    SET status = 'cancelling'
    WHERE s.status IN ('booking', 'booked')
"""
CANCELLED = """
    UPDATE orders.shipments
    SET status = 'cancelled', cancelled_at = clock_timestamp(),
        provider_id = coalesce(provider_id, %(provider_id)s),
        tracking_number = coalesce(tracking_number, %(tracking_number)s),
        booked_at = coalesce(booked_at, %(booked_at)s)
    WHERE order_id = %(order_id)s AND status = 'cancelling'
"""
OF_ORDER = """
    SELECT order_id, status, provider_id, tracking_number, refusal, requested_at, booked_at,
        cancelled_at
    FROM orders.shipments
    WHERE order_id = %(order_id)s
"""
PARCEL = """
    SELECT id, shipping_service, weight_g, ship_name, ship_line1, ship_line2, ship_city,
        ship_postal_code, ship_country
    FROM orders.orders
    WHERE id = %(order_id)s
"""


@dataclass(frozen=True, slots=True)
class Shipment:
    """What we know of an order's shipment."""

    order_id: UUID
    status: ShipmentStatus
    provider_id: str | None
    tracking_number: str | None
    refusal: str | None
    requested_at: datetime
    booked_at: datetime | None
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Intent:
    """An order about to be shipped; `shipment_status` is None if it must be read again."""

    order: Standing
    parcel: Parcel
    shipment_status: ShipmentStatus | None
    refusal: str | None


async def intend_to_book(tx: Transaction, order_id: UUID) -> Intent | None:
    """The order with its shipment, now `booking` if there was none and the order is `placed`.

    None if there is no such order. One statement.
    """
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(INTEND_TO_BOOK, {"order_id": order_id})).fetchone()
    if row is None:
        return None
    return Intent(
        order=Standing(
            id=row["id"],
            customer_id=row["customer_id"],
            status=row["status"],
            version=row["version"],
            cancelled_from=row["cancelled_from"],
        ),
        parcel=_parcel(row),
        shipment_status=row["shipment_status"],
        refusal=row["refusal"],
    )


async def intend_to_cancel(tx: Transaction, order_id: UUID) -> Shipment:
    """The shipment to cancel: `cancelling` if the provider has to be asked."""
    await tx.execute(INTEND_TO_CANCEL, {"order_id": order_id})
    shipment = await of_order(tx, order_id)
    assert shipment is not None, "shipments are never deleted"
    return shipment


async def note_booked(tx: Transaction, order_id: UUID, booking: Booking) -> bool:
    """Whether this made the shipment `booked`; it may have left `booking` meanwhile."""
    booked = await tx.execute(
        BOOKED,
        {
            "order_id": order_id,
            "provider_id": booking.provider_id,
            "tracking_number": booking.tracking_number,
        },
    )
    return await booked.fetchone() is not None


async def note_refused(tx: Transaction, order_id: UUID, refusal: str) -> None:
    """The provider will not take it. Changes nothing once the shipment has left `booking`."""
    await tx.execute(REFUSED, {"order_id": order_id, "refusal": refusal})


async def note_cancelled(
    tx: Transaction, order_id: UUID, resolved: Booking | None, booked_at: datetime | None
) -> None:
    """Nothing will be delivered; `resolved` is a booking whose answer had been lost."""
    await tx.execute(
        CANCELLED,
        {
            "order_id": order_id,
            "provider_id": resolved.provider_id if resolved else None,
            "tracking_number": resolved.tracking_number if resolved else None,
            "booked_at": booked_at,
        },
    )


async def of_order(tx: Transaction, order_id: UUID) -> Shipment | None:
    """The order's shipment; None if nobody has asked for one."""
    async with tx.cursor(row_factory=class_row(Shipment)) as cursor:
        return await (await cursor.execute(OF_ORDER, {"order_id": order_id})).fetchone()


async def parcel(tx: Transaction, order_id: UUID) -> Parcel | None:
    """What the provider is told of the order; None if there is no such order."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(PARCEL, {"order_id": order_id})).fetchone()
    return None if row is None else _parcel(row)


def _parcel(row: dict[str, Any]) -> Parcel:
    return Parcel(
        order_id=row["id"],
        service=row["shipping_service"],
        weight_g=row["weight_g"],
        address=Address(
            name=row["ship_name"],
            line1=row["ship_line1"],
            line2=row["ship_line2"],
            city=row["ship_city"],
            postal_code=row["ship_postal_code"],
            country=row["ship_country"],
        ),
    )
