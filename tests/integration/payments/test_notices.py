"""The gateway says that something happened: it is asked what, and only that counts."""

import asyncio
from uuid import UUID, uuid4

import pytest

from blueprints.payments.models import GatewayFault, PaymentNotice
from blueprints.payments.reconciling import Reconciling
from shared.db import Database
from tests.integration.payments.conftest import Order, Till
from tests.integration.payments.standins import Standin


def notice(reference: object, *, type_: str = "payment.captured", id_: str = "") -> PaymentNotice:
    """A notice; its type and all else that it claims are wrong on purpose."""
    claims = {
        "id": id_ or f"evt_{uuid4().hex}",
        "type": type_,
        "data": {"reference": str(reference), "amount": 1, "status": "captured"},
    }
    return PaymentNotice.model_validate(claims)


@pytest.fixture
def patient(till: Till) -> Reconciling:
    """Reconciling that leaves questions of the last hour to who asked them."""
    return Reconciling(
        till.database,
        till.book,
        till.gateway,
        authorising=till.authorising,
        refunding=till.refunding,
        answering=till.answering,
        after_s=3600,
    )


async def taken(database: Database, *notices: PaymentNotice) -> int:
    """How many of these the inbox knows."""
    async with database.reading() as tx:
        cursor = await tx.execute(
            "SELECT count(*) FROM messaging.inbox"
            " WHERE consumer = 'payments-notices' AND event_id = ANY(%s)",
            ([told.id for told in notices],),
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def gateway_id(till: Till, order: Order) -> str:
    async with till.database.reading() as tx:
        cursor = await tx.execute(
            "SELECT gateway_id FROM payments.payments WHERE order_id = %s", (order.id,)
        )
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def test_a_lost_answer_is_known_before_reconciliation_is_due(
    till: Till, patient: Reconciling, bank: Standin
) -> None:
    order = till.book.placed()
    bank.fault("authorize", "timeout_after_effect")
    with pytest.raises(GatewayFault):
        await till.authorising.authorise(order.id)
    assert (await till.row(order))["status"] == "unknown"

    await patient.told(notice(order.id))

    assert await till.row(order) == {
        "status": "authorized",
        "authorized_amount": 2_500,
        "captured_amount": 0,
        "refunded_amount": 0,
    }
    assert bank.operations(order.id) == ["authorize"]


async def test_a_notice_is_believed_in_nothing(till: Till, patient: Reconciling) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)
    before, events = await till.row(order), await till.events(order)

    for type_ in ("payment.captured", "payment.voided", "payment.refunded", "anything.else"):
        await patient.told(notice(order.id, type_=type_))

    assert (await till.row(order), await till.events(order)) == (before, events)


async def test_a_customer_who_confirms_on_the_gateway_s_page_wakes_the_saga(
    till: Till, patient: Reconciling, bank: Standin
) -> None:
    order = till.book.placed("tok_confirmation_required")
    await till.authorising.authorise(order.id)
    bank.confirm_on_page(await gateway_id(till, order), "123456")

    await patient.told(notice(order.id))

    assert (await till.row(order))["status"] == "authorized"
    assert await till.events(order) == ["payment.authorised.v1", "payment.answered.v1"]
    assert till.dispatched.aggregates == [order.id]


async def test_a_notice_that_comes_often_and_at_once_happens_once(
    till: Till, patient: Reconciling, bank: Standin
) -> None:
    order = till.book.placed("tok_confirmation_required")
    await till.authorising.authorise(order.id)
    bank.confirm_on_page(await gateway_id(till, order), "000000")
    told = notice(order.id)

    await asyncio.gather(*(patient.told(told) for _ in range(4)))
    await patient.told(told)

    assert (await till.row(order))["status"] == "failed"
    assert (await till.events(order)).count("payment.declined.v1") == 1
    assert await taken(till.database, told) == 1


async def test_a_repeated_notice_does_not_ask_again(
    till: Till, patient: Reconciling, bank: Standin
) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)
    told = notice(order.id)
    await patient.told(told)
    bank.fault("get", "status", times=None)

    await patient.told(told)

    with pytest.raises(GatewayFault):
        await patient.told(notice(order.id))


async def test_what_a_call_under_way_will_answer_is_left_to_it(
    till: Till, patient: Reconciling, bank: Standin
) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)
    async with till.database.transaction() as tx:
        await tx.execute(
            "UPDATE payments.payment_transactions AS t SET outcome = 'sent', answered_at = NULL"
            " FROM payments.payments AS p WHERE p.id = t.payment_id AND p.order_id = %s",
            (order.id,),
        )
    bank.fault("get", "status", times=None)
    told = notice(order.id)

    await patient.told(told)

    assert await taken(till.database, told) == 1
    with pytest.raises(GatewayFault):  # one that asks no more is nobody's to leave it to
        await till.reconciling.told(notice(order.id))


async def test_a_gateway_that_does_not_answer_is_told_to_say_it_again(
    till: Till, patient: Reconciling, bank: Standin
) -> None:
    order = till.book.placed("tok_confirmation_required")
    await till.authorising.authorise(order.id)
    bank.confirm_on_page(await gateway_id(till, order), "123456")
    told = notice(order.id)
    bank.fault("get", "status")

    with pytest.raises(GatewayFault):
        await patient.told(told)
    assert ((await till.row(order))["status"], await taken(till.database, told)) == (
        *("requires_action", 0),
    )

    await patient.told(told)
    assert ((await till.row(order))["status"], await taken(till.database, told)) == (
        *("authorized", 1),
    )


async def test_money_of_a_cancelled_order_that_turns_up_goes_back(
    till: Till, patient: Reconciling, bank: Standin
) -> None:
    order = till.book.placed()
    bank.fault("authorize", "timeout_after_effect")
    with pytest.raises(GatewayFault):
        await till.authorising.authorise(order.id)
    order.status = "cancelled"

    await patient.told(notice(order.id))

    assert (await till.row(order))["status"] == "voided"
    assert bank.operations(order.id) == ["authorize", "void"]


@pytest.mark.parametrize("reference", ["", "SO-2026-000001", UUID(int=5), "0" * 128])
async def test_a_notice_about_nothing_of_ours_is_harmless(
    reference: object, patient: Reconciling, bank: Standin
) -> None:
    bank.fault("get", "status", times=None)

    await patient.told(notice(reference or "-"))
