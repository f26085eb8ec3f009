"""Refunds that people ask for: in part, repeated, at the same time, without an answer."""

import asyncio
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blueprints.payments.models import (
    NotRefundable,
    Refund,
    RefundPayment,
    RefundTooLarge,
)
from shared.auth import Caller
from shared.idempotency import IdempotencyKey
from shared.problem import IdempotencyKeyReused, NotFound
from tests.integration.payments.conftest import Order, Till
from tests.integration.payments.standins import Standin

OSCAR = Caller("employee", uuid4())


async def captured(till: Till, total: int = 2_500) -> tuple[Order, UUID]:
    order = till.book.placed(total=total)
    assert await till.authorising.authorise(order.id) == {}
    assert await till.capturing.capture(order.id) == {}
    async with till.database.reading() as tx:
        cursor = await tx.execute(
            "SELECT id FROM payments.payments WHERE order_id = %s", (order.id,)
        )
        row = await cursor.fetchone()
    assert row is not None
    return order, row[0]


async def refund(
    till: Till, payment_id: UUID, amount: int | None, *, key: str | None = None
) -> Refund:
    return await till.refunding.refund(
        OSCAR,
        payment_id,
        RefundPayment(amount=amount, reason="arrived broken"),
        IdempotencyKey(OSCAR.id, "refund", key or str(uuid4()), f"{payment_id}{amount}"),
    )


async def test_parts_add_up_to_the_whole_and_no_further(till: Till, bank: Standin) -> None:
    order, payment_id = await captured(till)

    first = await refund(till, payment_id, 1_000)
    assert (first.status, first.amount) == ("succeeded", 1_000)
    assert (await till.row(order))["status"] == "partially_refunded"
    with pytest.raises(RefundTooLarge) as refused:
        await refund(till, payment_id, 1_501)
    assert refused.value.extra == {"refundable": 1_500}
    rest = await refund(till, payment_id, None)
    assert rest.amount == 1_500
    assert await till.payments.refund_amount(first.id) == 1_000
    assert await till.payments.refund_amount(rest.id) == 1_500
    assert await till.payments.refund_amount(uuid4()) is None

    assert (await till.row(order))["status"] == "refunded"
    with pytest.raises(NotRefundable):
        await refund(till, payment_id, 1)
    assert bank.operations(order.id) == ["authorize", "capture", "refund", "refund"]
    assert await till.events(order) == [
        "payment.authorised.v1",
        "payment.captured.v1",
        "payment.refunded.v1",
        "payment.refunded.v1",
    ]


async def test_repeating_a_key_refunds_once(till: Till, bank: Standin) -> None:
    order, payment_id = await captured(till)

    first = await refund(till, payment_id, 500, key="same")
    again = await refund(till, payment_id, 500, key="same")

    assert again == first
    assert bank.operations(order.id) == ["authorize", "capture", "refund"]
    with pytest.raises(IdempotencyKeyReused):
        await refund(till, payment_id, 501, key="same")


async def test_a_refused_refund_may_be_corrected_under_its_key(till: Till) -> None:
    _, payment_id = await captured(till)
    with pytest.raises(RefundTooLarge):
        await refund(till, payment_id, 9_999, key="corrected")

    assert (await refund(till, payment_id, 999, key="corrected")).amount == 999


async def test_buyers_of_the_same_money_never_get_more_than_there_is(
    till: Till, bank: Standin
) -> None:
    order, payment_id = await captured(till)

    outcomes = await asyncio.gather(
        *(refund(till, payment_id, 1_000) for _ in range(5)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes].count(RefundTooLarge) == 3
    assert sum(e["amount"] for e in bank.entries(order.id) if e["operation"] == "refund") == 2_000
    assert (await till.row(order))["refunded_amount"] == 2_000


async def test_there_is_nothing_to_refund_of_what_was_not_captured(till: Till) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)
    async with till.database.reading() as tx:
        cursor = await tx.execute(
            "SELECT id FROM payments.payments WHERE order_id = %s", (order.id,)
        )
        row = await cursor.fetchone()
    assert row is not None

    with pytest.raises(NotRefundable):
        await refund(till, row[0], 1)
    with pytest.raises(NotFound):
        await refund(till, uuid4(), 1)


async def test_a_refund_without_an_answer_is_pending_and_counts_as_given(
    till: Till, bank: Standin
) -> None:
    order, payment_id = await captured(till)
    bank.fault("refund", "timeout_after_effect")

    pending = await refund(till, payment_id, 2_000)

    assert pending.status == "pending"
    with pytest.raises(RefundTooLarge):
        await refund(till, payment_id, 501)
    assert await till.refunding.refund_for_order(order.id) == {}
    assert bank.operations(order.id) == ["authorize", "capture", "refund", "refund"]
    assert (await till.row(order))["refunded_amount"] == 2_500


async def test_a_refund_that_the_gateway_refuses_sets_its_money_free(
    till: Till, bank: Standin
) -> None:
    order, payment_id = await captured(till)
    bank.fault("refund", "status", status=409)

    assert (await refund(till, payment_id, 2_000)).status == "failed"

    assert (await refund(till, payment_id, 2_500)).status == "succeeded"
    assert (await till.row(order))["status"] == "refunded"


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    total=st.integers(1, 10_000),
    wishes=st.lists(st.integers(1, 10_000), max_size=6),
    lost=st.sets(st.integers(0, 5)),
)
async def test_books_and_gateway_agree_whatever_is_refunded(
    total: int,
    wishes: list[int],
    lost: set[int],
    till: Till,
    bank: Standin,
) -> None:
    order, payment_id = await captured(till, total)
    left = total
    for number, wish in enumerate(wishes):
        if number in lost and 0 < wish <= left:
            bank.fault("refund", "drop")
        if left == 0:
            with pytest.raises(NotRefundable):
                await refund(till, payment_id, wish)
        elif wish > left:
            with pytest.raises(RefundTooLarge):
                await refund(till, payment_id, wish)
        else:
            await refund(till, payment_id, wish)
            left -= wish
    await till.reconciling.run()

    ours = await till.row(order)
    theirs = [e["amount"] for e in bank.entries(order.id) if e["operation"] == "refund"]
    assert ours["refunded_amount"] == sum(theirs) == total - left
    assert await till.refunding.refund_for_order(order.id) == {}
    assert await till.row(order) == {
        "status": "refunded",
        "authorized_amount": total,
        "captured_amount": total,
        "refunded_amount": total,
    }
