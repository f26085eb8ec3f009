"""Calling an order off: the intent first, once, and not when the goods have left."""

import asyncio
from uuid import uuid4

import pytest

from blueprints.orders.models import OrderNotCancellable
from shared.problem import NotFound
from tests.integration.orders.conftest import CARLA, Shop, client


@pytest.mark.parametrize("where", ["placed", "confirmed"])
async def test_the_intent_is_written_down_with_where_the_order_was(where: str, shop: Shop) -> None:
    alice = client()
    order = await shop.place(alice)
    if where != "placed":
        await shop.moved(order, where)

    cancelling = await shop.cancelling.request(alice, order.id, "changed my mind")

    assert (cancelling.status, cancelling.version) == (
        "cancelling",
        order.version + 1 + (where != "placed"),
    )
    assert (cancelling.cancel_reason, cancelling.cancel_note) == (
        "cancel_requested",
        "changed my mind",
    )
    assert cancelling.cancelled_at is None
    assert await shop.events(order) == ["order.placed.v1", "order.cancel_requested.v1"]
    assert (await shop.moves(order))[-1] == (where, "cancelling", "client", "changed my mind")
    fulfilment = await shop.book.fulfilment(order.id)
    assert fulfilment is not None
    assert fulfilment.cancel_requested == (where == "placed")


async def test_asking_again_changes_nothing(shop: Shop) -> None:
    order = await shop.place()
    first = await shop.cancelling.request(CARLA, order.id, "customer phoned")
    before = await shop.rows()

    again = await asyncio.gather(
        *(shop.cancelling.request(CARLA, order.id, "and again") for _ in range(3))
    )

    assert again == [first] * 3
    assert await shop.rows() == before
    await shop.fulfilment.cancel(order.id, "cancel_requested")
    after = await shop.cancelling.request(CARLA, order.id, "once more")
    assert (after.status, after.cancel_note) == ("cancelled", "customer phoned")


@pytest.mark.parametrize("where", ["shipped", "delivered", "returned"])
async def test_goods_that_have_left_are_not_called_back(where: str, shop: Shop) -> None:
    order = await shop.place()
    await shop.moved(order, where)
    before = await shop.rows()

    with pytest.raises(OrderNotCancellable):
        await shop.cancelling.request(CARLA, order.id, "too late")

    assert (await shop.status(order), await shop.rows()) == (where, before)


async def test_nobody_cancels_for_another(shop: Shop) -> None:
    order = await shop.place()

    with pytest.raises(NotFound):
        await shop.cancelling.request(client(), order.id, "mine now")
    with pytest.raises(NotFound):
        await shop.cancelling.request(CARLA, uuid4(), "nothing there")

    assert await shop.status(order) == "placed"


async def test_a_stuck_order_can_be_cancelled_again(shop: Shop) -> None:
    order = await shop.place()
    await shop.fulfilment.park(order.id, "card_declined", ["void_payment"])

    await shop.cancelling.request(CARLA, order.id, "bank says it is free")
    await shop.fulfilment.park(order.id, "cancel_requested", ["void_payment"])
    await shop.cancelling.request(CARLA, order.id, "now it is")

    assert await shop.events(order) == [
        "order.placed.v1",
        "order.stuck.v1",
        "order.cancel_requested.v1",
        "order.stuck.v1",
        "order.cancel_requested.v1",
    ]
