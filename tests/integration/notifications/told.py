"""The part of notifications that people talk to, on a real database, its neighbours being fakes."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import azure.functions as func
from uuid_utils.compat import uuid7

from blueprints.notifications.announcing import Announcing, Messages
from blueprints.notifications.digesting import Digesting
from blueprints.notifications.intake import Intake
from blueprints.notifications.models import Contact, OrderNotice
from blueprints.notifications.preferring import Preferring
from blueprints.notifications.service import NotificationService
from blueprints.notifications.wording import SampleContact, Wording
from shared.db import Database, Transaction
from shared.inbox import Inbox
from shared.live import LiveMessage
from tests.integration.shared.deliveries import message

TUESDAY_NOON = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
"""12:00 in Berlin."""
ORDERED_AT = "2026-11-24T10:59:58Z"

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """An order as it may be told of."""

    customer_id: UUID
    number: str
    status: str = "placed"
    currency: str = "EUR"
    gross_total: int = 4_998
    tracking_number: str | None = None
    cancel_reason: str | None = None
    lines: Sequence[tuple[str, int]] = (("Assam Second Flush", 2),)


@dataclass
class Neighbours:
    """Orders, payments and customers."""

    notices: dict[UUID, Notice] = field(default_factory=dict)
    refunds: dict[UUID, int] = field(default_factory=dict)
    contacts: dict[UUID, SampleContact] = field(default_factory=dict)
    looked_up: int = 0

    async def notice_in(self, tx: Transaction, order_id: UUID) -> OrderNotice | None:
        await tx.execute("SELECT")
        self.looked_up += 1
        return self.notices.get(order_id)

    async def refund_amount_in(self, tx: Transaction, refund_id: UUID) -> int | None:
        await tx.execute("SELECT")
        return self.refunds.get(refund_id)

    async def contact(self, customer_id: UUID) -> Contact | None:
        return self.contacts.get(customer_id)

    def order(self, customer_id: UUID | None = None, **facts: Any) -> UUID:
        order_id = uuid7()
        number = f"SO-2026-{next(_numbers):06}"
        self.notices[order_id] = Notice(customer_id=customer_id or uuid4(), number=number, **facts)
        return order_id


@dataclass
class Around:
    """What notifications call when they are done: the feed, the sender, the outbox."""

    live: list[LiveMessage] = field(default_factory=list)
    kicks: int = 0
    dispatched: list[UUID] = field(default_factory=list)

    async def publish(self, messages: Sequence[LiveMessage]) -> bool:
        self.live += messages
        return True

    def kick(self) -> None:
        self.kicks += 1

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        self.dispatched += aggregate_ids


class Told:
    """A world of its own on the module's database; `now` is its time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = TUESDAY_NOON
        self.neighbours, self.around = Neighbours(), Around()
        self.inbox = Inbox(database, first_pause_s=0.0)
        self.announcing = Announcing(default_time_zone="Europe/Berlin", clock=self.clock)
        self.intake = Intake(self.announcing, self.neighbours, self.neighbours, self.around)
        self.messages = Messages(
            database, self.announcing, self.neighbours, self.around, self.around
        )
        self.service = NotificationService(database, self.neighbours, Wording())
        self.preferring = Preferring(database, default_time_zone="Europe/Berlin")
        self.digesting = Digesting(database, default_time_zone="Europe/Berlin", clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def later(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now

    def customer(self, language: str = "en") -> UUID:
        customer_id = uuid4()
        self.neighbours.contacts[customer_id] = SampleContact(language, name="Alice Moreau")
        return customer_id

    async def hear(self, body: bytes, *, queue: str = "notifications") -> None:
        """A message on one of the queues."""
        handlers = self.intake.handlers if queue == "notifications" else self.intake.alarms
        await self.inbox.receive_in_transaction(
            message(body, message_id=str(uuid4())), consumer=queue, types=handlers
        )

    async def rows(self, statement: str, **names: Any) -> list[tuple[Any, ...]]:
        async with self.database.reading() as tx:
            return await (await tx.execute(statement, names)).fetchall()

    async def deliveries(self, person_id: UUID) -> list[tuple[Any, ...]]:
        """(type, channel, status, digest, due at) of all that was written for the person."""
        return await self.rows(
            """
            SELECT n.type, d.channel, d.status, d.digest, d.due_at
            FROM notifications.deliveries AS d
            JOIN notifications.notifications AS n ON n.id = d.notification_id
            WHERE d.recipient_id = %(person_id)s
            ORDER BY n.position, d.channel
            """,
            person_id=person_id,
        )

    async def count(self) -> int:
        """How many notifications there are."""
        return int((await self.rows("SELECT count(*) FROM notifications.notifications"))[0][0])


def happened(type_: str, order_id: UUID | None, /, *, at: str = ORDERED_AT, **data: Any) -> bytes:
    """An event as the outbox sends it; `replayed=2` is that of a second replay."""
    event_id, replayed = data.pop("event_id", str(uuid7())), data.pop("replayed", None)
    about = {} if order_id is None else {"order_id": str(order_id)}
    envelope = {
        "specversion": "1.0",
        "id": event_id if replayed is None else f"{event_id}:r{replayed}",
        "source": "/order-platform/order",
        "type": type_,
        "subject": str(order_id or uuid7()),
        "time": at,
        "datacontenttype": "application/json",
        "correlationid": "c-1",
        "data": about | data,
    }
    return json.dumps(envelope).encode()


def registered(*blueprints: func.Blueprint) -> Mapping[str, Any]:
    """The functions of the blueprints by name, as the host calls them."""
    app = func.FunctionApp()
    for blueprint in blueprints:
        app.register_functions(blueprint)
    return {str(f.get_function_name()): f.get_user_function() for f in app.get_functions()}
