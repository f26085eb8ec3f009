"""The carrier says where a parcel is: its order moves along, once, never back."""

import asyncio
import logging
from uuid import uuid4

import pytest

from blueprints.orders.fulfilment_models import CarrierNotice
from blueprints.orders.models import Order, ShipmentAhead
from tests.integration.orders.conftest import CARLA, Shop

PARCEL = "shp_1"


def notice(order: Order, happened: str, *, shipment: str = PARCEL) -> CarrierNotice:
    data = {"shipment_id": shipment, "reference": str(order.id), "tracking_number": "CX1DE"}
    claims = {"id": f"evt_{uuid4().hex}", "type": f"shipment.{happened}", "data": data}
    return CarrierNotice.model_validate(claims)


async def sent(shop: Shop, *statuses: str) -> Order:
    """An order whose parcel was booked, in the last of `statuses`."""
    order = await shop.place()
    async with shop.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO orders.shipments"
            " (order_id, status, provider_id, tracking_number, booked_at)"
            " VALUES (%s, 'booked', %s, 'CX1DE', now())",
            (order.id, PARCEL),
        )
    if statuses:
        await shop.fulfilment.confirm(order.id)
        await shop.moved(order, *statuses)
    shop.dispatched.aggregates.clear()
    return order


async def test_a_delivery_ends_the_way_of_a_shipped_order(shop: Shop) -> None:
    order = await sent(shop, "shipped")

    await shop.fulfilment.carried(notice(order, "delivered"))

    assert await shop.status(order) == "delivered"
    assert (await shop.moves(order))[-1] == (
        *("shipped", "delivered", "saga"),
        "reported by the carrier",
    )
    assert (await shop.events(order))[-1] == "order.delivered.v1"
    assert shop.dispatched.aggregates == [order.id]


async def test_a_collected_parcel_has_left_whoever_forgot_to_say_so(shop: Shop) -> None:
    order = await sent(shop, "confirmed")

    await shop.fulfilment.carried(notice(order, "collected"))

    assert await shop.status(order) == "shipped"
    assert (await shop.events(order))[-1] == "order.shipped.v1"


async def test_notices_that_overtake_each_other_and_come_twice_lead_to_the_same_end(
    shop: Shop,
) -> None:
    order = await sent(shop, "confirmed")
    collected, delivered = notice(order, "collected"), notice(order, "delivered")

    await asyncio.gather(*(shop.fulfilment.carried(delivered) for _ in range(4)))
    await shop.fulfilment.carried(collected)
    await shop.fulfilment.carried(notice(order, "delivered"))

    assert await shop.status(order) == "delivered"
    assert await shop.events(order) == [
        "order.placed.v1",
        "order.confirmed.v1",
        "order.shipped.v1",
        "order.delivered.v1",
    ]


async def test_a_parcel_that_is_faster_than_its_order_is_said_again_later(shop: Shop) -> None:
    order = await sent(shop)
    told = notice(order, "delivered")

    with pytest.raises(ShipmentAhead):
        await shop.fulfilment.carried(told)
    assert await shop.status(order) == "placed"

    await shop.fulfilment.confirm(order.id)
    await shop.fulfilment.carried(told)
    assert await shop.status(order) == "delivered"


@pytest.mark.parametrize(
    ("happened", "shipment"),
    [("delivered", "shp_2"), ("lost", PARCEL), ("delivered", "'; DROP TABLE orders.orders --")],
)
async def test_what_is_about_another_parcel_or_unknown_changes_nothing(
    happened: str, shipment: str, shop: Shop
) -> None:
    order = await sent(shop, "shipped")
    before = await shop.moves(order), await shop.events(order)

    await shop.fulfilment.carried(notice(order, happened, shipment=shipment))

    assert (await shop.moves(order), await shop.events(order)) == before
    assert await shop.status(order) == "shipped"


@pytest.mark.parametrize("reference", ["x", "0193c3a1-7b00-7000-8000-000000000000"])
async def test_a_notice_about_no_order_of_ours_is_harmless(reference: str, shop: Shop) -> None:
    data = {"shipment_id": PARCEL, "reference": reference}
    claims = {"id": "evt_of_others", "type": "shipment.delivered", "data": data}

    await shop.fulfilment.carried(CarrierNotice.model_validate(claims))

    assert shop.dispatched.aggregates == []


async def test_the_parcel_of_an_order_that_is_called_off_is_for_a_person_to_look_at(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    order = await sent(shop, "confirmed")
    await shop.cancelling.request(CARLA, order.id, "customer_request")

    with caplog.at_level(logging.ERROR):
        await shop.fulfilment.carried(notice(order, "delivered"))

    assert await shop.status(order) == "cancelling"
    assert [record.getMessage() for record in caplog.records] == [
        f"shipment.delivered of an order that is cancelling order_id={order.id}"
    ]
