"""Which orchestration an event starts or wakes, whatever the order and its saga have done since."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import azure.durable_functions as df
import pytest

from blueprints.orders.control import SagaControl
from blueprints.orders.models import Order
from shared.inbox import Event, Rejected
from tests.integration.orders.conftest import CARLA, Shop

type Said = tuple[str, ...]

WAITS_S = (0.5, 2)


@dataclass
class Orchestrations:
    """A Durable client that knows some instances, and what the SDK makes of the host's answers."""

    instances: dict[str, df.OrchestrationRuntimeStatus] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    fault: Exception | None = None

    async def start_new(self, name: str, instance_id: str, client_input: Any) -> str:
        if self.fault:
            raise self.fault
        if self.instances.get(instance_id) is df.OrchestrationRuntimeStatus.Running:
            message = "An Orchestration instance with the status Running already exists."
            raise Exception({"Message": "...", "ExceptionMessage": message})  # noqa: TRY002 - as the SDK does
        self.instances[instance_id] = df.OrchestrationRuntimeStatus.Running
        self.said.append(("start", name, instance_id))
        self.inputs.append(client_input)
        return instance_id

    async def raise_event(self, instance_id: str, event_name: str, event_data: Any) -> None:
        assert event_data == {}
        if self.fault:
            raise self.fault
        if instance_id not in self.instances:
            raise Exception(f"No instance with ID {instance_id} found.")  # noqa: TRY002 - as the SDK does
        if self.instances[instance_id] is not df.OrchestrationRuntimeStatus.Running:
            raise Exception(f"Instance with ID {instance_id} is gone: either completed or failed")  # noqa: TRY002 - as the SDK does
        self.said.append(("raise", event_name, instance_id))

    async def get_status(self, instance_id: str) -> Any:
        if instance_id not in self.instances:
            raise TypeError("argument after ** must be a mapping, not NoneType")
        return SimpleNamespace(runtime_status=self.instances[instance_id])

    @property
    def client(self) -> df.DurableOrchestrationClient:
        return cast("df.DurableOrchestrationClient", self)


def event(type_: str, order_id: UUID | str, event_id: str = "") -> Event:
    return Event.model_validate(
        {
            "specversion": "1.0",
            "id": event_id or str(uuid4()),
            "type": type_,
            "source": "/order-platform/order",
            "subject": str(uuid4()),
            "time": datetime.now(UTC),
            "data": {"order_id": str(order_id)},
            "correlationid": "corr-1",
        }
    )


@pytest.fixture(scope="module")
def control(shop: Shop) -> SagaControl:
    return SagaControl(shop.database, shop.stock, waits_s=WAITS_S)


@pytest.fixture
def durable() -> Orchestrations:
    return Orchestrations()


async def test_a_placed_order_starts_its_fulfilment_under_its_own_id(
    shop: Shop, control: SagaControl, durable: Orchestrations
) -> None:
    order = await shop.place()
    message = event("order.placed.v1", order.id)

    for _ in range(2):
        await control.placed(message, durable.client)

    assert durable.said == [("start", "fulfil_order", str(order.id))]
    assert durable.inputs == [
        {"order_id": str(order.id), "correlation_id": "corr-1", "waits_s": [0.5, 2]}
    ]


async def confirmed(shop: Shop, order: Order) -> None:
    await shop.fulfilment.confirm(order.id)


async def cancelled(shop: Shop, order: Order) -> None:
    await shop.fulfilment.cancel(order.id, "out_of_stock")


async def parked(shop: Shop, order: Order) -> None:
    await shop.fulfilment.park(order.id, "out_of_stock", ["release_stock"], saga=str(order.id))


async def cancelling_a_confirmed_one(shop: Shop, order: Order) -> None:
    await shop.fulfilment.confirm(order.id)
    await shop.cancelling.request(CARLA, order.id, "customer_request")


@pytest.mark.parametrize("ended", [confirmed, cancelled, parked, cancelling_a_confirmed_one])
async def test_an_order_whose_fulfilment_is_over_is_not_fulfilled_again(
    ended: Callable[[Shop, Order], Awaitable[None]],
    shop: Shop,
    control: SagaControl,
    durable: Orchestrations,
) -> None:
    order = await shop.place()
    await ended(shop, order)

    await control.placed(event("order.placed.v1", order.id), durable.client)

    assert durable.said == []


@pytest.mark.parametrize("first", ["placed", "cancel_requested"])
async def test_an_order_cancelled_before_its_saga_began_gets_one_to_end_it(
    first: str, shop: Shop, control: SagaControl, durable: Orchestrations
) -> None:
    order = await shop.place()
    await shop.cancelling.request(CARLA, order.id, "customer_request")
    placed = event("order.placed.v1", order.id)
    requested = event("order.cancel_requested.v1", order.id)

    if first == "placed":
        await control.placed(placed, durable.client)
        await control.cancel_requested(requested, durable.client)
    else:
        await control.cancel_requested(requested, durable.client)
        await control.placed(placed, durable.client)

    assert durable.said == [
        ("start", "fulfil_order", str(order.id)),
        ("raise", "cancel_requested", str(order.id)),
    ]


@pytest.mark.parametrize("was", ["confirmed", "stuck"])
async def test_a_cancellation_after_the_fulfilment_is_an_orchestration_of_its_own(
    was: str, shop: Shop, control: SagaControl, durable: Orchestrations
) -> None:
    order = await shop.place()
    await (confirmed if was == "confirmed" else parked)(shop, order)
    await shop.cancelling.request(CARLA, order.id, "customer_request")
    message = event("order.cancel_requested.v1", order.id)

    for _ in range(2):
        await control.cancel_requested(message, durable.client)

    assert durable.said == [("start", "cancel_order_saga", f"{order.id}:cancel:{message.id}")]
    assert durable.inputs == [
        {"order_id": str(order.id), "correlation_id": "corr-1", "waits_s": [0.5, 2]}
    ]


async def test_a_cancellation_of_a_broken_saga_undoes_everything(
    shop: Shop, control: SagaControl, durable: Orchestrations
) -> None:
    order = await shop.place()
    await shop.cancelling.request(CARLA, order.id, "customer_request")
    durable.instances[str(order.id)] = df.OrchestrationRuntimeStatus.Failed
    message = event("order.cancel_requested.v1", order.id)

    await control.cancel_requested(message, durable.client)

    assert durable.said == [("start", "cancel_order_saga", f"{order.id}:cancel:{message.id}")]


async def test_a_cancellation_that_is_over_starts_nothing(
    shop: Shop, control: SagaControl, durable: Orchestrations
) -> None:
    order = await shop.place()
    await shop.cancelling.request(CARLA, order.id, "customer_request")
    await cancelled(shop, order)

    await control.cancel_requested(event("order.cancel_requested.v1", order.id), durable.client)

    assert durable.said == []


async def test_an_answered_payment_wakes_the_saga_that_waits(
    control: SagaControl, durable: Orchestrations
) -> None:
    order_id, over, never = uuid4(), uuid4(), uuid4()
    durable.instances = {
        str(order_id): df.OrchestrationRuntimeStatus.Running,
        str(over): df.OrchestrationRuntimeStatus.Completed,
    }

    for each in (order_id, over, never):
        await control.payment_answered(event("payment.answered.v1", each), durable.client)

    assert durable.said == [("raise", "payment_answered", str(order_id))]


async def test_a_host_that_fails_leaves_the_message_to_be_delivered_again(
    shop: Shop, control: SagaControl
) -> None:
    order = await shop.place()
    durable = Orchestrations(fault=Exception("Webhook returned unrecognized status code 503"))

    with pytest.raises(Exception, match="503"):
        await control.placed(event("order.placed.v1", order.id), durable.client)
    with pytest.raises(Exception, match="503"):
        await control.payment_answered(event("payment.answered.v1", order.id), durable.client)


async def test_a_shipped_order_leaves_the_stock(shop: Shop, control: SagaControl) -> None:
    order_id = uuid4()

    await control.shipped(event("order.shipped.v1", order_id))

    assert shop.stock.fulfilled == [order_id]


@pytest.mark.parametrize("order_id", ["", "7", str(uuid4())], ids=["empty", "no id", "unknown"])
async def test_an_event_about_no_order_of_ours_is_rejected(
    order_id: str, control: SagaControl, durable: Orchestrations
) -> None:
    with pytest.raises(Rejected):
        await control.placed(event("order.placed.v1", order_id), durable.client)
