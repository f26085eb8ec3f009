"""The provider's register of parcels."""

import json
import secrets
import sqlite3

from localcloud.partners.shipping.models import BookingRequest, JourneyStatus
from localcloud.partners.store import Answer, JsonObject, Store, now, once, record
from localcloud.partners.web import Refused, fingerprint
from localcloud.partners.webhooks import Webhooks

SCHEMA = """
    CREATE TABLE IF NOT EXISTS shipments (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        reference TEXT NOT NULL,
        service TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('booked', 'cancelled')),
        weight_g INTEGER NOT NULL,
        address TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS shipments_by_reference ON shipments (reference, number);
    CREATE TABLE IF NOT EXISTS journeys (
        shipment_id TEXT PRIMARY KEY REFERENCES shipments (id),
        status TEXT NOT NULL CHECK (status IN ('collected', 'delivered'))
    ) STRICT;
"""
INSERT = """
    INSERT INTO shipments (id, reference, service, status, weight_g, address, created_at)
    VALUES (:id, :reference, :service, 'booked', :weight_g, :address, :created_at)
"""
BY_ID = """
    SELECT s.number, s.id, s.reference, s.service, coalesce(j.status, s.status) AS status
    FROM shipments AS s
    LEFT JOIN journeys AS j ON j.shipment_id = s.id
    WHERE s.id = :id
"""
BY_REFERENCE = """
    SELECT s.number, s.id, s.reference, s.service, coalesce(j.status, s.status) AS status
    FROM shipments AS s
    LEFT JOIN journeys AS j ON j.shipment_id = s.id
    WHERE s.reference = :reference
    ORDER BY s.number
    LIMIT 100
"""
CANCEL = """
    UPDATE shipments
    SET status = 'cancelled'
    WHERE id = :id
"""

MOVE = """
    INSERT INTO journeys (shipment_id, status)
    VALUES (:id, :status)
    ON CONFLICT (shipment_id) DO UPDATE
    SET status = excluded.status
"""

JOURNEY = ("booked", "collected", "delivered")
CHECK_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)


def tracking_number(number: int) -> str:
    """The parcel's number in the form of UPU standard S10, check digit included."""
    digits = f"{number % 10**8:08d}"
    weighted = sum(int(digit) * weight for digit, weight in zip(digits, CHECK_WEIGHTS, strict=True))
    check = {10: 0, 11: 5}.get(11 - weighted % 11, 11 - weighted % 11)
    return f"CX{digits}{check}DE"


def described(row: sqlite3.Row) -> JsonObject:
    """A parcel as the provider shows it."""
    return {
        "id": row["id"],
        "reference": row["reference"],
        "service": row["service"],
        "tracking_number": tracking_number(row["number"]),
        "status": row["status"],
    }


class Register:
    """Each move is one transaction: parcel, ledger entry and kept answer.

    Raises Refused for parcels that do not exist (404) or cannot do that any more (409), KeyReused
    for a key of another booking.
    """

    def __init__(self, store: Store, webhooks: Webhooks) -> None:
        self._store, self._webhooks = store, webhooks

    def find(self, shipment_id: str) -> sqlite3.Row:
        rows = self._store.rows(BY_ID, {"id": shipment_id})
        if not rows:
            raise Refused(404, "not_found", "no such shipment")
        return rows[0]

    def of_reference(self, reference: str) -> list[JsonObject]:
        """The parcels of one reference, oldest first."""
        return [described(row) for row in self._store.rows(BY_REFERENCE, {"reference": reference})]

    def book(self, order: BookingRequest, key: str) -> Answer:
        """Book a parcel; the same key and order are answered as the first time."""
        with self._store.transaction() as tx:

            def effect() -> tuple[int, JsonObject]:
                shipment_id = f"shp_{secrets.token_hex(12)}"
                facts = order.model_dump() | {
                    "id": shipment_id,
                    "address": json.dumps(order.address.model_dump()),
                    "created_at": now(),
                }
                tx.execute(INSERT, facts)
                shipment = described(tx.execute(BY_ID, {"id": shipment_id}).fetchone())
                record(
                    tx,
                    "book",
                    order.reference,
                    shipment_id=shipment_id,
                    service=order.service,
                    weight_g=order.weight_g,
                    country=order.address.country,
                    status="booked",
                    tracking_number=shipment["tracking_number"],
                    idempotency_key=key,
                )
                return 201, shipment

            return once(tx, key, fingerprint("book", "", order), effect)

    def cancel(self, shipment_id: str) -> JsonObject:
        """Cancel a parcel; one that is cancelled already stays so, without another entry."""
        with self._store.transaction() as tx:
            row = self.find(shipment_id)
            if row["status"] in {"collected", "delivered"}:
                raise Refused(409, "already_collected", "the parcel is not with the shop any more")
            if row["status"] == "booked":
                tx.execute(CANCEL, {"id": shipment_id})
                record(
                    tx,
                    "cancel",
                    row["reference"],
                    shipment_id=shipment_id,
                    service=row["service"],
                    status="cancelled",
                )
            return described(self.find(shipment_id))

    def move(self, shipment_id: str, status: JourneyStatus) -> JsonObject:
        """The parcel is collected, or delivered: onwards only, and the shop is told."""
        with self._store.transaction() as tx:
            row = self.find(shipment_id)
            if row["status"] == "cancelled":
                raise Refused(409, "cancelled", "the parcel was cancelled")
            if JOURNEY.index(status) > JOURNEY.index(row["status"]):
                tx.execute(MOVE, {"id": shipment_id, "status": status})
                record(
                    tx,
                    status,
                    row["reference"],
                    shipment_id=shipment_id,
                    service=row["service"],
                    status=status,
                )
                number = tracking_number(row["number"])
                self._webhooks.note(
                    tx,
                    f"shipment.{status}",
                    row["reference"],
                    shipment_id=shipment_id,
                    tracking_number=number,
                )
            return described(self.find(shipment_id))
