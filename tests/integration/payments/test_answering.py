"""The customer's answer to a payment that waits for one."""

from uuid import UUID, uuid4

import pytest

from blueprints.payments.models import AnswerConfirmation, ConfirmationNotPending, Payment
from shared.auth import Caller
from shared.idempotency import IdempotencyKey
from shared.problem import IdempotencyKeyReused, NotFound, PartnerUnavailable
from tests.integration.payments.conftest import Order, Till
from tests.integration.payments.standins import Standin

RIGHT, WRONG = "123456", "000000"
PENDING = {"pending": "confirmation", "window_s": 900}


async def waiting(till: Till) -> Order:
    order = till.book.placed("tok_confirmation_required")
    assert await till.authorising.authorise(order.id) == PENDING
    return order


async def answer(
    till: Till, order: Order, code: str, *, key: str | None = None, by: UUID | None = None
) -> Payment:
    caller = by or order.customer_id
    return await till.answering.answer(
        Caller("client", caller),
        AnswerConfirmation(order_id=order.id, code=code),
        IdempotencyKey(caller, "answer_confirmation", key or str(uuid4()), code),
    )


async def test_the_right_code_authorises_and_wakes_the_saga(till: Till, bank: Standin) -> None:
    order = await waiting(till)

    payment = await answer(till, order, RIGHT)

    assert (payment.status, payment.authorized_amount) == ("authorized", 2_500)
    assert await till.authorising.authorise(order.id) == {}
    assert bank.operations(order.id) == ["authorize", "confirm"]
    assert await till.events(order) == ["payment.authorised.v1", "payment.answered.v1"]
    assert till.dispatched.aggregates[-1] == order.id
    assert [(e.kind, e.public) for e in await till.payments.history(order.id)] == [
        ("confirmation_required", True),
        ("authorised", True),
    ]


async def test_a_wrong_code_fails_the_payment_for_good(till: Till) -> None:
    order = await waiting(till)

    payment = await answer(till, order, WRONG)

    assert (payment.status, payment.decline_code) == ("failed", "confirmation_failed")
    assert await till.authorising.authorise(order.id) == {"refused": "confirmation_failed"}
    with pytest.raises(ConfirmationNotPending):
        await answer(till, order, RIGHT)
    assert await till.events(order) == ["payment.declined.v1", "payment.answered.v1"]


async def test_repeating_a_key_sends_no_second_code(till: Till, bank: Standin) -> None:
    order = await waiting(till)

    first = await answer(till, order, RIGHT, key="same")
    again = await answer(till, order, RIGHT, key="same")

    assert again == first
    assert bank.operations(order.id) == ["authorize", "confirm"]
    with pytest.raises(IdempotencyKeyReused):
        await answer(till, order, WRONG, key="same")


async def test_nobody_answers_for_another(till: Till, bank: Standin) -> None:
    order = await waiting(till)

    with pytest.raises(NotFound):
        await answer(till, order, RIGHT, by=uuid4())
    with pytest.raises(NotFound):
        await answer(till, Order(), RIGHT)

    assert bank.operations(order.id) == ["authorize"]
    assert await till.authorising.authorise(order.id) == PENDING


async def test_a_payment_that_does_not_wait_takes_no_answer(till: Till) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)

    with pytest.raises(ConfirmationNotPending):
        await answer(till, order, RIGHT)


async def test_an_answer_that_is_lost_after_its_effect_is_found_by_the_saga(
    till: Till, bank: Standin
) -> None:
    order = await waiting(till)
    bank.fault("confirm", "timeout_after_effect")

    with pytest.raises(PartnerUnavailable):
        await answer(till, order, RIGHT)

    assert await till.events(order) == ["payment.answered.v1"]
    assert await till.authorising.authorise(order.id) == {}
    assert await till.conversations(order) == [
        ("authorize", "requires_action"),
        ("confirm", "succeeded"),
    ]


async def test_an_answer_that_is_lost_before_its_effect_can_be_given_again(
    till: Till, bank: Standin
) -> None:
    order = await waiting(till)
    bank.fault("confirm", "status")
    with pytest.raises(PartnerUnavailable):
        await answer(till, order, RIGHT)
    assert await till.authorising.authorise(order.id) == PENDING

    assert (await answer(till, order, RIGHT)).status == "authorized"


async def test_an_unconfirmed_payment_is_voided(till: Till, bank: Standin) -> None:
    order = await waiting(till)

    assert await till.authorising.void(order.id) == {}

    assert bank.operations(order.id) == ["authorize", "void"]
    with pytest.raises(ConfirmationNotPending):
        await answer(till, order, RIGHT)
