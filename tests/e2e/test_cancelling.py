"""Cancelling: before the saga starts, while it runs, while it waits, and afterwards."""

from typing import Any

import httpx

from tests.rig.books import assert_undone
from tests.rig.platform import Platform, eventually


async def cancel(platform: Platform, order: dict[str, Any]) -> httpx.Response:
    return await platform.shop.call(
        "DELETE", f"/orders/{order['id']}", platform.alice, params={"reason": "changed_mind"}
    )


async def test_an_order_is_cancelled_before_its_saga_starts(platform: Platform) -> None:
    await platform.kill("servicebus")
    order = await platform.shop.place(platform.alice, {platform.product(): 1})
    answer = await cancel(platform, order)
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    await platform.start("servicebus")

    cancelled = await platform.shop.settled(platform.alice, order["id"])

    await assert_undone(platform, cancelled)
    assert await platform.payment.entries(order["id"]) == []


async def test_a_running_saga_notices_the_cancellation(platform: Platform) -> None:
    async with platform.shipping.barrier("book", "before_effect") as booking:
        order = await platform.shop.place(platform.alice, {platform.product(): 1})
        await booking.reached()
        assert (await cancel(platform, order)).status_code == 202

    await assert_undone(platform, await platform.shop.settled(platform.alice, order["id"]))


async def test_a_waiting_saga_is_woken_by_the_cancellation(platform: Platform) -> None:
    order = await platform.shop.place(
        platform.alice, {platform.product(): 1}, payment_method="tok_confirmation_required"
    )
    await eventually(lambda: awaits_confirmation(platform, order), "a payment to confirm")

    assert (await cancel(platform, order)).status_code == 202

    await assert_undone(platform, await platform.shop.settled(platform.alice, order["id"]))


async def test_a_confirmed_order_is_cancelled_and_refunded(platform: Platform) -> None:
    order = await platform.shop.place(platform.alice, {platform.product(): 2})
    await platform.shop.settled(platform.alice, order["id"])

    assert (await cancel(platform, order)).status_code == 202
    await eventually(lambda: is_cancelled(platform, order), "the order cancelled")

    await assert_undone(platform, await platform.shop.order(platform.alice, order["id"]))


async def test_cancelling_twice_cancels_once(platform: Platform) -> None:
    order = await platform.shop.place(platform.alice, {platform.product(): 1})
    await platform.shop.settled(platform.alice, order["id"])

    answers = [await cancel(platform, order), await cancel(platform, order)]
    await eventually(lambda: is_cancelled(platform, order), "the order cancelled")

    assert [answer.status_code for answer in answers] == [202, 202]
    requests = await platform.rows(
        "SELECT 1 FROM messaging.outbox"
        " WHERE aggregate_id = %s AND type = 'order.cancel_requested.v1'",
        order["id"],
    )
    assert len(requests) == 1
    await assert_undone(platform, await platform.shop.order(platform.alice, order["id"]))


async def test_a_shipped_order_is_not_cancelled(platform: Platform) -> None:
    order = await platform.shop.place(platform.alice, {platform.product(): 1})
    await platform.shop.settled(platform.alice, order["id"])
    current = await platform.shop.call("GET", f"/orders/{order['id']}", platform.oscar)
    moved = await platform.shop.call(
        "PUT",
        f"/orders/{order['id']}/status",
        platform.oscar,
        json={"status": "shipped"},
        if_match=current.headers["ETag"],
    )
    assert moved.status_code == 200, moved.text

    answer = await cancel(platform, order)

    assert answer.status_code == 409
    assert (await platform.shop.order(platform.alice, order["id"]))["status"] == "shipped"


async def awaits_confirmation(platform: Platform, order: dict[str, Any]) -> bool:
    answer = await platform.shop.call(
        "GET", "/payments", platform.alice, params={"order_id": order["id"]}
    )
    items = answer.json()["items"]
    return bool(items) and items[0]["status"] == "requires_action"


async def is_cancelled(platform: Platform, order: dict[str, Any]) -> bool:
    now = await platform.shop.order(platform.alice, order["id"])
    return bool(now["status"] == "cancelled")
