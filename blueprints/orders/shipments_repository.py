"""The one shipment of an order, as an intent before the provider is asked and as a fact after."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row, dict_row

from blueprints.orders.models import Address, Booking, Parcel
from shared.db import Transaction

INTEND_TO_BOOK = """
    INSERT INTO orders.shipments (order_id, status)
    VALUES (%(order_id)s, 'booking')
    ON CONFLICT (order_id) DO NOTHING
"""
BOOKED = """
    UPDATE orders.shipments
    SET status = 'booked', provider_id = %(provider_id)s, tracking_number = %(tracking_number)s,
        booked_at = clock_timestamp()
    WHERE order_id = %(order_id)s AND status = 'booking'
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
    status: Literal["booking", "booked", "refused", "cancelling", "cancelled"]
    provider_id: str | None
    tracking_number: str | None
    refusal: str | None
    requested_at: datetime
    booked_at: datetime | None
    cancelled_at: datetime | None


async def intend_to_book(tx: Transaction, order_id: UUID) -> Shipment:
    """The shipment to book, made if there was none; whoever had one before keeps its status."""
    await tx.execute(INTEND_TO_BOOK, {"order_id": order_id})
    shipment = await of_order(tx, order_id)
    assert shipment is not None, "shipments are never deleted"
    return shipment


async def intend_to_cancel(tx: Transaction, order_id: UUID) -> Shipment:
    """The shipment to cancel: `cancelling` if the provider has to be asked."""
    await tx.execute(INTEND_TO_CANCEL, {"order_id": order_id})
    shipment = await of_order(tx, order_id)
    assert shipment is not None, "shipments are never deleted"
    return shipment


async def note_booked(tx: Transaction, order_id: UUID, booking: Booking) -> None:
    """The provider has booked it. Changes nothing once the shipment has left `booking`."""
    await tx.execute(
        BOOKED,
        {
            "order_id": order_id,
            "provider_id": booking.provider_id,
            "tracking_number": booking.tracking_number,
        },
    )


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
    if row is None:
        return None
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
