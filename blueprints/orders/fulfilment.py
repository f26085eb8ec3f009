"""The saga's steps that write down how an order ends: confirmed, cancelled or stuck."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from blueprints.orders import moves_repository, shipments_repository
from blueprints.orders.fulfilment_models import CarrierNotice, Standing
from blueprints.orders.models import ShipmentAhead, Status, StepResult
from blueprints.orders.moves_repository import SAGA
from shared import inbox, outbox, telemetry
from shared.db import Database, Transaction

_log = telemetry.logger(__name__)

SENT: tuple[Status, ...] = ("shipped", "delivered", "returned")
"""Statuses after the goods have left: nothing that the saga undoes can bring them back."""

PARKING = "park_order"
"""Under this name the inbox knows which orchestrations have parked their order."""


NOTICES = "orders-carrier"
"""Under this name the inbox knows which notices of the carrier's have been taken."""
CARRIER = "reported by the carrier"
ROADS: Mapping[str, Sequence[tuple[Status, Status]]] = {
    "shipment.collected": (("confirmed", "shipped"),),
    "shipment.delivered": (("confirmed", "shipped"), ("shipped", "delivered")),
}
"""The moves that a notice stands for; notices overtake each other, so the last says it all."""


class Stock(Protocol):
    """Goods in the warehouse."""

    async def commit(self, order_id: UUID) -> bool:
        """Keep what the order holds; False if its reservation expired. Repeating it is fine."""
        ...


class Dispatcher(Protocol):
    """Sends events that have been committed."""

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """Send what waits for these aggregates. Never raises."""
        ...


class Fulfilment:
    """Each step may run twice, also at the same time, and still happens once."""

    def __init__(self, database: Database, stock: Stock, dispatcher: Dispatcher) -> None:
        self._database, self._stock, self._dispatcher = database, stock, dispatcher

    async def confirm(self, order_id: UUID) -> StepResult:
        """Keep the stock, then confirm the order unless someone wants it cancelled.

        A repeat after a crash may find the order confirmed and already moved on, even being
        cancelled as a confirmed order: the step is done then, and what follows is the other
        saga's work. Refusals: reservation_expired, cancel_requested, order_<status>,
        order_unknown.
        """
        async with self._database.reading() as tx:
            order = await moves_repository.standing(tx, order_id)
        if order is not None and order.status == "placed":
            # The stock first: an order must never be confirmed without. A cancel that comes in
            # between refuses the move below, and release_stock gives committed stock back as well.
            if not await self._stock.commit(order_id):
                return {"refused": "reservation_expired"}
            async with self._database.pipelined() as tx:
                if await self._move(tx, order_id, "placed", "confirmed", None):
                    await _announce(tx, order, "order.confirmed.v1")
                else:
                    order = await moves_repository.standing(tx, order_id)
        answer = _confirmed(order)
        if not answer:
            await self._dispatcher.dispatch(order_id)
        return answer

    async def cancel(self, order_id: UUID, reason: str) -> StepResult:
        """Everything is undone: write down that the order is cancelled, and why.

        `reason` is a refusal code; a person's own request stands above it. Refusals: order_<status>
        when the goods have left, order_unknown.
        """
        async with self._database.transaction() as tx:
            order = await moves_repository.locked(tx, order_id)
            if order is None:
                return {"refused": "order_unknown"}
            if order.status in SENT:
                return {"refused": f"order_{order.status}"}
            if order.status != "cancelled":
                await moves_repository.note_cancelled(tx, order_id, reason=reason)
                await self._move(tx, order_id, order.status, "cancelled", reason)
                await _announce(tx, order, "order.cancelled.v1")
        await self._dispatcher.dispatch(order_id)
        return {}

    async def park(
        self, order_id: UUID, reason: str, stuck: Sequence[str], *, saga: str
    ) -> StepResult:
        """Something could not be undone: a person decides. Logged as an error, which pages one.

        `stuck` names the undos that failed, `saga` the orchestration that says so. Each parks the
        order once: a repeat after a crash may come when a person has decided already, and must not
        stop the saga that carries it out. Refusals: order_<status> when the order has ended
        otherwise, order_unknown.
        """
        async with self._database.transaction() as tx:
            order = await moves_repository.locked(tx, order_id)
            if order is None:
                return {"refused": "order_unknown"}
            first = await inbox.claim(tx, PARKING, saga)
            if first:
                _log.error(
                    "order is stuck order_id=%s status=%s reason=%s not_undone=%s",
                    order_id,
                    order.status,
                    reason,
                    ",".join(stuck),
                )
            if order.status in {*SENT, "cancelled"}:
                return {"refused": f"order_{order.status}"}
            if first:
                await moves_repository.note_stuck(tx, order_id, undos=stuck)
            if first and order.status != "stuck":
                why = f"{reason}: {', '.join(stuck)}"
                await self._move(tx, order_id, order.status, "stuck", why)
                await _announce(tx, order, "order.stuck.v1")
        await self._dispatcher.dispatch(order_id)
        return {}

    async def carried(self, notice: CarrierNotice) -> None:
        """Move the order along with its parcel: to shipped, to delivered, never back.

        Taken once, however often it comes; what is not about the order's own shipment, or comes
        when the order has gone another way, changes nothing. Raises ShipmentAhead for an order that
        is not confirmed yet. Stock follows `order.shipped.v1`.
        """
        order_id, road = _reference(notice), ROADS.get(notice.type, ())
        if order_id is None or not road:
            return
        async with self._database.transaction() as tx:
            order = await moves_repository.locked(tx, order_id)
            if order is None or not await inbox.claim(tx, NOTICES, notice.id):
                return
            shipment = await shipments_repository.of_order(tx, order_id)
            if shipment is None or shipment.provider_id != notice.data.shipment_id:
                _log.warning("%s is of another shipment order_id=%s", notice.type, order_id)
                return
            if order.status == "placed":
                raise ShipmentAhead("the order is not confirmed yet; say it again in a moment")
            status: Status = order.status
            for start, end in road:
                if status == start:
                    await self._move(tx, order_id, start, end, CARRIER)
                    await _announce(tx, order, f"order.{end}.v1")
                    status = end
            if status not in SENT:
                _log.error("%s of an order that is %s order_id=%s", notice.type, status, order_id)
        await self._dispatcher.dispatch(order_id)

    @staticmethod
    async def _move(
        tx: Transaction, order_id: UUID, start: Status, end: Status, reason: str | None
    ) -> bool:
        version = await moves_repository.move(
            tx, order_id, from_status=start, to_status=end, actor=SAGA, reason=reason
        )
        return version is not None


def _reference(notice: CarrierNotice) -> UUID | None:
    """The order that the shipment was booked for; None if it is none of ours."""
    try:
        return UUID(notice.data.reference)
    except ValueError:
        _log.warning("%s about no order of ours", notice.type)
        return None


def _confirmed(order: Standing | None) -> StepResult:
    """The answer of `confirm` about an order as it was before our own move, if that succeeded."""
    if order is None:
        return {"refused": "order_unknown"}
    if order.status in {"placed", "confirmed", *SENT} or order.cancelled_from == "confirmed":
        return {}
    if order.status == "cancelling" and order.cancelled_from == "placed":
        return {"refused": "cancel_requested"}
    return {"refused": f"order_{order.status}"}


async def _announce(tx: Transaction, order: Standing, type_: str) -> None:
    await outbox.append(
        tx,
        topic="order-events",
        type_=type_,
        aggregate_id=order.id,
        data={"order_id": str(order.id), "customer_id": str(order.customer_id)},
    )
