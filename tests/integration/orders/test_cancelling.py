"""Calling an order off: the intent first, once, and not when the goods have left."""

import asyncio
from typing import get_args
from uuid import uuid4

import pytest

from blueprints.orders.models import (
    CLIENT_CAUSES,
    EMPLOYEE_CAUSES,
    CancelCause,
    OrderNotCancellable,
)
from shared.problem import NotFound
from tests.integration.orders.conftest import CARLA, Shop, client


@pytest.mark.parametrize("where", ["placed", "confirmed"])
async def test_the_intent_is_written_down_with_where_the_order_was(where: str, shop: Shop) -> None:
    alice = client()
    order = await shop.place(alice)
    if where != "placed":
        await shop.moved(order, where)

    cancelling = await shop.cancelling.request(alice, order.id, "changed_mind")

    assert (cancelling.status, cancelling.version) == (
        "cancelling",
        order.version + 1 + (where != "placed"),
    )
    assert (cancelling.cancel_reason, cancelling.cancel_cause) == (
        "cancel_requested",
        "changed_mind",
    )
    assert cancelling.cancelled_at is None
    assert await shop.events(order) == ["order.placed.v1", "order.cancel_requested.v1"]
    assert (await shop.moves(order))[-1] == (where, "cancelling", "client", "changed_mind")
    fulfilment = await shop.book.fulfilment(order.id)
    assert fulfilment is not None
    assert fulfilment.cancel_requested == (where == "placed")


@pytest.mark.parametrize("cause", [*CLIENT_CAUSES, *EMPLOYEE_CAUSES])
async def test_customers_are_told_every_cause_but_the_employees_own(
    cause: CancelCause, shop: Shop
) -> None:
    alice = client()
    order = await shop.place(alice)

    answer = await shop.cancelling.request(CARLA, order.id, cause)

    assert answer.cancel_cause == cause
    told = None if cause in EMPLOYEE_CAUSES else cause
    assert (await shop.orders.get(CARLA, order.id)).cancel_cause == cause
    assert (await shop.orders.get(alice, order.id)).cancel_cause == told
    again = await shop.cancelling.request(alice, order.id, "changed_mind")
    assert again.cancel_cause == told


def test_every_cause_is_explained_once() -> None:
    assert sorted([*CLIENT_CAUSES, *EMPLOYEE_CAUSES]) == sorted(get_args(CancelCause.__value__))


async def test_asking_again_changes_nothing(shop: Shop) -> None:
    order = await shop.place()
    first = await shop.cancelling.request(CARLA, order.id, "customer_request")
    before = await shop.rows()

    again = await asyncio.gather(
        *(shop.cancelling.request(CARLA, order.id, "ordered_by_mistake") for _ in range(3))
    )

    assert again == [first] * 3
    assert await shop.rows() == before
    await shop.fulfilment.cancel(order.id, "cancel_requested")
    after = await shop.cancelling.request(CARLA, order.id, "other")
    assert (after.status, after.cancel_cause) == ("cancelled", "customer_request")


@pytest.mark.parametrize("where", ["shipped", "delivered", "returned"])
async def test_goods_that_have_left_are_not_called_back(where: str, shop: Shop) -> None:
    order = await shop.place()
    await shop.moved(order, where)
    before = await shop.rows()

    with pytest.raises(OrderNotCancellable):
        await shop.cancelling.request(CARLA, order.id, "delivery_too_slow")

    assert (await shop.status(order), await shop.rows()) == (where, before)


async def test_nobody_cancels_for_another(shop: Shop) -> None:
    order = await shop.place()

    with pytest.raises(NotFound):
        await shop.cancelling.request(client(), order.id, "changed_mind")
    with pytest.raises(NotFound):
        await shop.cancelling.request(CARLA, uuid4(), "other")

    assert await shop.status(order) == "placed"


async def test_a_stuck_order_can_be_cancelled_again(shop: Shop) -> None:
    order = await shop.place()
    await shop.fulfilment.park(order.id, "card_declined", ["void_payment"], saga=str(order.id))

    await shop.cancelling.request(CARLA, order.id, "partner_recovered")
    await shop.fulfilment.park(
        order.id, "cancel_requested", ["void_payment"], saga=f"{order.id}:cancel:1"
    )
    await shop.cancelling.request(CARLA, order.id, "partner_recovered")

    assert await shop.events(order) == [
        "order.placed.v1",
        "order.stuck.v1",
        "order.cancel_requested.v1",
        "order.stuck.v1",
        "order.cancel_requested.v1",
    ]
