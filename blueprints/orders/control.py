"""Which orchestration an event starts or wakes: the border between messages and sagas.

Messages come late, twice and in any order, and between looking at an order and acting on it the
order may move. Why that is safe:

- *Placed twice.* The instance id is the order id, so a second start of a running saga is refused. A
  saga that finished would run again, so only an order that is still `placed` (or being cancelled
  from there) starts one; if it finished between the look and the start, its first step finds the
  order `order_<status>` and the saga ends without touching anything.
- *Cancelled before it began.* The order says `cancelling` before the message is sent. Whichever
  message comes first starts the saga; its first step is refused, it undoes nothing and cancels.
- *Cancelled while it runs.* Every step forward looks at the order first and refuses. The event only
  wakes a saga that waits for the customer; lost, it costs the rest of that wait, and it is not lost
  before the message was completed.
- *Cancelled at the finish.* `confirm_order` moves the order only from `placed`; the row decides. If
  the cancel was first, the saga undoes everything. If the confirmation was first, the request reads
  `cancelled_from = 'confirmed'` and has an orchestration of its own, named after its event, so
  that a message that comes twice starts one. Run twice after all, it finds nothing left to undo.
- *The saga broke* (failed or terminated; nothing in it should): starting it again would undo only
  what the new run did, so a cancel gets the orchestration that undoes everything.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import azure.durable_functions as df

from blueprints.orders import moves_repository
from blueprints.orders.fulfilment_models import Standing
from shared import telemetry
from shared.db import Database
from shared.inbox import Event, Rejected

FULFIL = "fulfil_order"
CANCEL = "cancel_order_saga"

_BROKEN = frozenset(
    {
        df.OrchestrationRuntimeStatus.Failed,
        df.OrchestrationRuntimeStatus.Terminated,
        df.OrchestrationRuntimeStatus.Canceled,
    }
)

_log = telemetry.logger(__name__)


class Stock(Protocol):
    """Goods in the warehouse."""

    async def fulfil(self, order_id: UUID) -> None:
        """The order's goods have left. Repeating it is fine."""
        ...


class SagaControl:
    """What each event about an order means to its orchestrations.

    `waits_s` are the seconds between the attempts of a step. An orchestration gets them with its
    input and keeps them, so that a new setting does not change what is under way.
    """

    def __init__(self, database: Database, stock: Stock, *, waits_s: Sequence[float]) -> None:
        self._database, self._stock, self._waits_s = database, stock, waits_s

    async def placed(self, event: Event, client: df.DurableOrchestrationClient) -> None:
        """Start the fulfilment of an order that has not come to an end."""
        order = await self._order(event)
        if order.status == "placed" or _cancelled_from_placed(order):
            await self._start(client, FULFIL, str(order.id), event)

    async def cancel_requested(self, event: Event, client: df.DurableOrchestrationClient) -> None:
        """Make whatever runs for the order stop, or undo what has been done."""
        order = await self._order(event)
        if order.status != "cancelling":
            return
        if not _cancelled_from_placed(order) or await _is_broken(client, str(order.id)):
            await self._start(client, CANCEL, f"{order.id}:cancel:{event.id}", event)
        else:
            await self._start(client, FULFIL, str(order.id), event)
            await _wake(client, str(order.id), "cancel_requested")

    async def payment_answered(self, event: Event, client: df.DurableOrchestrationClient) -> None:
        """Wake the saga that waits for its customer."""
        await _wake(client, str(_order_id(event)), "payment_answered")

    async def shipped(self, event: Event) -> None:
        """Take the goods out of stock, in case that the request that shipped them did not."""
        await self._stock.fulfil(_order_id(event))

    async def _order(self, event: Event) -> Standing:
        order_id = _order_id(event)
        async with self._database.reading() as tx:
            order = await moves_repository.standing(tx, order_id)
        if order is None:
            raise Rejected(f"unknown order: {order_id}")
        return order

    async def _start(
        self,
        client: df.DurableOrchestrationClient,
        orchestrator: str,
        instance_id: str,
        event: Event,
    ) -> None:
        """Start it unless it runs. No personal data: the input stands in the Durable history."""
        subject = {
            "order_id": str(_order_id(event)),
            "correlation_id": event.correlation_id,
            "waits_s": list(self._waits_s),
        }
        try:
            await client.start_new(orchestrator, instance_id, subject)
        except Exception as fault:
            # The SDK raises a bare Exception around the host's answer, a 500 with this text.
            if "already exists" not in str(fault):
                raise
            _log.info("already running: %s", instance_id)


def _order_id(event: Event) -> UUID:
    try:
        return UUID(str(event.data["order_id"]))
    except (KeyError, ValueError) as fault:
        raise Rejected("malformed: data.order_id is no UUID") from fault


def _cancelled_from_placed(order: Standing) -> bool:
    return order.status == "cancelling" and order.cancelled_from == "placed"


async def _wake(client: df.DurableOrchestrationClient, instance_id: str, event_name: str) -> None:
    """Raise the event; an instance that is over, or never was, has nothing to be woken for."""
    try:
        await client.raise_event(instance_id, event_name, {})
    except Exception as fault:
        # The SDK's texts for 410 and 404.
        if "is gone" not in str(fault) and "No instance with ID" not in str(fault):
            raise
        _log.info("nobody to wake with %s: %s", event_name, instance_id)


async def _is_broken(client: df.DurableOrchestrationClient, instance_id: str) -> bool:
    try:
        status = await client.get_status(instance_id)
    except TypeError:
        # The SDK unpacks the body of a 404, and Azure's has none.
        return False
    return status.runtime_status in _BROKEN
