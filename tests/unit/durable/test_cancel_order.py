"""The cancellation saga: everything is tried, whatever was done."""

import pytest

from durable import cancel_order as module
from tests.unit.durable.rehearsal import FAULT, ORDER, Stage, definition

cancel_order_saga = definition(module.cancel_order_saga)

UNDOS = ["cancel_shipment", "refund_payment", "void_payment", "release_stock"]


def test_everything_is_undone_and_the_order_cancelled() -> None:
    stage = Stage()

    outcome = stage.play(cancel_order_saga)

    assert outcome == {"status": "cancelled", "reason": "cancel_requested"}
    assert stage.calls == [*UNDOS, "cancel_order"]
    assert stage.subjects == [ORDER] * 4 + [ORDER | {"reason": "cancel_requested"}]


@pytest.mark.parametrize("stuck", UNDOS)
def test_an_undo_that_fails_parks_the_order(stuck: str) -> None:
    stage = Stage({stuck: [FAULT]})

    outcome = stage.play(cancel_order_saga)

    assert outcome == {"status": "stuck", "reason": "cancel_requested", "stuck": [stuck]}
    assert stage.once_each() == [*UNDOS, "park_order"]


def test_an_order_that_has_left_is_left_alone() -> None:
    stage = Stage({"cancel_order": [{"refused": "order_shipped"}]})

    assert stage.play(cancel_order_saga) == {"status": "left", "reason": "order_shipped"}
