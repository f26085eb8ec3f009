"""Payments: confirmations answered by the customer, and refunds."""

import uuid
from typing import Any

import httpx

from demo.shop import Person
from tests.rig.books import assert_sold, assert_undone, captured_and_refunded
from tests.rig.platform import Platform, eventually


async def payment_of(platform: Platform, person: Person, order_id: str) -> dict[str, Any]:
    answer = await platform.shop.call("GET", "/payments", person, params={"order_id": order_id})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["items"][0])


async def to_confirm(platform: Platform) -> str:
    """An order whose payment waits for the customer's confirmation."""
    order = await platform.shop.place(
        platform.alice, {platform.product(): 1}, payment_method="tok_confirmation_required"
    )

    async def waits() -> bool:
        answer = await platform.shop.call(
            "GET", "/payments", platform.alice, params={"order_id": order["id"]}
        )
        items = answer.json()["items"]
        return bool(items) and items[0]["status"] == "requires_action"

    await eventually(waits, "a payment to confirm")
    return str(order["id"])


async def answer_confirmation(
    platform: Platform, person: Person, order_id: str, code: str
) -> httpx.Response:
    return await platform.shop.call(
        "POST",
        "/payments",
        person,
        json={"order_id": order_id, "code": code},
        key=str(uuid.uuid4()),
    )


async def test_the_right_code_lets_the_order_go_on(platform: Platform) -> None:
    order_id = await to_confirm(platform)

    answer = await answer_confirmation(platform, platform.alice, order_id, "123456")

    assert answer.status_code == 200, answer.text
    await assert_sold(platform, await platform.shop.settled(platform.alice, order_id))


async def test_a_wrong_code_cancels_the_order(platform: Platform) -> None:
    order_id = await to_confirm(platform)

    await answer_confirmation(platform, platform.alice, order_id, "000000")

    order = await platform.shop.settled(platform.alice, order_id)
    await assert_undone(platform, order)
    assert order["cancel_reason"] == "confirmation_failed"


async def test_an_unanswered_confirmation_expires(platform: Platform) -> None:
    order_id = await to_confirm(platform)

    order = await platform.shop.settled(platform.alice, order_id)

    await assert_undone(platform, order)
    assert order["cancel_reason"] == "confirmation_expired"


async def test_nobody_confirms_someone_elses_payment(platform: Platform) -> None:
    order_id = await to_confirm(platform)

    answer = await answer_confirmation(platform, platform.bruno, order_id, "123456")

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def refund(
    platform: Platform, payment_id: str, amount: int, key: str | None = None
) -> httpx.Response:
    return await platform.shop.call(
        "POST",
        f"/payments/{payment_id}/refund",
        platform.oscar,
        json={"amount": amount, "reason": "damaged in transit"},
        key=key or str(uuid.uuid4()),
    )


async def test_refunds_add_up_to_what_was_captured_and_no_more(platform: Platform) -> None:
    order = await platform.shop.place(platform.alice, {platform.product(): 3})
    order = await platform.shop.settled(platform.alice, order["id"])
    payment = await payment_of(platform, platform.oscar, order["id"])
    total = order["gross_total"]

    first = await refund(platform, payment["id"], 100, key="refund-once-" + order["id"])
    again = await refund(platform, payment["id"], 100, key="refund-once-" + order["id"])
    too_much = await refund(platform, payment["id"], total)
    rest = await refund(platform, payment["id"], total - 100)
    nothing_left = await refund(platform, payment["id"], 1)

    assert [a.status_code for a in (first, again, too_much, rest, nothing_left)] == [
        201,
        201,
        409,
        201,
        409,
    ]
    assert again.json() == first.json()
    assert await captured_and_refunded(platform, order["id"]) == (total, total)
    assert (await payment_of(platform, platform.oscar, order["id"]))["status"] == "refunded"


async def test_a_client_refunds_nothing(platform: Platform) -> None:
    order = await platform.shop.place(platform.alice, {platform.product(): 1})
    order = await platform.shop.settled(platform.alice, order["id"])
    payment = await payment_of(platform, platform.alice, order["id"])

    answer = await platform.shop.call(
        "POST",
        f"/payments/{payment['id']}/refund",
        platform.alice,
        json={"amount": 1, "reason": "please"},
        key=str(uuid.uuid4()),
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await captured_and_refunded(platform, order["id"]) == (order["gross_total"], 0)


async def test_a_refund_that_times_out_after_its_effect_is_found_again(
    platform: Platform,
) -> None:
    order = await platform.shop.place(platform.alice, {platform.product(): 1})
    order = await platform.shop.settled(platform.alice, order["id"])
    payment = await payment_of(platform, platform.oscar, order["id"])
    await platform.payment.fault("refund", "timeout_after_effect", times=1)

    answer = await refund(platform, payment["id"], 50)
    assert answer.status_code in {201, 202}, answer.text

    async def refunded() -> bool:
        payment = await payment_of(platform, platform.oscar, order["id"])
        return bool(payment["refunded_amount"] == 50)

    await eventually(refunded, "the refund known to us")
    assert await captured_and_refunded(platform, order["id"]) == (order["gross_total"], 50)
