"""What events mean to people: who is told what, and who watches an order and sees it move.

Events come late, twice and in any order. A notification carries the time of its event and is
written once per event; whether writing an email about it still makes sense is decided when the
email is about to go out. The live message about an order is put out before the transaction commits,
so that it is put out at least once; those who watch drop doubles by its id.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from uuid_utils.compat import uuid7

from blueprints.notifications.announcing import Announcing
from blueprints.notifications.models import (
    TYPES,
    Audience,
    Notification,
    NotificationType,
    OrderNotice,
)
from shared.db import Transaction
from shared.inbox import Event, Rejected, TransactionalHandler
from shared.live import LiveMessage

ORDER_EVENTS: Mapping[str, NotificationType] = {
    "order.placed.v1": "order_placed",
    "order.confirmed.v1": "order_confirmed",
    "order.shipped.v1": "order_shipped",
    "order.delivered.v1": "order_delivered",
    "order.cancelled.v1": "order_cancelled",
    "order.returned.v1": "order_returned",
    "payment.declined.v1": "payment_declined",
}
"""What the customer of an order is told of."""
DECIDERS: Audience = "role:order-manager"


class Orders(Protocol):
    """What may be told of orders."""

    async def notice_in(self, tx: Transaction, order_id: UUID) -> OrderNotice | None:
        """The order as it is now; None if there is none."""
        ...


class Payments(Protocol):
    """What may be told of payments."""

    async def refund_amount_in(self, tx: Transaction, refund_id: UUID) -> int | None:
        """How much a refund gives back, in minor units; None if there is no such refund."""
        ...


class LiveFeed(Protocol):
    """Tells signed-in people at once."""

    async def publish(self, messages: Sequence[LiveMessage]) -> bool:
        """Whether they were taken. Never raises, and gives up soon."""
        ...


class Requested(BaseModel):
    """The data of notification.requested.v1; what somebody wrote freely does not travel so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: NotificationType
    recipient_id: UUID | None = None
    audience: Audience | None = None
    order_id: UUID | None = None
    facts: dict[str, JsonValue] = Field(default_factory=dict)


class Intake:
    """Takes events in; `handlers` are for the queue `notifications`, `alarms` for `attention`."""

    def __init__(
        self, announcing: Announcing, orders: Orders, payments: Payments, feed: LiveFeed
    ) -> None:
        self._announcing, self._orders, self._payments = announcing, orders, payments
        self._feed = feed
        self.handlers: Mapping[str, TransactionalHandler] = {
            **dict.fromkeys(ORDER_EVENTS, self._order_event),
            "payment.refunded.v1": self._refunded,
            "gdpr.request_received.v1": self._gdpr_request_received,
            "gdpr.export_ready.v1": self._gdpr_export_ready,
            "notification.requested.v1": self._requested,
        }
        self.alarms: Mapping[str, TransactionalHandler] = {"order.stuck.v1": self._stuck}

    async def _order_event(self, event: Event, tx: Transaction) -> None:
        order_id = _field(event, "order_id", UUID)
        notice = await self._notice(tx, order_id)
        await self._show(event, order_id, notice)
        type_ = ORDER_EVENTS[event.type]
        known: dict[str, JsonValue] = {
            "number": notice.number,
            "amount": notice.gross_total,
            "currency": notice.currency,
            "lines": [{"name": name, "quantity": quantity} for name, quantity in notice.lines],
            "tracking_number": notice.tracking_number,
            "reason": notice.cancel_reason,
        }
        facts = {name: known[name] for name in TYPES[type_].facts[-1]}
        await self._tell(
            tx, event, type_, facts, recipient_id=notice.customer_id, order_id=order_id
        )

    async def _refunded(self, event: Event, tx: Transaction) -> None:
        order_id, refund_id = _field(event, "order_id", UUID), _field(event, "refund_id", UUID)
        notice = await self._notice(tx, order_id)
        amount = await self._payments.refund_amount_in(tx, refund_id)
        if amount is None:
            raise Rejected(f"unknown refund: {refund_id}")
        await self._show(event, order_id, notice)
        await self._tell(
            tx,
            event,
            "payment_refunded",
            {"number": notice.number, "amount": amount, "currency": notice.currency},
            recipient_id=notice.customer_id,
            order_id=order_id,
        )

    async def _gdpr_request_received(self, event: Event, tx: Transaction) -> None:
        customer_id = _field(event, "customer_id", UUID)
        facts: dict[str, JsonValue] = {"kind": _field(event, "kind", _Word)}
        await self._tell(tx, event, "gdpr_request_received", facts, recipient_id=customer_id)

    async def _gdpr_export_ready(self, event: Event, tx: Transaction) -> None:
        customer_id = _field(event, "customer_id", UUID)
        until = _field(event, "available_until", datetime)
        facts: dict[str, JsonValue] = {"available_until": until.isoformat()}
        await self._tell(tx, event, "gdpr_export_ready", facts, recipient_id=customer_id)

    async def _requested(self, event: Event, tx: Transaction) -> None:
        wanted = _requested(event)
        await self._tell(
            tx,
            event,
            wanted.type,
            wanted.facts,
            recipient_id=wanted.recipient_id,
            audience=wanted.audience,
            order_id=wanted.order_id,
        )

    async def _stuck(self, event: Event, tx: Transaction) -> None:
        order_id = _field(event, "order_id", UUID)
        notice = await self._notice(tx, order_id)
        await self._show(event, order_id, notice)
        facts: dict[str, JsonValue] = {"number": notice.number}
        await self._tell(tx, event, "order_stuck", facts, audience=DECIDERS, order_id=order_id)

    async def _notice(self, tx: Transaction, order_id: UUID) -> OrderNotice:
        notice = await self._orders.notice_in(tx, order_id)
        if notice is None:
            raise Rejected(f"unknown order: {order_id}")
        return notice

    async def _show(self, event: Event, order_id: UUID, notice: OrderNotice) -> None:
        """Tell whoever watches the order that it has moved."""
        message = LiveMessage(
            groups=(f"order:{order_id}", "employees"),
            event="order",
            id=_event_id(event),
            data={
                "order_id": str(order_id),
                "number": notice.number,
                "status": notice.status,
                "type": event.type,
                "at": _happened(event).isoformat(),
            },
            owner=notice.customer_id,
        )
        await self._feed.publish([message])

    async def _tell(
        self,
        tx: Transaction,
        event: Event,
        type_: NotificationType,
        facts: Mapping[str, JsonValue],
        *,
        recipient_id: UUID | None = None,
        audience: Audience | None = None,
        order_id: UUID | None = None,
    ) -> None:
        notification = Notification(
            id=uuid7(),
            type=type_,
            recipient_id=recipient_id,
            audience=audience,
            order_id=order_id,
            facts=facts,
            message=None,
            template_version=TYPES[type_].version,
            occurred_at=_happened(event),
        )
        await self._announcing.tell(tx, notification, event_id=_event_id(event))


_Word = Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]


def _field[T](event: Event, name: str, kind: type[T]) -> T:
    """A field of the event's data, which comes from JSON. Raises Rejected if it is no `kind`."""
    try:
        return TypeAdapter(kind).validate_python(event.data[name])
    except (KeyError, ValidationError) as fault:
        raise Rejected(f"malformed: data.{name}") from fault


def _requested(event: Event) -> Requested:
    """Raises Rejected for data that cannot be put into words, or is for nobody or for many."""
    try:
        wanted = Requested.model_validate(event.data)
    except ValidationError as fault:
        broken = [".".join(map(str, error["loc"])) for error in fault.errors()]
        raise Rejected(f"malformed: data.{' data.'.join(broken[:10])}") from fault
    if (wanted.recipient_id is None) == (wanted.audience is None):
        raise Rejected("malformed: data names either a recipient_id or an audience")
    if wanted.type == "message":
        raise Rejected("malformed: what somebody wrote freely does not travel in events")
    if wanted.facts.keys() != TYPES[wanted.type].facts[-1]:
        named = ", ".join(sorted(TYPES[wanted.type].facts[-1]))
        raise Rejected(f"malformed: data.facts of {wanted.type} are exactly: {named}")
    return wanted


def _event_id(event: Event) -> str:
    """The event's own id, also when it is replayed: nobody is told the same thing again."""
    return event.id.partition(":")[0]


def _happened(event: Event) -> datetime:
    """When; a time that does not say where it was taken is UTC."""
    return event.time if event.time.tzinfo is not None else event.time.replace(tzinfo=UTC)
