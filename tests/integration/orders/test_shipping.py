"""The saga's steps at the shipping provider: one shipment or none, whatever is lost."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from blueprints.orders.fulfilment_models import Booking, Parcel
from blueprints.orders.gateway import ShippingGateway
from blueprints.orders.models import ShippingFault
from blueprints.orders.shipping import Shipping
from shared.resilience import Breaker
from tests.integration.orders.conftest import BERLIN, CARLA, Shop
from tests.integration.payments.standins import API_KEY, Standin
from tests.rig.secrets import known

pytestmark = pytest.mark.usefixtures("undisturbed")


@pytest.fixture(scope="module")
async def shipping(shop: Shop, carrier: Standin) -> AsyncIterator[Shipping]:
    gateway = ShippingGateway(
        carrier.url,
        known(API_KEY),
        timeout_s=0.5,
        breaker=Breaker("the carrier", fault=ShippingFault),
    )
    yield Shipping(shop.database, gateway)
    await gateway.close()


async def test_booking_and_cancelling_twice_happen_once(
    shop: Shop, shipping: Shipping, carrier: Standin
) -> None:
    order = await shop.place()

    assert await asyncio.gather(*(shipping.book(order.id) for _ in range(4))) == [{}] * 4
    tracking = (await shop.orders.get(CARLA, order.id)).shipping.tracking_number
    assert tracking == carrier.entries(order.id)[0]["tracking_number"]
    assert await asyncio.gather(*(shipping.cancel(order.id) for _ in range(4))) == [{}] * 4

    assert carrier.operations(order.id) == ["book", "cancel"]
    assert (await shop.orders.get(CARLA, order.id)).shipping.tracking_number is None
    assert await shipping.book(order.id) == {"refused": "shipment_cancelled"}


async def test_an_address_that_is_not_served_is_a_refusal_and_stays_one(
    shop: Shop, shipping: Shipping, carrier: Standin
) -> None:
    far = BERLIN.model_copy(update={"postal_code": "00010"})
    order = await shop.place(shipping_address=far)

    answers = [await shipping.book(order.id) for _ in range(2)]

    assert answers == [{"refused": "address_not_served"}] * 2
    assert await shipping.cancel(order.id) == {}
    assert carrier.operations(order.id) == []


@pytest.mark.parametrize("kind", ["timeout_after_effect", "status", "drop"])
async def test_a_booking_that_breaks_is_made_once_when_it_is_tried_again(
    kind: str, shop: Shop, shipping: Shipping, carrier: Standin
) -> None:
    order = await shop.place()
    carrier.fault("book", kind)
    with pytest.raises(ShippingFault):
        await shipping.book(order.id)

    assert await shipping.book(order.id) == {}

    assert carrier.operations(order.id) == ["book"]


@pytest.mark.parametrize("kind", ["timeout_after_effect", "status"])
async def test_a_booking_without_an_answer_is_found_and_cancelled(
    kind: str, shop: Shop, shipping: Shipping, carrier: Standin
) -> None:
    order = await shop.place()
    carrier.fault("book", kind)
    with pytest.raises(ShippingFault):
        await shipping.book(order.id)

    assert await shipping.cancel(order.id) == {}

    assert carrier.operations(order.id) == ["book", "cancel"]


@pytest.mark.parametrize("kind", ["timeout_after_effect", "status", "drop"])
async def test_a_cancellation_that_breaks_is_made_once_when_it_is_tried_again(
    kind: str, shop: Shop, shipping: Shipping, carrier: Standin
) -> None:
    order = await shop.place()
    await shipping.book(order.id)
    carrier.fault("cancel", kind)
    with pytest.raises(ShippingFault):
        await shipping.cancel(order.id)

    assert await shipping.cancel(order.id) == {}

    assert carrier.operations(order.id) == ["book", "cancel"]


async def test_cancelling_what_was_never_booked_bars_a_straggler(
    shop: Shop, shipping: Shipping, carrier: Standin
) -> None:
    order = await shop.place()

    assert await shipping.cancel(order.id) == {}

    assert await shipping.book(order.id) == {"refused": "shipment_cancelled"}
    assert carrier.operations(order.id) == []
    assert await shipping.cancel(uuid4()) == {}


async def test_a_booking_that_stalls_while_the_order_is_cancelled_leaves_nothing_booked(
    shop: Shop, carrier: Standin
) -> None:
    gateway = ShippingGateway(
        carrier.url,
        known(API_KEY),
        timeout_s=2,
        breaker=Breaker("the carrier", fault=ShippingFault),
    )
    inside, go_on = asyncio.Event(), asyncio.Event()

    class Stalling(ShippingGateway):
        async def book(self, parcel: Parcel, *, key: str) -> Booking:
            inside.set()
            await go_on.wait()
            return await gateway.book(parcel, key=key)

    stalling = Stalling(
        carrier.url, known(API_KEY), timeout_s=2, breaker=Breaker("the stalling carrier")
    )
    order = await shop.place()
    straggler = asyncio.create_task(Shipping(shop.database, stalling).book(order.id))
    await inside.wait()

    assert await Shipping(shop.database, gateway).cancel(order.id) == {}
    go_on.set()

    assert await straggler == {"refused": "shipment_cancelled"}
    assert carrier.operations(order.id) == ["book", "cancel"]
    await gateway.close()


@pytest.mark.parametrize("where", ["confirmed", "cancelled", "stuck"])
async def test_nothing_is_booked_for_an_order_that_has_moved_on(
    where: str, shop: Shop, shipping: Shipping, carrier: Standin
) -> None:
    order = await shop.place()
    if where == "confirmed":
        await shop.fulfilment.confirm(order.id)
    elif where == "cancelled":
        await shop.fulfilment.cancel(order.id, "out_of_stock")
    else:
        await shop.fulfilment.park(order.id, "out_of_stock", ["release_stock"], saga=str(order.id))

    assert await shipping.book(order.id) == {"refused": f"order_{where}"}
    assert carrier.operations(order.id) == []


async def test_nothing_is_booked_once_the_order_is_being_cancelled(
    shop: Shop, shipping: Shipping
) -> None:
    placed, confirmed = await shop.place(), await shop.place()
    await shop.fulfilment.confirm(confirmed.id)
    for order in (placed, confirmed):
        await shop.cancelling.request(CARLA, order.id, "customer_request")

    assert await shipping.book(placed.id) == {"refused": "cancel_requested"}
    assert await shipping.book(confirmed.id) == {"refused": "order_cancelling"}


async def test_a_shipment_that_has_left_cannot_be_cancelled(
    shop: Shop, shipping: Shipping, carrier: Standin
) -> None:
    order = await shop.place()
    await shipping.book(order.id)
    carrier.fault("cancel", "status", status=409)

    assert await shipping.cancel(order.id) == {"refused": "shipment_unstoppable"}
    assert await shipping.cancel(order.id) == {}


async def test_a_provider_that_is_not_there_is_a_fault(shop: Shop) -> None:
    order = await shop.place()
    gateway = ShippingGateway(
        "http://127.0.0.1:9",
        known(API_KEY),
        timeout_s=1,
        breaker=Breaker("the carrier", fault=ShippingFault),
    )

    with pytest.raises(ShippingFault, match="ClientConnectorError on POST /v1/shipments"):
        await Shipping(shop.database, gateway).book(order.id)
    await gateway.close()
