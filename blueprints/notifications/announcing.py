"""Telling somebody something: one notification and, for each channel it goes out on, a delivery."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import JsonValue
from uuid_utils.compat import uuid7

from blueprints.notifications import hours, intake_repository, preferences_repository
from blueprints.notifications.api_models import WriteMessage, WrittenMessage
from blueprints.notifications.intake_repository import Planned
from blueprints.notifications.models import (
    CHANNELS,
    TYPES,
    Channel,
    Contact,
    Habits,
    Notification,
    NotificationType,
    RecipientUnknown,
)
from shared import idempotency, outbox
from shared.auth import ADMIN, Caller
from shared.db import Database, Transaction
from shared.idempotency import IdempotencyKey
from shared.problem import Forbidden


class Announcing:
    """Writes notifications down; who sends them finds them there.

    `default_time_zone` is for people who never said where they are.
    """

    def __init__(self, *, default_time_zone: str, clock: Callable[[], datetime]) -> None:
        where = hours.zone(default_time_zone)
        if where is None:
            raise ValueError(f"there is no time zone {default_time_zone}")
        self._default_zone, self._clock = where, clock

    async def tell(
        self, tx: Transaction, notification: Notification, *, event_id: str
    ) -> Sequence[Channel] | None:
        """Keep the notification; the channels it goes out on, None if the event was told before.

        An audience is told in the app only. Positions are given under a lock that lasts until `tx`
        ends: keep it short, and tell one reader in one transaction.
        """
        planned = [Planned("in_app", self._clock())]
        if notification.recipient_id is not None:
            habits, chosen = await preferences_repository.wishes(
                tx, notification.recipient_id, notification.type
            )
            planned = self._plan(notification.type, habits, chosen)
        if not await intake_repository.write(tx, notification, planned, event_id=event_id):
            return None
        return [one.channel for one in planned if one.wanted]

    def _plan(
        self, type_: NotificationType, habits: Habits | None, chosen: Mapping[Channel, bool]
    ) -> list[Planned]:
        """A delivery for each wanted channel, and for each that is on unless somebody said no."""
        where = (hours.zone(habits.time_zone) if habits else None) or self._default_zone
        now = self._clock()
        planned = []
        for channel in CHANNELS:
            wanted = is_wanted(type_, channel, chosen)
            if not wanted and not by_default(type_, channel):
                continue
            if not wanted or channel == "in_app":
                planned.append(Planned(channel, now, wanted=wanted))
            else:
                planned.append(_written(type_, channel, habits, where, now))
        return planned


class Customers(Protocol):
    """How customers are reached."""

    async def contact(self, customer_id: UUID) -> Contact | None:
        """How to reach the customer; None for one who is unknown or erased."""
        ...


class Outbound(Protocol):
    """Sends what waits to be sent."""

    def kick(self) -> None:
        """Something waits. Never raises."""
        ...


class Dispatcher(Protocol):
    """Sends events on."""

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """Send the aggregates' events. Never raises."""
        ...


class Messages:
    """What employees write to customers, in their own words."""

    def __init__(
        self,
        database: Database,
        announcing: Announcing,
        customers: Customers,
        outbound: Outbound,
        dispatcher: Dispatcher,
    ) -> None:
        self._database, self._announcing, self._customers = database, announcing, customers
        self._outbound, self._dispatcher = outbound, dispatcher

    async def write(
        self, caller: Caller, message: WriteMessage, key: IdempotencyKey
    ) -> WrittenMessage:
        """Write a message in an employee's name; repeating `key` gives the first answer.

        Raises Forbidden if anyone but an admin writes to an audience; RecipientUnknown.
        """
        if message.audience is not None and not caller.has_role(ADMIN):
            raise Forbidden("only admins write to an audience")
        if message.recipient_id is not None:
            # Before the transaction: it needs a connection of its own.
            known = await self._customers.contact(message.recipient_id) is not None
        else:
            known = True
        async with self._database.transaction() as tx:
            if (answer := await idempotency.replay(tx, key)) is not None:
                return WrittenMessage.model_validate_json(answer)
            if not known:
                raise RecipientUnknown("there is no such customer to write to")
            notification = _message(message)
            channels = await self._announcing.tell(tx, notification, event_id=str(notification.id))
            assert channels is not None, "a fresh id was never told before"
            written = WrittenMessage(
                id=notification.id,
                recipient_id=message.recipient_id,
                audience=message.audience,
                order_id=message.order_id,
                channels=[*channels],
                at=notification.occurred_at,
            )
            await outbox.append(
                tx,
                topic="notification-events",
                type_="notification.written.v1",
                aggregate_id=notification.id,
                data=_of_event(notification, caller),
            )
            await idempotency.remember(tx, key, written.model_dump_json())
        self._outbound.kick()
        await self._dispatcher.dispatch(written.id)
        return written


def _message(message: WriteMessage) -> Notification:
    return Notification(
        id=uuid7(),
        type="message",
        recipient_id=message.recipient_id,
        audience=message.audience,
        order_id=message.order_id,
        facts={},
        message={"subject": message.subject, "text": message.text},
        template_version=TYPES["message"].version,
        occurred_at=datetime.now(UTC),
    )


def _of_event(notification: Notification, caller: Caller) -> dict[str, JsonValue]:
    """Who wrote to whom; not what."""
    recipient, order = notification.recipient_id, notification.order_id
    return {
        "notification_id": str(notification.id),
        "recipient_id": None if recipient is None else str(recipient),
        "audience": notification.audience,
        "order_id": None if order is None else str(order),
        "written_by": str(caller.id),
    }


def by_default(type_: NotificationType, channel: Channel) -> bool:
    """Whether people who chose nothing are told on that channel."""
    match channel:
        case "in_app":
            return True
        case "email":
            return TYPES[type_].email
        case "sms":
            return False


def cannot_be_refused(type_: NotificationType, channel: Channel) -> bool:
    """Whether everybody is told on that channel, whatever he chose."""
    return TYPES[type_].mandatory and by_default(type_, channel)


def is_wanted(type_: NotificationType, channel: Channel, chosen: Mapping[Channel, bool]) -> bool:
    """Whether somebody who chose this for the type is told on the channel."""
    return cannot_be_refused(type_, channel) or chosen.get(channel, by_default(type_, channel))


def _written(
    type_: NotificationType,
    channel: Channel,
    habits: Habits | None,
    where: ZoneInfo,
    now: datetime,
) -> Planned:
    """When an email or an SMS goes out: mandatory emails at once, the others when it suits."""
    if habits is None or (channel == "email" and TYPES[type_].mandatory):
        return Planned(channel, now)
    if channel == "email" and habits.digest != "off":
        return Planned(channel, next_digest(habits, where, now), digest=True)
    return Planned(channel, hours.quiet_until(now, where, habits.quiet))


def next_digest(habits: Habits, where: ZoneInfo, after: datetime) -> datetime:
    """When the next digest goes out to somebody who wants digests.

    Its hour is not a quiet one, but a clock that jumps over it may jump into the quiet hours.
    """
    assert habits.digest != "off", "asked only for who wants digests"
    at = hours.next_digest(after, where, habits.digest_at, habits.digest)
    return hours.quiet_until(at, where, habits.quiet)


def is_quiet_at(at: time, quiet: tuple[time, time]) -> bool:
    """Whether that local time lies within the quiet hours."""
    since, until = quiet
    return since <= at < until if since < until else not until <= at < since
