"""The saga's steps on money, against the gateway: once, whatever is repeated or lost."""

import asyncio

import pytest

from blueprints.payments.models import GatewayFault, StepResult
from tests.integration.payments.conftest import Order, Till
from tests.integration.payments.standins import Standin

HELD = {
    "status": "authorized",
    "authorized_amount": 2_500,
    "captured_amount": 0,
    "refunded_amount": 0,
}
TAKEN = HELD | {"status": "captured", "captured_amount": 2_500}
GIVEN_BACK = TAKEN | {"status": "refunded", "refunded_amount": 2_500}
NOTHING = HELD | {"status": "voided", "authorized_amount": 0}


async def authorised(till: Till) -> Order:
    order = till.book.placed()
    assert await till.authorising.authorise(order.id) == {}
    return order


async def captured(till: Till) -> Order:
    order = await authorised(till)
    assert await till.capturing.capture(order.id) == {}
    return order


async def test_each_step_twice_happens_once(till: Till, bank: Standin) -> None:
    order = till.book.placed()

    for step in (
        till.authorising.authorise,
        till.capturing.capture,
        till.refunding.refund_for_order,
        till.authorising.void,
    ):
        assert [await step(order.id), await step(order.id)] == [{}, {}]

    assert bank.operations(order.id) == ["authorize", "capture", "refund"]
    assert await till.row(order) == GIVEN_BACK
    assert await till.events(order) == [
        "payment.authorised.v1",
        "payment.captured.v1",
        "payment.refunded.v1",
    ]


async def test_each_step_at_the_same_time_happens_once(till: Till, bank: Standin) -> None:
    order = till.book.placed()

    for step in (
        till.authorising.authorise,
        till.capturing.capture,
        till.refunding.refund_for_order,
    ):
        answers = await asyncio.gather(*(step(order.id) for _ in range(4)))
        assert answers == [{}] * 4

    assert bank.operations(order.id) == ["authorize", "capture", "refund"]
    assert await till.row(order) == GIVEN_BACK


@pytest.mark.parametrize(
    ("payment_method", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_nobody_knows", "invalid_payment_method"),
    ],
)
async def test_a_decline_is_a_refusal_and_stays_one(
    payment_method: str, code: str, till: Till
) -> None:
    order = till.book.placed(payment_method)

    answers = [await till.authorising.authorise(order.id) for _ in range(2)]

    assert answers == [{"refused": code}] * 2
    assert await till.capturing.capture(order.id) == {"refused": code}
    assert await till.authorising.void(order.id) == {}
    assert await till.refunding.refund_for_order(order.id) == {}
    assert (await till.row(order))["status"] == "failed"
    assert await till.events(order) == ["payment.declined.v1"]


@pytest.mark.parametrize(
    ("status", "requested", "code"),
    [
        ("cancelling", True, "cancel_requested"),
        ("cancelled", False, "order_cancelled"),
        ("confirmed", False, "order_confirmed"),
    ],
)
async def test_no_step_goes_forward_once_the_order_has_moved_on(
    status: str, requested: bool, code: str, till: Till, bank: Standin
) -> None:
    order = till.book.placed()
    order.status, order.cancel_requested = status, requested

    for step in (till.authorising.authorise, till.capturing.capture):
        assert await step(order.id) == {"refused": code}

    assert bank.operations(order.id) == []


async def test_an_authorisation_whose_answer_is_lost_is_unknown_and_then_found(
    till: Till, bank: Standin
) -> None:
    order = till.book.placed("tok_timeout_after_effect")

    with pytest.raises(GatewayFault):
        await till.authorising.authorise(order.id)
    assert (await till.row(order))["status"] == "unknown"
    assert await till.conversations(order) == [("authorize", "unknown")]

    assert await till.authorising.authorise(order.id) == {}
    assert await till.row(order) == HELD
    assert await till.conversations(order) == [("authorize", "succeeded")]
    assert bank.operations(order.id) == ["authorize"]


@pytest.mark.parametrize("effect", ["timeout_after_effect", "status"])
async def test_voiding_an_unknown_authorisation_leaves_nothing_held(
    effect: str, till: Till, bank: Standin
) -> None:
    order = till.book.placed()
    bank.fault("authorize", effect)
    with pytest.raises(GatewayFault):
        await till.authorising.authorise(order.id)

    assert await till.authorising.void(order.id) == {}

    assert bank.operations(order.id) == ["authorize", "void"]
    assert (await till.row(order))["status"] == "voided"
    assert await till.authorising.authorise(order.id) == {"refused": "payment_voided"}
    assert await till.capturing.capture(order.id) == {"refused": "payment_voided"}


async def test_voiding_what_was_never_asked_for_bars_a_straggler(till: Till, bank: Standin) -> None:
    order = till.book.placed()

    assert await till.authorising.void(order.id) == {}

    assert await till.authorising.authorise(order.id) == {"refused": "payment_voided"}
    assert bank.operations(order.id) == []
    assert await till.row(order) == NOTHING
    assert await till.events(order) == []


async def test_a_void_whose_answer_is_lost_is_voided_once(till: Till, bank: Standin) -> None:
    order = await authorised(till)
    bank.fault("void", "timeout_after_effect")
    with pytest.raises(GatewayFault):
        await till.authorising.void(order.id)
    assert await till.row(order) == HELD

    assert await till.authorising.void(order.id) == {}

    assert bank.operations(order.id) == ["authorize", "void"]
    assert await till.row(order) == HELD | {"status": "voided"}


@pytest.mark.parametrize("kind", ["timeout_after_effect", "status", "drop"])
@pytest.mark.parametrize("operation", ["authorize", "capture", "refund"])
async def test_a_step_that_breaks_is_done_once_when_it_is_tried_again(
    operation: str, kind: str, till: Till, bank: Standin
) -> None:
    order = till.book.placed()
    steps = {
        "authorize": till.authorising.authorise,
        "capture": till.capturing.capture,
        "refund": till.refunding.refund_for_order,
    }
    for name, step in steps.items():
        if name == operation:
            bank.fault(operation, kind)
            with pytest.raises(GatewayFault):
                await step(order.id)
        assert await step(order.id) == {}

    assert bank.operations(order.id) == ["authorize", "capture", "refund"]
    assert await till.row(order) == GIVEN_BACK


async def test_a_capture_that_was_lost_after_its_effect_is_refunded(
    till: Till, bank: Standin
) -> None:
    order = await authorised(till)
    bank.fault("capture", "timeout_after_effect")
    with pytest.raises(GatewayFault):
        await till.capturing.capture(order.id)

    assert await till.refunding.refund_for_order(order.id) == {}

    assert bank.operations(order.id) == ["authorize", "capture", "refund"]
    assert await till.row(order) == GIVEN_BACK
    assert await till.conversations(order) == [
        ("authorize", "succeeded"),
        ("capture", "succeeded"),
        ("void", "refused"),
        ("refund", "succeeded"),
    ]


async def test_a_capture_that_was_lost_before_its_effect_is_voided_instead(
    till: Till, bank: Standin
) -> None:
    order = await authorised(till)
    bank.fault("capture", "status")
    with pytest.raises(GatewayFault):
        await till.capturing.capture(order.id)

    assert await till.refunding.refund_for_order(order.id) == {}

    assert bank.operations(order.id) == ["authorize", "void"]
    assert await till.row(order) == HELD | {"status": "voided"}
    assert await till.authorising.void(order.id) == {}
    assert await till.capturing.capture(order.id) == {"refused": "payment_voided"}


async def test_a_refund_that_the_gateway_refuses_is_a_fault(till: Till, bank: Standin) -> None:
    order = await captured(till)
    bank.fault("refund", "status", status=409)

    with pytest.raises(GatewayFault):
        await till.refunding.refund_for_order(order.id)

    assert await till.row(order) == TAKEN
    assert await till.refunding.refund_for_order(order.id) == {}
    assert await till.row(order) == GIVEN_BACK


@pytest.mark.parametrize("step", ["refund_for_order", "void"])
async def test_undoing_an_order_that_nobody_knows_is_done(step: str, till: Till) -> None:
    steps = {"refund_for_order": till.refunding.refund_for_order, "void": till.authorising.void}
    answer: StepResult = await steps[step](Order().id)

    assert answer == {}


async def test_giving_back_what_was_only_held_lets_it_go_before_a_straggler_takes_it(
    till: Till, bank: Standin
) -> None:
    order = await authorised(till)

    assert await till.refunding.refund_for_order(order.id) == {}

    assert await till.capturing.capture(order.id) == {"refused": "payment_voided"}
    assert await till.authorising.void(order.id) == {}
    assert bank.operations(order.id) == ["authorize", "void"]
