"""The fulfilment saga, step by step: what is undone, in which order, and how the order ends."""

from typing import Any

import pytest

from durable import fulfil_order as module
from tests.unit.durable.rehearsal import FAULT, ORDER, WAITS_S, Stage, definition

fulfil_order = definition(module.fulfil_order)

STEPS = {
    "reserve_stock": "release_stock",
    "authorise_payment": "void_payment",
    "book_shipment": "cancel_shipment",
    "capture_payment": "refund_payment",
    "confirm_order": None,
}
PENDING: dict[str, Any] = {"pending": "confirmation", "window_s": 900}


def begun(until: str) -> list[str]:
    """The steps up to and including `until`."""
    names = list(STEPS)
    return names[: names.index(until) + 1]


def undone(until: str) -> list[str]:
    """The undos of these steps, newest first."""
    return [undo for step in reversed(begun(until)) if (undo := STEPS[step])]


def test_every_step_done_confirms_the_order() -> None:
    stage = Stage()

    outcome = stage.play(fulfil_order)

    assert outcome == {"status": "confirmed"}
    assert stage.calls == list(STEPS)
    assert stage.subjects == [ORDER] * 5
    assert stage.statuses == list(STEPS)


@pytest.mark.parametrize("how", ["refuse", "fault"])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_is_undone_with_all_before_it(step: str, how: str) -> None:
    stage = Stage({step: [{"refused": "no_thanks"} if how == "refuse" else FAULT]})

    outcome = stage.play(fulfil_order)

    reason = "no_thanks" if how == "refuse" else "internal_fault"
    assert stage.once_each() == begun(step) + undone(step) + ["cancel_order"]
    assert outcome == {"status": "cancelled", "reason": reason}
    assert stage.subjects[-1] == ORDER | {"reason": reason}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_finds_the_order_being_cancelled_undoes_everything(step: str) -> None:
    stage = Stage({step: [{"refused": "cancel_requested"}]})

    outcome = stage.play(fulfil_order)

    assert stage.calls == begun(step) + undone(step) + ["cancel_order"]
    assert outcome == {"status": "cancelled", "reason": "cancel_requested"}


@pytest.mark.parametrize("status", ["confirmed", "shipped", "cancelled", "stuck", "cancelling"])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_finds_the_order_finished_leaves_it_alone(step: str, status: str) -> None:
    stage = Stage({step: [{"refused": f"order_{status}"}]})

    outcome = stage.play(fulfil_order)

    assert stage.calls == begun(step)
    assert outcome == {"status": "left", "reason": f"order_{status}"}


@pytest.mark.parametrize("how", [FAULT, {"refused": "too_late"}], ids=["fault", "refusal"])
@pytest.mark.parametrize("stuck", [undo for undo in STEPS.values() if undo])
def test_an_undo_that_fails_parks_the_order_and_the_others_are_still_tried(
    stuck: str, how: Any
) -> None:
    stage = Stage({"confirm_order": [{"refused": "reservation_expired"}], stuck: [how]})

    outcome = stage.play(fulfil_order)

    undos = undone("confirm_order")
    assert stage.once_each() == list(STEPS) + undos + ["park_order"]
    assert outcome == {"status": "stuck", "reason": "reservation_expired", "stuck": [stuck]}
    assert stage.subjects[-1] == ORDER | {
        "reason": "reservation_expired",
        "stuck": [stuck],
        "saga": stage.instance_id,
    }


def test_all_undos_that_fail_are_named() -> None:
    broken = {"release_stock": [FAULT], "void_payment": [FAULT], "cancel_shipment": [FAULT]}
    stage = Stage({"book_shipment": [FAULT], **broken})

    outcome = stage.play(fulfil_order)

    assert outcome["stuck"] == ["cancel_shipment", "void_payment", "release_stock"]


@pytest.mark.parametrize("step", [*STEPS, "release_stock", "cancel_order"])
def test_a_step_that_breaks_for_a_while_is_tried_again_after_the_pauses_it_was_given(
    step: str,
) -> None:
    refusal = {} if step in STEPS else {"confirm_order": [{"refused": "reservation_expired"}]}
    stage = Stage({**refusal, step: [FAULT] * len(WAITS_S) + [{}]})

    outcome = stage.play(fulfil_order)

    assert outcome["status"] == ("confirmed" if step in STEPS else "cancelled")
    assert stage.calls.count(step) == len(WAITS_S) + 1
    assert stage.waits_s == list(WAITS_S)


def test_writing_down_the_outcome_is_tried_for_a_day() -> None:
    stage = Stage({"reserve_stock": [{"refused": "out_of_stock"}], "cancel_order": [FAULT]})

    with pytest.raises(Exception, match="the step broke"):
        stage.play(fulfil_order)

    assert stage.calls.count("cancel_order") == len(stage.waits_s) + 1
    assert stage.waits_s == [*WAITS_S, *[60] * (24 * 60)]


def test_a_confirmation_that_is_given_in_time_lets_the_order_go_on() -> None:
    stage = Stage({"authorise_payment": [PENDING, {}]}, events=["payment_answered"])

    outcome = stage.play(fulfil_order)

    assert outcome == {"status": "confirmed"}
    assert stage.once_each() == list(STEPS)
    assert stage.calls.count("authorise_payment") == 2
    assert [timer.cancelled for timer in stage.timers] == [True]
    assert (stage.timers[0].due - stage.current_utc_datetime).total_seconds() == 900
    assert "await_confirmation" in stage.statuses


def test_a_wrong_confirmation_cancels_the_order() -> None:
    stage = Stage(
        {"authorise_payment": [PENDING, {"refused": "confirmation_failed"}]},
        events=["payment_answered"],
    )

    outcome = stage.play(fulfil_order)

    assert outcome == {"status": "cancelled", "reason": "confirmation_failed"}
    assert stage.once_each() == [
        "reserve_stock",
        "authorise_payment",
        "void_payment",
        "release_stock",
        "cancel_order",
    ]


def test_a_confirmation_that_is_not_given_in_time_cancels_the_order() -> None:
    stage = Stage({"authorise_payment": [PENDING]}, events=[None])

    outcome = stage.play(fulfil_order)

    assert outcome == {"status": "cancelled", "reason": "confirmation_expired"}
    assert [timer.cancelled for timer in stage.timers] == [False]


def test_a_confirmation_whose_event_is_late_still_counts_when_the_window_closes() -> None:
    stage = Stage({"authorise_payment": [PENDING, {}]}, events=[None])

    assert stage.play(fulfil_order) == {"status": "confirmed"}


def test_an_answer_without_effect_is_waited_for_again_until_the_same_deadline() -> None:
    stage = Stage(
        {"authorise_payment": [PENDING, PENDING, {}]},
        events=["payment_answered", "payment_answered"],
    )

    assert stage.play(fulfil_order) == {"status": "confirmed"}
    assert [timer.cancelled for timer in stage.timers] == [True, True]
    assert stage.timers[0].due == stage.timers[1].due


def test_answers_without_effect_do_not_go_on_for_ever() -> None:
    stage = Stage({"authorise_payment": [PENDING]}, events=["payment_answered"] * 11)

    outcome = stage.play(fulfil_order)

    assert outcome == {"status": "cancelled", "reason": "confirmation_failed"}
    assert stage.calls.count("authorise_payment") == 11


def test_a_cancel_request_ends_the_wait_for_the_confirmation() -> None:
    stage = Stage({"authorise_payment": [PENDING]}, events=["cancel_requested"])

    outcome = stage.play(fulfil_order)

    assert outcome == {"status": "cancelled", "reason": "cancel_requested"}
    assert stage.calls == [
        "reserve_stock",
        "authorise_payment",
        "void_payment",
        "release_stock",
        "cancel_order",
    ]
    assert [timer.cancelled for timer in stage.timers] == [True]


@pytest.mark.parametrize("last", ["cancel_order", "park_order"])
def test_an_outcome_that_somebody_else_wrote_down_is_left_alone(last: str) -> None:
    stuck = {"release_stock": [FAULT]} if last == "park_order" else {}
    stage = Stage(
        {
            "reserve_stock": [{"refused": "out_of_stock"}],
            last: [{"refused": "order_shipped"}],
            **stuck,
        }
    )

    assert stage.play(fulfil_order) == {"status": "left", "reason": "order_shipped"}
