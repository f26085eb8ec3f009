"""What was left without an answer is asked about; late money of cancelled orders is let go."""

import pytest

from blueprints.payments.models import GatewayFault
from tests.integration.payments.conftest import Till
from tests.integration.payments.standins import Standin


@pytest.mark.parametrize("kind", ["timeout_after_effect", "drop"])
async def test_an_unknown_authorisation_becomes_known(kind: str, till: Till, bank: Standin) -> None:
    order = till.book.placed()
    bank.fault("authorize", kind)
    with pytest.raises(GatewayFault):
        await till.authorising.authorise(order.id)

    await till.reconciling.run()

    assert (await till.row(order))["status"] == "authorized"
    assert bank.operations(order.id) == ["authorize"]


async def test_a_capture_that_took_effect_becomes_known(till: Till, bank: Standin) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)
    bank.fault("capture", "timeout_after_effect")
    with pytest.raises(GatewayFault):
        await till.capturing.capture(order.id)

    await till.reconciling.run()

    assert (await till.row(order))["status"] == "captured"


async def test_a_capture_that_took_no_effect_is_left_to_the_saga(till: Till, bank: Standin) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)
    bank.fault("capture", "status")
    with pytest.raises(GatewayFault):
        await till.capturing.capture(order.id)

    await till.reconciling.run()

    assert (await till.row(order))["status"] == "authorized"
    assert bank.operations(order.id) == ["authorize"]


@pytest.mark.parametrize(
    ("kind", "status", "operations"),
    [
        ("timeout_after_effect", "voided", ["authorize", "void"]),
        ("status", "voided", ["authorize", "void"]),
    ],
)
async def test_a_late_authorisation_of_a_cancelled_order_is_let_go(
    kind: str, status: str, operations: list[str], till: Till, bank: Standin
) -> None:
    order = till.book.placed()
    bank.fault("authorize", kind)
    with pytest.raises(GatewayFault):
        await till.authorising.authorise(order.id)
    order.status = "cancelled"

    await till.reconciling.run()

    assert (await till.row(order))["status"] == status
    assert bank.operations(order.id) == operations


@pytest.mark.parametrize(
    ("kind", "status", "operations"),
    [
        ("timeout_after_effect", "refunded", ["authorize", "capture", "refund"]),
        ("status", "voided", ["authorize", "void"]),
    ],
)
async def test_a_late_capture_of_a_cancelled_order_is_given_back(
    kind: str, status: str, operations: list[str], till: Till, bank: Standin
) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)
    bank.fault("capture", kind)
    with pytest.raises(GatewayFault):
        await till.capturing.capture(order.id)
    order.status = "cancelled"

    await till.reconciling.run()

    assert (await till.row(order))["status"] == status
    assert bank.operations(order.id) == operations


async def test_a_stuck_order_keeps_its_money_for_a_person_to_decide(
    till: Till, bank: Standin
) -> None:
    order = till.book.placed()
    await till.authorising.authorise(order.id)
    order.status = "stuck"

    await till.reconciling.run()

    assert (await till.row(order))["status"] == "authorized"
    assert bank.operations(order.id) == ["authorize"]


async def test_a_gateway_that_is_away_leaves_everything_for_the_next_run(
    till: Till, bank: Standin
) -> None:
    order = till.book.placed()
    bank.fault("authorize", "status", times=None)
    with pytest.raises(GatewayFault):
        await till.authorising.authorise(order.id)

    await till.reconciling.run()
    assert (await till.row(order))["status"] == "unknown"
    bank.reset()
    await till.reconciling.run()

    assert (await till.row(order))["status"] == "authorized"
