"""What anyone may ask of orders that exist: read, list, move on."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from blueprints.orders import moves_repository, repository
from blueprints.orders.models import (
    MOVES,
    IllegalStatusMove,
    MoveOrder,
    Order,
    OrderQuery,
    OrderSummary,
)
from blueprints.orders.moves_repository import Actor
from shared import outbox, telemetry
from shared.auth import Caller
from shared.db import Database
from shared.http import Page, decode_cursor, encode_cursor
from shared.problem import EtagMismatch, NotFound
from shared.replica import ReadSide

_log = telemetry.logger(__name__)


class Stock(Protocol):
    """Goods in the warehouse."""

    async def fulfil(self, order_id: UUID) -> None:
        """The order's goods have left. Repeating it is fine."""
        ...


class Dispatcher(Protocol):
    """Sends events that have been committed."""

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """Send what waits for these aggregates. Never raises."""
        ...


class OrderService:
    """Orders as callers see them: clients their own, employees all."""

    def __init__(
        self, database: Database, stock: Stock, dispatcher: Dispatcher, reads: ReadSide
    ) -> None:
        self._database, self._stock, self._dispatcher = database, stock, dispatcher
        self._reads = reads

    async def get(self, caller: Caller, order_id: UUID) -> Order:
        """The order. Raises NotFound if there is none, or a client asks for another's."""
        async with self._database.reading() as tx:
            order = await repository.by_id(tx, order_id)
        if order is None or (caller.is_client and order.customer_id != caller.id):
            raise NotFound("there is no such order")
        return order.for_customer() if caller.is_client else order

    async def list(
        self, caller: Caller, query: OrderQuery, *, of_customer: UUID | None = None
    ) -> Page[OrderSummary]:
        """Orders newest first; a client sees own orders only, whatever is asked for.

        `of_customer` narrows to one customer, as the filter does. Raises NotFound when a client
        asks for another's orders, InvalidCursor.
        """
        customer_id = of_customer or query.customer_id
        if caller.is_client:
            if customer_id not in {None, caller.id}:
                raise NotFound("there is no such customer")
            customer_id = caller.id
        before = None
        if query.cursor is not None:
            before = decode_cursor(query.cursor, at=_instant, id=UUID)
        filters = query.model_dump(exclude={"cursor", "limit", "customer_id"})
        async with self._reads.reading(caller.id) as tx:
            found = await repository.listed(
                tx,
                filters=filters | {"customer_id": customer_id},
                before=before,
                limit=query.limit + 1,
            )
        items, more = list(found[: query.limit]), len(found) > query.limit
        cursor = (
            encode_cursor(at=items[-1].placed_at.isoformat(), id=items[-1].id) if more else None
        )
        return Page[OrderSummary](items=items, next_cursor=cursor)

    async def move(self, caller: Caller, order_id: UUID, request: MoveOrder, version: int) -> Order:
        """Move the order on and return it as it is then.

        Raises NotFound, EtagMismatch unless `version` is the order's, and IllegalStatusMove naming
        the moves that are allowed. Shipping an order also takes its goods out of stock.
        """
        async with self._database.transaction() as tx:
            order = await moves_repository.locked(tx, order_id)
            if order is None:
                raise NotFound("there is no such order")
            if order.version != version:
                raise EtagMismatch("the order has changed since it was read")
            allowed = MOVES.get(order.status, ())
            if request.status not in allowed:
                raise IllegalStatusMove(
                    f"an order that is {order.status} cannot become {request.status}", allowed
                )
            await moves_repository.move(
                tx,
                order_id,
                from_status=order.status,
                to_status=request.status,
                actor=Actor("employee", caller.id),
                reason=request.reason,
            )
            await outbox.append(
                tx,
                topic="order-events",
                type_=f"order.{request.status}.v1",
                aggregate_id=order_id,
                data={"order_id": str(order_id), "customer_id": str(order.customer_id)},
            )
        if request.status == "shipped":
            await self._take_out_of_stock(order_id)
        await self._dispatcher.dispatch(order_id)
        return await self.get(caller, order_id)

    async def _take_out_of_stock(self, order_id: UUID) -> None:
        """At once if possible; `order.shipped.v1` does it again, so a fault here loses nothing."""
        try:
            await self._stock.fulfil(order_id)
        except Exception as fault:  # noqa: BLE001 - the event is the guarantee
            _log.warning(
                "stock left to the event order_id=%s: %s", order_id, telemetry.describe(fault)
            )


def _instant(text: str) -> datetime:
    """An instant as a cursor holds it. Raises ValueError for anything else."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant has an offset")
    return instant
