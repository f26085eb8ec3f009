"""What is to be sent, and everything that sends it, as the function app wires it."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from pydantic import JsonValue, SecretStr
from uuid_utils.compat import uuid7

from blueprints.notifications import intake_repository
from blueprints.notifications.addresses import AddressDigests
from blueprints.notifications.delivery_models import ProviderFault
from blueprints.notifications.gateway import EmailGateway, SmsGateway
from blueprints.notifications.intake_repository import Planned
from blueprints.notifications.models import (
    TYPES,
    Audience,
    Channel,
    Notification,
    NotificationType,
)
from blueprints.notifications.preparing import Preparing
from blueprints.notifications.reporting import Reporting
from blueprints.notifications.sending import EmailSender, Sending, SmsSender
from blueprints.notifications.wording import SAMPLE_FACTS, SAMPLE_MESSAGE, Wording
from shared.db import Database
from shared.inbox import Inbox
from shared.resilience import Breaker
from tests.integration.notifications.doubles import Dispatched, Orders, People, Person, Screen

KEY = "bG9jYWwtY29tbXVuaWNhdGlvbi1rZXk="
SENDER, NUMBER = "orders@shop.example", "+4915000000000"
DIGESTS = AddressDigests(SecretStr("a key for digests"))
ALWAYS = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class CommunicationAt:
    """The settings of the resource at `url`."""

    url: str
    communication_endpoint: str | None = None
    trusted_ca_file: str | None = None
    key: str = KEY

    @property
    def communication_connection(self) -> SecretStr | None:
        if self.communication_endpoint is not None:
            return None
        return SecretStr(f"endpoint={self.url}/;accesskey={self.key}")


def breaker(faults: int = 1000, open_s: float = 10.0) -> Breaker:
    return Breaker("the provider", fault=ProviderFault, faults=faults, open_s=open_s)


def email_gateway(url: str, *, timeout_s: float = 5.0, faults: int = 1000) -> EmailGateway:
    settings = CommunicationAt(url)
    return EmailGateway(settings, sender=SENDER, timeout_s=timeout_s, breaker=breaker(faults))


def sms_gateway(url: str, *, timeout_s: float = 5.0, faults: int = 1000) -> SmsGateway:
    settings = CommunicationAt(url)
    return SmsGateway(settings, sender=NUMBER, timeout_s=timeout_s, breaker=breaker(faults))


@dataclass
class Outbound:
    """Everything that tells people something, over one database and one provider."""

    database: Database
    email: EmailSender
    sms: SmsSender
    people: People = field(default_factory=People)
    orders: Orders = field(default_factory=Orders)
    screen: Screen = field(default_factory=Screen)
    dispatched: Dispatched = field(default_factory=Dispatched)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.sending = self.process()
        inbox = Inbox(self.database, first_pause_s=0.0)
        self.reporting = Reporting(inbox, DIGESTS, self.dispatched)

    def process(
        self,
        *,
        database: Database | None = None,
        email: EmailSender | None = None,
        sms: SmsSender | None = None,
        **how: Any,
    ) -> Sending:
        """One more process that sends, with a provider or a connection of its own."""
        base = database or self.database
        preparing = Preparing(
            base, self.people, self.orders, Wording(), DIGESTS, clock=lambda: self.now
        )
        return Sending(
            base,
            preparing,
            self.screen,
            self.dispatched,
            email=email or self.email,
            sms=sms or self.sms,
            **{"pace_s": 0.0, **how},
        )

    async def tell(
        self,
        to: Person | Audience,
        type_: NotificationType = "order_placed",
        *channels: Channel,
        due_at: datetime = ALWAYS,
        order_id: UUID | None = None,
        facts: Mapping[str, JsonValue] | None = None,
        digest_id: UUID | None = None,
    ) -> UUID:
        """Write a notification down, to be sent on `channels` (default: email); its id."""
        names = TYPES[type_].facts[-1]
        told = Notification(
            id=uuid7(),
            type=type_,
            recipient_id=to.id if isinstance(to, Person) else None,
            audience=None if isinstance(to, Person) else to,
            order_id=order_id,
            facts={name: SAMPLE_FACTS[name] for name in names} if facts is None else facts,
            message=SAMPLE_MESSAGE if type_ == "message" else None,
            template_version=1,
            occurred_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
        )
        planned = [
            Planned(channel, due_at, digest=digest_id is not None)
            for channel in channels or ("email",)
        ]
        async with self.database.transaction() as tx:
            assert await intake_repository.write(tx, told, planned, event_id=str(uuid7()))
            await tx.execute(
                "UPDATE notifications.deliveries SET digest_id = %s WHERE notification_id = %s",
                (digest_id, told.id),
            )
        return told.id

    async def rows(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        """What a query finds."""
        async with self.database.reading() as tx, tx.cursor(row_factory=dict_row) as cursor:
            return await (await cursor.execute(statement.encode(), parameters)).fetchall()

    async def delivery(self, notification_id: UUID) -> dict[str, Any]:
        """The one delivery of the notification."""
        (row,) = await self.rows(
            "SELECT id, channel, status, attempts, claimed_until, provider_reference, reason,"
            " due_at, due_at - clock_timestamp() AS wait"
            " FROM notifications.deliveries WHERE notification_id = %s",
            notification_id,
        )
        return row

    async def fate(self, notification_id: UUID) -> tuple[str, str | None]:
        """Status and reason of the one delivery of the notification."""
        row = await self.delivery(notification_id)
        return row["status"], row["reason"]

    async def log(self, notification_id: UUID) -> list[tuple[str, str | None]]:
        """Outcome and reason of everything that was tried, oldest first."""
        rows = await self.rows(
            "SELECT a.outcome, a.reason FROM notifications.attempts a"
            " JOIN notifications.deliveries d ON d.id = a.delivery_id"
            " WHERE d.notification_id = %s ORDER BY a.id",
            notification_id,
        )
        return [(row["outcome"], row["reason"]) for row in rows]

    async def events(self, notification_id: UUID) -> list[tuple[str, dict[str, Any]]]:
        """Type and data of the events about the notification, oldest first."""
        rows = await self.rows(
            "SELECT type, envelope FROM messaging.outbox WHERE aggregate_id = %s ORDER BY position",
            notification_id,
        )
        return [(row["type"], json.loads(row["envelope"])["data"]) for row in rows]

    async def make_due(self, *notification_ids: UUID) -> None:
        """Let the time pass that these wait, and the claims of processes that died."""
        async with self.database.transaction() as tx:
            await tx.execute(
                "UPDATE notifications.deliveries SET due_at = %s, claimed_until = NULL"
                " WHERE notification_id = ANY(%s) AND status = 'pending'",
                (ALWAYS, list(notification_ids)),
            )

    async def becomes(self, notification_id: UUID, fate: tuple[str, str | None]) -> None:
        """Return once the delivery of the notification has this status and reason."""
        async with asyncio.timeout(30):
            while True:
                if await self.fate(notification_id) == fate:
                    return
                await asyncio.sleep(0.02)

    async def hours(self, person: Person, quiet_from: str, quiet_until: str) -> None:
        """Let the person be left alone between these hours in Berlin."""
        async with self.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO notifications.people (person_id, time_zone, quiet_from, quiet_until)"
                " VALUES (%s, 'Europe/Berlin', %s, %s)",
                (person.id, quiet_from, quiet_until),
            )

    async def everything_written(self) -> str:
        """All that is kept of deliveries and passed on, as one text."""
        found: Iterable[str] = [
            str(await self.rows(f"TABLE {table}"))
            for table in (
                *("notifications.deliveries", "notifications.attempts"),
                *("notifications.suppressions", "messaging.outbox", "messaging.rejections"),
            )
        ]
        return "\n".join(found)


def later(**delta: float) -> datetime:
    """A time from now."""
    return datetime.now(UTC) + timedelta(**delta)
