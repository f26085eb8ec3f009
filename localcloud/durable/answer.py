"""Reads what an orchestrator answered: the SDK's state object, returned or raised."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from localcloud.durable.invocation import Invocation

_LABEL = "\n\n$OutOfProcData$:"
"""What the SDK puts between an exception's message and the state object that goes with it."""


class Action(IntEnum):
    """`actionType` on the wire."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_SUB_ORCHESTRATOR = 2
    CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EXTERNAL_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    SCHEDULED_SIGNAL_ENTITY = 10
    WHEN_ANY = 11
    WHEN_ALL = 12


class Fails(Exception):
    """The instance fails at once; the message is its output."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The orchestrator's state object: all actions from the start, and how it stands."""

    actions: Sequence[Mapping[str, Any]]
    done: bool
    output: Any
    error: str | None
    custom_status: Any


def flatten(actions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    flat: list[Mapping[str, Any]] = []
    for action in actions:
        if action["actionType"] in {Action.WHEN_ANY, Action.WHEN_ALL}:
            flat.extend(flatten(action["compoundActions"]))
        else:
            flat.append(action)
    return flat


def read(invocation: Invocation) -> Answer:
    """The state object out of a return value or an exception's message.

    Raises Fails when there is none: the orchestrator broke outside of the SDK's care.
    """
    text, error = invocation.value, None
    if not invocation.ok:
        message, label, text = (invocation.error or "").rpartition(_LABEL)
        if not label:
            raise Fails(invocation.error or "it failed and said nothing")
        error = message
    if text is None:
        raise Fails("it returned no state")
    try:
        state, _ = json.JSONDecoder().raw_decode(text.lstrip())
        if isinstance(state, str):
            state = json.loads(state)
        return Answer(
            actions=flatten([action for episode in state["actions"] for action in episode]),
            done=state["isDone"],
            output=state.get("output"),
            error=state.get("error") or error,
            custom_status=state.get("customStatus"),
        )
    except (ValueError, KeyError, TypeError) as problem:
        raise Fails("it returned no state") from problem


def compact(value: Any) -> str:
    """JSON text without spaces, as .NET writes it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() or _encodes(text) else json.dumps(value, separators=(",", ":"))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(text: str) -> str:
    """`text` without what PostgreSQL cannot keep: NUL and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def argument(input_: str) -> str:
    """The text of an activity's one argument, out of the JSON array in its history event."""
    (element,) = json.loads(input_)
    return element if isinstance(element, str) else json.dumps(element)
