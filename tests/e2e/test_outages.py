"""Partners and parts that are down, slow, or fail after their effect: nothing lost or doubled."""

import pytest

from tests.rig.books import (
    assert_nothing_kept,
    assert_sold,
    assert_undone,
    captured_and_refunded,
)
from tests.rig.partners import Partner
from tests.rig.platform import Platform, eventually

CALLS = [
    ("payment", "authorize"),
    ("shipping", "book"),
    ("payment", "capture"),
]
STEPS = [
    ("payment", "authorize", "authorise_payment"),
    ("shipping", "book", "book_shipment"),
    ("payment", "capture", "capture_payment"),
]


def timeout_s(platform: Platform) -> float:
    """How long our side waits for a partner."""
    return float(platform.cloud.environment["PARTNER_TIMEOUT_S"])


async def stuck_undos(platform: Platform, order_id: str) -> list[str]:
    order = await platform.row("SELECT stuck_undos FROM orders.orders WHERE id = %s", order_id)
    return list(order["stuck_undos"])


@pytest.mark.parametrize(("partner", "operation"), CALLS)
async def test_a_partner_that_fails_twice_costs_only_time(
    partner: str, operation: str, platform: Platform
) -> None:
    await getattr(platform, partner).fault(operation, "status", status=503, times=2)

    order = await platform.shop.place(platform.alice, {platform.product(): 1})

    await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))


@pytest.mark.parametrize(("partner", "operation"), CALLS)
async def test_a_partner_that_fails_after_its_effect_is_not_asked_twice(
    partner: str, operation: str, platform: Platform
) -> None:
    await getattr(platform, partner).fault(operation, "timeout_after_effect", times=1)

    order = await platform.shop.place(platform.alice, {platform.product(): 1})

    settled = await platform.shop.settled(platform.alice, order["id"])
    await assert_sold(platform, settled)
    entries = await getattr(platform, partner).entries(order["id"])
    assert [e["operation"] for e in entries].count(operation) == 1


@pytest.mark.parametrize(("partner", "operation"), CALLS)
async def test_a_dropped_connection_is_tried_again(
    partner: str, operation: str, platform: Platform
) -> None:
    await getattr(platform, partner).fault(operation, "drop", times=1)

    order = await platform.shop.place(platform.alice, {platform.product(): 1})

    await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))


async def test_the_token_that_times_out_after_its_effect_pays_once(platform: Platform) -> None:
    order = await platform.shop.place(
        platform.alice, {platform.product(): 1}, payment_method="tok_timeout_after_effect"
    )

    await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))


@pytest.mark.parametrize(("partner", "operation", "step"), STEPS)
async def test_a_slow_partner_costs_only_time(
    partner: str, operation: str, step: str, platform: Platform
) -> None:
    slow_s = timeout_s(platform) / 2
    await getattr(platform, partner).fault(operation, "latency", delay_s=slow_s)

    order = await platform.shop.place(platform.alice, {platform.product(): 1})

    await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))
    assert await platform.attempts(order["id"], step) == 1


@pytest.mark.parametrize(("partner", "operation", "step"), STEPS)
async def test_a_partner_that_is_too_slow_is_asked_again_for_the_same_thing(
    partner: str, operation: str, step: str, platform: Platform
) -> None:
    """The first call takes effect although nobody waits for it any more; the second is under way
    by then."""
    too_slow_s = timeout_s(platform) * 1.5
    side: Partner = getattr(platform, partner)
    await side.fault(operation, "latency", delay_s=too_slow_s)
    async with side.barrier(operation, "after_effect") as both:
        order = await platform.shop.place(platform.alice, {platform.product(): 1})
        await both.reached(count=2)

    await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))
    assert [e["operation"] for e in await side.entries(order["id"])].count(operation) == 1
    assert await platform.attempts(order["id"], step) == 2


async def test_a_partner_that_stays_down_parks_the_order(platform: Platform) -> None:
    """Nobody can know whether the provider has booked: that, and only that, is left to a person."""
    await platform.shipping.fault("book", "status", status=503, times=None)

    order = await platform.shop.place(platform.alice, {platform.product(): 1})

    settled = await platform.shop.settled(platform.alice, order["id"], within_s=20)
    assert settled["status"] == "stuck"
    assert await stuck_undos(platform, order["id"]) == ["cancel_shipment"]
    await assert_nothing_kept(platform, order["id"])
    assert await captured_and_refunded(platform, order["id"]) == (0, 0)
    payment = await platform.row(
        "SELECT status FROM payments.payments WHERE order_id = %s", order["id"]
    )
    assert payment == {"status": "voided"}
    reservations = await platform.rows(
        "SELECT DISTINCT status FROM products.reservations WHERE order_id = %s", order["id"]
    )
    assert reservations == [{"status": "released"}]


async def test_an_undo_that_keeps_failing_parks_the_order(platform: Platform) -> None:
    await platform.payment.fault("void", "status", status=503, times=None)

    order = await platform.shop.place(
        platform.alice,
        {platform.product(): 1},
        address={"name": "A", "line1": "B", "city": "C", "postal_code": "00099", "country": "DE"},
    )

    settled = await platform.shop.settled(platform.alice, order["id"], within_s=20)
    assert settled["status"] == "stuck"
    assert await stuck_undos(platform, order["id"]) == ["void_payment"]


async def test_a_stuck_order_is_undone_when_a_person_decides(platform: Platform) -> None:
    await platform.payment.fault("void", "status", status=503, times=None)
    order = await platform.shop.place(
        platform.alice,
        {platform.product(): 1},
        address={"name": "A", "line1": "B", "city": "C", "postal_code": "00099", "country": "DE"},
    )
    await platform.shop.settled(platform.alice, order["id"], within_s=20)
    await platform.reset_partners()

    answer = await platform.shop.call(
        "DELETE", f"/orders/{order['id']}", platform.oscar, params={"reason": "partner_recovered"}
    )
    assert answer.status_code == 202, answer.text

    async def cancelled() -> bool:
        now = await platform.shop.order(platform.alice, order["id"])
        return bool(now["status"] == "cancelled")

    await eventually(cancelled, "the stuck order cancelled")
    await assert_undone(platform, await platform.shop.order(platform.alice, order["id"]))


async def test_an_order_placed_while_the_broker_is_down_is_fulfilled_later(
    platform: Platform,
) -> None:
    await platform.kill("servicebus")
    order = await platform.shop.place(platform.alice, {platform.product(): 1})
    assert order["status"] == "placed"
    await platform.start("servicebus")

    await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))


async def test_orders_are_placed_and_fulfilled_without_redis(platform: Platform) -> None:
    await platform.kill("valkey")
    try:
        order = await platform.shop.place(platform.alice, {platform.product(): 1})
        await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))
    finally:
        await platform.start("valkey")


async def test_a_killed_database_costs_only_time(platform: Platform) -> None:
    async with platform.payment.barrier("authorize", "after_effect") as authorised:
        order = await platform.shop.place(platform.alice, {platform.product(): 1})
        await authorised.reached()
        await platform.kill("postgres")
        await platform.start("postgres")
    await platform.reconnect()

    await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))
