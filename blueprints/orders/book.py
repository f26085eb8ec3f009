"""What the other slices and the saga's steps may know of an order."""

from collections.abc import Collection, Mapping
from uuid import UUID

from blueprints.orders import book_repository
from blueprints.orders.fulfilment_models import Fulfilment, OrderNotice, Standing
from shared.db import Database, Pending, Transaction


class OrderBook:
    """The orders as far as their fulfilment goes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fulfilment(self, order_id: UUID) -> Fulfilment | None:
        """The order as it is now; None if there is none."""
        async with self._database.reading() as tx:
            return await book_repository.fulfilment(tx, order_id)

    async def notice(self, order_id: UUID) -> OrderNotice | None:
        """What may be told to the customer of the order as it is now; None if there is none."""
        async with self._database.reading() as tx:
            return await self.notice_in(tx, order_id)

    async def notice_in(self, tx: Transaction, order_id: UUID) -> OrderNotice | None:
        """What `notice` tells, for a caller who has a connection in hand."""
        return await book_repository.notice(tx, order_id)

    async def ask_statuses(
        self, tx: Transaction, order_ids: Collection[UUID]
    ) -> Pending[Mapping[UUID, str]]:
        """The status of each order that exists, for a caller with other questions."""
        return await book_repository.ask_statuses(tx, order_ids)


def refusal(order: Standing | None) -> str | None:
    """Why no step forward may be taken for the order; None if one may.

    A cancellation asked for after the fulfilment was over is another saga's work: the fulfilment
    that meets it is a straggler and must leave it alone, hence `order_cancelling`.
    """
    if order is None:
        return "order_unknown"
    if order.status == "cancelling" and order.cancelled_from == "placed":
        return "cancel_requested"
    if order.status != "placed":
        return f"order_{order.status}"
    return None
