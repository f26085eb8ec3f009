"""Calling an order off: the intent is written down first, the saga does the rest."""

import json
from typing import Protocol
from uuid import UUID

from blueprints.orders import moves_repository, repository
from blueprints.orders.models import (
    CANCELLABLE,
    EMPLOYEE_CAUSES,
    CancelCause,
    Order,
    OrderNotCancellable,
)
from blueprints.orders.moves_repository import Actor
from shared import idempotency, outbox
from shared.auth import Caller
from shared.db import Database, Transaction
from shared.idempotency import IdempotencyKey
from shared.problem import InvalidRequest, NotFound


class Dispatcher(Protocol):
    """Sends events that have been committed."""

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """Send what waits for these aggregates. Never raises."""
        ...


class Cancelling:
    """Requests to cancel."""

    def __init__(self, database: Database, dispatcher: Dispatcher) -> None:
        self._database, self._dispatcher = database, dispatcher

    async def request(
        self,
        caller: Caller,
        order_id: UUID,
        cause: CancelCause,
        key: IdempotencyKey | None = None,
    ) -> Order:
        """The order, now `cancelling`; or as it is, if it was called off before.

        The status itself is the intent: from the commit on no step of the saga goes forward,
        whether the saga has begun or not. A `key` that came before changes nothing. Raises NotFound
        (also for a client who asks for another's order), OrderNotCancellable once the goods are on
        their way, InvalidRequest for a client with a cause that only employees may name,
        IdempotencyKeyReused if `key` came with another request.
        """
        if caller.is_client and cause in EMPLOYEE_CAUSES:
            raise InvalidRequest(
                "clients name a cause of their own",
                [{"field": "reason", "message": "for employees only"}],
            )
        async with self._database.transaction() as tx:
            if key is None:
                await _call_off(tx, caller, order_id, cause)
            elif await idempotency.replay(tx, key) is None:
                await _call_off(tx, caller, order_id, cause)
                await idempotency.remember(tx, key, json.dumps({"order_id": str(order_id)}))
            current = await repository.by_id(tx, order_id)
        await self._dispatcher.dispatch(order_id)
        assert current is not None, "orders are never deleted"
        return current.for_customer() if caller.is_client else current


async def _call_off(tx: Transaction, caller: Caller, order_id: UUID, cause: CancelCause) -> None:
    order = await moves_repository.locked(tx, order_id)
    if order is None or (caller.is_client and order.customer_id != caller.id):
        raise NotFound("there is no such order")
    if order.status not in {*CANCELLABLE, "cancelling", "cancelled"}:
        raise OrderNotCancellable(f"an order that is {order.status} cannot be cancelled")
    if order.status not in CANCELLABLE:
        return
    await moves_repository.intend_to_cancel(
        tx, order_id, from_status=order.status, by=caller.id, cause=cause
    )
    await moves_repository.move(
        tx,
        order_id,
        from_status=order.status,
        to_status="cancelling",
        actor=Actor("client" if caller.is_client else "employee", caller.id),
        reason=cause,
    )
    await outbox.append(
        tx,
        topic="order-events",
        type_="order.cancel_requested.v1",
        aggregate_id=order_id,
        data={
            "order_id": str(order_id),
            "customer_id": str(order.customer_id),
            "cancelled_from": order.status,
        },
    )
