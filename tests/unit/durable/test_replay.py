"""The sagas in Microsoft's own executor: every turn replays the whole history from its start."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from durable import fulfil_order
from tests.unit.durable.rehearsal import FAULT, INPUT, ORDER, Answer

ORCHESTRATOR_STARTED, EXECUTION_STARTED = 12, 0
TASK_SCHEDULED, TASK_COMPLETED, TASK_FAILED = 4, 5, 6
TIMER_CREATED, TIMER_FIRED, EVENT_RAISED = 10, 11, 15
CALL_ACTIVITY, CREATE_TIMER, WAIT_FOR_EVENT, ANY = 0, 5, 6, 11


class Instance:
    """One orchestration: its history grows by a turn at a time, as a back end would write it."""

    def __init__(self, answers: Mapping[str, Sequence[Answer]], event: str | None) -> None:
        self.answers, self.event = answers, event
        self.history: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.cancelled_timers = 0

    def note(self, kind: int, event_id: int = -1, **fields: Any) -> None:
        self.history.append(
            {
                "EventType": kind,
                "EventId": event_id,
                "IsPlayed": False,
                "Timestamp": f"2026-11-24T03:00:{len(self.history) % 60:02d}.0000000Z",
                **fields,
            }
        )

    def run(self, handle: Callable[[str], str]) -> Any:
        """The output of the orchestration. AssertionError if it takes more than 40 turns."""
        self.note(ORCHESTRATOR_STARTED)
        self.note(EXECUTION_STARTED, Name="fulfil_order", Version="", Input=json.dumps(INPUT))
        scheduled = 0
        for _ in range(40):
            body = {
                "history": self.history,
                "input": json.dumps(INPUT),
                "instanceId": ORDER["order_id"],
                "isReplaying": False,
                "parentInstanceId": None,
                "upperSchemaVersion": 1,
                "upperSchemaVersionNew": 2,
            }
            state = json.loads(handle(json.dumps(body)))
            actions = list(flat(state["actions"][0]))
            self.cancelled_timers = sum(a.get("isCanceled", False) for a in actions)
            if state["isDone"]:
                return state["output"]
            new = [a for a in actions if a["actionType"] != WAIT_FOR_EVENT][scheduled:]
            assert new, "nothing was asked for, and nothing is done"
            self.note(ORCHESTRATOR_STARTED)
            for action in new:
                self.happen(action, scheduled, alone=len(new) == 1)
                scheduled += 1
        raise AssertionError("the orchestration goes round in circles")

    def happen(self, action: Mapping[str, Any], number: int, *, alone: bool) -> None:
        if action["actionType"] == CREATE_TIMER:
            self.note(TIMER_CREATED, number, FireAt=action["fireAt"])
            if self.event is not None and "authorise_payment" in self.calls[-1:]:
                self.note(EVENT_RAISED, Name=self.event, Input="{}")
                return
            assert alone
            self.note(TIMER_FIRED, TimerId=number, FireAt=action["fireAt"])
            return
        name = action["functionName"]
        subject = json.loads(action["input"])
        assert subject | ORDER == subject
        assert "waits_s" not in subject
        self.calls.append(name)
        given = self.answers.get(name, [{}])
        answer = given[min(self.calls.count(name), len(given)) - 1]
        self.note(TASK_SCHEDULED, number, Name=name, Version="", Input=action["input"])
        if isinstance(answer, Exception):
            self.note(TASK_FAILED, TaskScheduledId=number, Reason=str(answer), Details="")
        else:
            self.note(TASK_COMPLETED, TaskScheduledId=number, Result=json.dumps(answer))


def flat(actions: Sequence[Any]) -> list[Any]:
    """Single actions, those of a wait for several included."""
    found: list[Any] = []
    for action in actions:
        compound = action["actionType"] == ANY
        found += flat(action["compoundActions"]) if compound else [action]
    return found


@pytest.fixture(autouse=True)
def _quiet_sdk() -> Any:
    """The SDK advises once per process to name the types of activity results."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def played(answers: Mapping[str, Sequence[Answer]], event: str | None = None) -> Any:
    instance = Instance(answers, event)
    handle = fulfil_order.fulfil_order._function.get_user_function()  # type: ignore[attr-defined]
    return instance.run(handle), instance


def test_an_order_is_confirmed() -> None:
    output, instance = played({})

    assert output == {"status": "confirmed"}
    assert instance.calls == [
        "reserve_stock",
        "authorise_payment",
        "book_shipment",
        "capture_payment",
        "confirm_order",
    ]


def test_a_declined_card_unwinds() -> None:
    output, instance = played({"authorise_payment": [{"refused": "card_declined"}]})

    assert output == {"status": "cancelled", "reason": "card_declined"}
    assert instance.calls == [
        "reserve_stock",
        "authorise_payment",
        "void_payment",
        "release_stock",
        "cancel_order",
    ]


def test_a_fault_is_tried_again() -> None:
    output, instance = played({"book_shipment": [FAULT, FAULT, {}]})

    assert output == {"status": "confirmed"}
    assert instance.calls.count("book_shipment") == 3


def test_a_step_that_stays_broken_unwinds() -> None:
    output, instance = played({"capture_payment": [FAULT]})

    assert output == {"status": "cancelled", "reason": "internal_fault"}
    assert instance.calls[-5:] == [
        "refund_payment",
        "cancel_shipment",
        "void_payment",
        "release_stock",
        "cancel_order",
    ]


@pytest.mark.parametrize(
    ("event", "then", "output"),
    [
        ("payment_answered", {}, {"status": "confirmed"}),
        ("cancel_requested", {}, {"status": "cancelled", "reason": "cancel_requested"}),
    ],
)
def test_an_event_ends_the_wait_and_its_timer(event: str, then: Any, output: Any) -> None:
    pending = {"pending": "confirmation", "window_s": 900}
    result, instance = played({"authorise_payment": [pending, then]}, event)

    assert result == output
    assert instance.cancelled_timers == 1
