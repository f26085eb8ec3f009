"""How an order ends, whoever comes first and however often it is said."""

import asyncio
import logging
from uuid import uuid4

import pytest

from tests.integration.orders.conftest import CARLA, Shop


async def test_confirming_keeps_the_stock_and_happens_once(shop: Shop) -> None:
    order = await shop.place()

    answers = await asyncio.gather(*(shop.fulfilment.confirm(order.id) for _ in range(4)))

    assert answers == [{}] * 4
    assert await shop.fulfilment.confirm(order.id) == {}
    assert order.id in shop.stock.committed
    assert await shop.status(order) == "confirmed"
    assert await shop.moves(order) == [
        (None, "placed", "client", None),
        ("placed", "confirmed", "saga", None),
    ]
    assert await shop.events(order) == ["order.placed.v1", "order.confirmed.v1"]


async def test_an_order_without_its_stock_is_not_confirmed(shop: Shop) -> None:
    order = await shop.place()
    shop.stock.expired.add(order.id)

    assert await shop.fulfilment.confirm(order.id) == {"refused": "reservation_expired"}
    assert await shop.status(order) == "placed"


async def test_a_cancel_that_came_first_refuses_the_confirmation(shop: Shop) -> None:
    order = await shop.place()
    await shop.cancelling.request(CARLA, order.id, "customer_request")

    assert await shop.fulfilment.confirm(order.id) == {"refused": "cancel_requested"}
    assert await shop.status(order) == "cancelling"


async def test_cancel_and_confirmation_at_once_have_one_winner(shop: Shop) -> None:
    for _ in range(10):
        order = await shop.place()

        answer, _ = await asyncio.gather(
            shop.fulfilment.confirm(order.id),
            shop.cancelling.request(CARLA, order.id, "customer_request"),
        )

        fulfilment = await shop.book.fulfilment(order.id)
        assert fulfilment is not None
        assert fulfilment.cancel_requested == (answer == {"refused": "cancel_requested"})


@pytest.mark.parametrize(
    "since", [["shipped"], ["delivered"], ["returned"], ["cancelling"], ["cancelled"]]
)
async def test_a_confirmation_that_is_repeated_after_a_crash_is_done_whatever_followed(
    since: list[str], shop: Shop
) -> None:
    order = await shop.place()
    await shop.fulfilment.confirm(order.id)
    if since in (["cancelling"], ["cancelled"]):
        await shop.cancelling.request(CARLA, order.id, "customer_request")
    if since == ["cancelled"]:
        await shop.fulfilment.cancel(order.id, "cancel_requested")
    elif since != ["cancelling"]:
        await shop.moved(order, *since)
    committed = list(shop.stock.committed)

    assert await shop.fulfilment.confirm(order.id) == {}

    assert await shop.status(order) == since[0]
    assert shop.stock.committed == committed


async def test_a_cancelled_order_says_why_and_when(shop: Shop) -> None:
    order = await shop.place()

    answers = await asyncio.gather(
        *(shop.fulfilment.cancel(order.id, "card_declined") for _ in range(3))
    )

    assert answers == [{}] * 3
    cancelled = await shop.orders.get(CARLA, order.id)
    assert (cancelled.status, cancelled.cancel_reason) == ("cancelled", "card_declined")
    assert cancelled.cancelled_at is not None
    assert await shop.moves(order) == [
        (None, "placed", "client", None),
        ("placed", "cancelled", "saga", "card_declined"),
    ]
    assert await shop.events(order) == ["order.placed.v1", "order.cancelled.v1"]
    assert await shop.fulfilment.confirm(order.id) == {"refused": "order_cancelled"}


async def test_a_persons_reason_stands_above_the_sagas(shop: Shop) -> None:
    order = await shop.place()
    await shop.cancelling.request(CARLA, order.id, "customer_request")

    assert await shop.fulfilment.cancel(order.id, "internal_fault") == {}

    cancelled = await shop.orders.get(CARLA, order.id)
    assert (cancelled.cancel_reason, cancelled.cancel_cause) == (
        "cancel_requested",
        "customer_request",
    )


@pytest.mark.parametrize("where", ["shipped", "delivered", "returned"])
async def test_an_order_that_has_left_is_neither_cancelled_nor_parked(
    where: str, shop: Shop
) -> None:
    order = await shop.place()
    await shop.moved(order, where)

    assert await shop.fulfilment.cancel(order.id, "internal_fault") == {"refused": f"order_{where}"}
    assert await shop.fulfilment.park(
        order.id, "internal_fault", ["void_payment"], saga=str(order.id)
    ) == {"refused": f"order_{where}"}
    assert await shop.status(order) == where


async def test_a_saga_that_parks_twice_does_not_park_what_was_taken_up_meanwhile(
    shop: Shop,
) -> None:
    order = await shop.place()
    await shop.fulfilment.park(order.id, "card_declined", ["void_payment"], saga=str(order.id))
    await shop.cancelling.request(CARLA, order.id, "partner_recovered")

    again = await shop.fulfilment.park(
        order.id, "card_declined", ["void_payment"], saga=str(order.id)
    )

    assert again == {}
    assert await shop.status(order) == "cancelling"
    other = await shop.fulfilment.park(
        order.id, "x", ["release_stock"], saga=f"{order.id}:cancel:1"
    )
    assert other == {}
    assert await shop.status(order) == "stuck"
    assert [to for _, to, _, _ in await shop.moves(order)] == [
        "placed",
        "stuck",
        "cancelling",
        "stuck",
    ]


async def test_a_stuck_order_names_what_is_not_undone_and_pages(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    order = await shop.place()

    with caplog.at_level(logging.ERROR):
        answers = [
            await shop.fulfilment.park(
                order.id, "card_declined", ["void_payment", "release_stock"], saga=str(order.id)
            )
            for _ in range(2)
        ]

    assert answers == [{}] * 2
    assert await shop.status(order) == "stuck"
    assert (await shop.moves(order))[1:] == [
        ("placed", "stuck", "saga", "card_declined: void_payment, release_stock")
    ]
    assert await shop.events(order) == ["order.placed.v1", "order.stuck.v1"]
    assert f"order is stuck order_id={order.id}" in caplog.messages[0]


async def test_no_step_is_taken_for_an_order_that_nobody_knows(shop: Shop) -> None:
    nobody = uuid4()

    assert await shop.fulfilment.confirm(nobody) == {"refused": "order_unknown"}
    assert await shop.fulfilment.cancel(nobody, "x") == {"refused": "order_unknown"}
    assert await shop.fulfilment.park(nobody, "x", ["y"], saga=str(nobody)) == {
        "refused": "order_unknown"
    }
