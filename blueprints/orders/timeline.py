"""One list of all that happened to an order: order, payment, stock, shipment and messages."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from blueprints.orders import moves_repository, shipments_repository
from blueprints.orders.models import Timeline, TimelineEntry
from blueprints.orders.moves_repository import Move
from blueprints.orders.shipments_repository import Shipment
from shared.auth import Caller
from shared.db import Database
from shared.problem import NotFound


class StockEvent(Protocol):
    """Something that happened to the order's stock."""

    @property
    def at(self) -> datetime: ...
    @property
    def kind(self) -> str: ...


class Stock(Protocol):
    """What the warehouse knows."""

    async def stock_history(self, order_id: UUID) -> Sequence[StockEvent]:
        """What happened to the order's stock, oldest first."""
        ...


class PaymentEvent(Protocol):
    """Something that happened to the order's payment; clients see those that are `public`."""

    @property
    def at(self) -> datetime: ...
    @property
    def kind(self) -> str: ...
    @property
    def amount(self) -> int | None: ...
    @property
    def detail(self) -> str | None: ...
    @property
    def public(self) -> bool: ...


class Payments(Protocol):
    """What the payment service knows."""

    async def history(self, order_id: UUID) -> Sequence[PaymentEvent]:
        """What happened to the order's payment, oldest first."""
        ...


class MessageEvent(Protocol):
    """Something the customer was told, on one channel, and what became of it."""

    @property
    def at(self) -> datetime: ...
    @property
    def type(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def status(self) -> str: ...


class Messages(Protocol):
    """What the customer was told."""

    async def history(self, order_id: UUID) -> Sequence[MessageEvent]:
        """What was told about the order, oldest first."""
        ...


class OrderTimeline:
    """The order's story, as much of it as the caller may read."""

    def __init__(
        self, database: Database, stock: Stock, payments: Payments, messages: Messages
    ) -> None:
        self._database, self._stock = database, stock
        self._payments, self._messages = payments, messages

    async def of(self, caller: Caller, order_id: UUID) -> Timeline:
        """Entries oldest first. A client sees own orders only, and not what employees note among
        themselves. Raises NotFound.
        """
        async with self._database.reading() as tx:
            order = await moves_repository.standing(tx, order_id)
            if order is None or (caller.is_client and order.customer_id != caller.id):
                raise NotFound("there is no such order")
            moves = await moves_repository.history(tx, order_id)
            shipment = await shipments_repository.of_order(tx, order_id)
        payments = await self._payments.history(order_id)
        stock = await self._stock.stock_history(order_id)
        messages = await self._messages.history(order_id)
        entries = [
            *(_move(move, caller) for move in moves),
            *(_payment(event) for event in payments if event.public or caller.is_employee),
            *(TimelineEntry(at=event.at, area="stock", what=event.kind) for event in stock),
            *(_shipment(shipment) if shipment is not None else ()),
            *(_message(event) for event in messages),
        ]
        return Timeline(items=sorted(entries, key=lambda entry: entry.at))


def _move(move: Move, caller: Caller) -> TimelineEntry:
    told = caller.is_employee or (move.actor_kind != "employee" and move.to_status != "stuck")
    return TimelineEntry(
        at=move.at,
        area="order",
        what=move.to_status,
        by=move.actor_kind,
        detail=move.reason if told else None,
    )


def _payment(event: PaymentEvent) -> TimelineEntry:
    return TimelineEntry(
        at=event.at, area="payment", what=event.kind, amount=event.amount, detail=event.detail
    )


def _shipment(shipment: Shipment) -> Iterator[TimelineEntry]:
    """A shipment that was never booked left no trace at the provider and none here."""
    if shipment.refusal is not None:
        yield TimelineEntry(
            at=shipment.requested_at, area="shipment", what="refused", detail=shipment.refusal
        )
    if shipment.booked_at is None:
        return
    yield TimelineEntry(
        at=shipment.booked_at, area="shipment", what="booked", detail=shipment.tracking_number
    )
    if shipment.cancelled_at is not None:
        yield TimelineEntry(at=shipment.cancelled_at, area="shipment", what="cancelled")


def _message(event: MessageEvent) -> TimelineEntry:
    """Whoever reads this sees that an email went out, and never to which address."""
    return TimelineEntry(
        at=event.at, area="message", what=event.type, detail=f"{event.channel} {event.status}"
    )
