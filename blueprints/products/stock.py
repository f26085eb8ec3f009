"""Stock of orders: reserve, give back, keep, hand over, and let what nobody confirmed expire."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from blueprints.products import reservations_repository, stock_repository
from blueprints.products.models import StepResult, StockEvent
from shared import telemetry
from shared.db import Database

log = telemetry.logger(__name__)

EXPIRY_BATCH = 500


class Fulfilment(Protocol):
    """What stock needs to know about an order."""

    @property
    def status(self) -> str:
        """The order's status."""
        ...

    @property
    def cancel_requested(self) -> bool:
        """Whether someone wants the order cancelled."""
        ...

    @property
    def lines(self) -> Sequence[tuple[UUID, int]]:
        """Product and quantity of each line; a product may stand in several."""
        ...


class OrderBook(Protocol):
    """The orders, as far as their stock goes."""

    async def fulfilment(self, order_id: UUID) -> Fulfilment | None:
        """The order, or None if there is none."""
        ...


class StockService:
    """Moves stock between free, reserved and gone, once per order whatever is repeated.

    Reservations go held → committed → fulfilled; before they are fulfilled they can be released,
    while they are only held they can expire.
    """

    def __init__(self, database: Database, orders: OrderBook, *, ttl_s: float) -> None:
        self._database, self._orders = database, orders
        self._ttl = timedelta(seconds=ttl_s)

    async def reserve(self, order_id: UUID) -> StepResult:
        """Hold every line of a placed order for the configured time, or none.

        Repeating it while the order has its stock is done. After the reservation expired it is
        tried anew, as the order is still placed and `commit` will look. After `release` it is
        refused for good, because a repeat can then only be a straggler of the step that was undone.
        Refusals: out_of_stock, reservation_released, cancel_requested, order_<status>,
        order_unknown.
        """
        order = await self._orders.fulfilment(order_id)
        if refusal := _refusal(order):
            return {"refused": refusal}
        assert order is not None, "an unknown order is refused"
        quantities = _summed(order.lines)
        async with self._database.pipelined() as tx:
            if await reservations_repository.hold(tx, order_id, quantities, self._ttl):
                return {}
            statuses = await reservations_repository.statuses(tx, order_id)
        if statuses & {"held", "committed", "fulfilled"}:
            return {}
        if "released" in statuses:
            return {"refused": "reservation_released"}
        return {"refused": "out_of_stock"}

    async def release(self, order_id: UUID) -> StepResult:
        """Give back what the order holds; it cannot reserve again. Nothing held is done, too."""
        order = await self._orders.fulfilment(order_id)
        quantities = _summed(order.lines if order is not None else ())
        async with self._database.transaction() as tx:
            await reservations_repository.release(tx, order_id, quantities)
            if quantities:
                await reservations_repository.bar(tx, order_id, quantities)
        return {}

    async def commit(self, order_id: UUID) -> bool:
        """Keep what the order holds until it is released or fulfilled; repeating it is fine.

        False if the order has no stock: it never reserved, or the reservation expired or was
        released.
        """
        async with self._database.statement() as tx:
            return await stock_repository.commit(tx, order_id)

    async def fulfil(self, order_id: UUID) -> None:
        """The goods have left the warehouse: on hand and reserved drop. Repeating it is fine."""
        async with self._database.transaction() as tx:
            await stock_repository.fulfil(tx, order_id)

    async def expire(self) -> int:
        """Give back what orders hold beyond their time; returns the number of orders.

        A batch at a time: what is left over is the next run's. Each order is a transaction of its
        own, so a long queue never locks much.
        """
        async with self._database.reading() as tx:
            due = await reservations_repository.due(tx, limit=EXPIRY_BATCH)
        expired = 0
        for order_id in due:
            async with self._database.transaction() as tx:
                if await reservations_repository.expire(tx, order_id):
                    expired += 1
                    log.info("reservation expired order_id=%s", order_id)
        return expired

    async def stock_history(self, order_id: UUID) -> list[StockEvent]:
        """What happened to the order's stock, oldest first."""
        async with self._database.reading() as tx:
            return await stock_repository.history(tx, order_id)


def _refusal(order: Fulfilment | None) -> str | None:
    """Why nothing may be reserved for the order.

    One that is `cancelling` without `cancel_requested` was confirmed before: whoever would reserve
    for it comes too late and has nothing to undo.
    """
    if order is None:
        return "order_unknown"
    if order.cancel_requested:
        return "cancel_requested"
    if order.status != "placed":
        return f"order_{order.status}"
    return None


def _summed(lines: Iterable[tuple[UUID, int]]) -> dict[UUID, int]:
    quantities: dict[UUID, int] = defaultdict(int)
    for product_id, quantity in lines:
        quantities[product_id] += quantity
    return dict(quantities)
