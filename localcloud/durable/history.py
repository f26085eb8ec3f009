"""A stored history as the status API shows it."""

import json
from typing import Any

from localcloud.durable.events import NAMES, Kind

_UNSHOWN = frozenset({Kind.ORCHESTRATOR_STARTED, Kind.ORCHESTRATOR_COMPLETED})
_SCHEDULED = frozenset({Kind.TASK_SCHEDULED, Kind.SUB_ORCHESTRATION_CREATED})
_ANSWERS = frozenset(
    {
        Kind.TASK_COMPLETED,
        Kind.TASK_FAILED,
        Kind.SUB_ORCHESTRATION_COMPLETED,
        Kind.SUB_ORCHESTRATION_FAILED,
    }
)
_RESULTS = frozenset(
    {Kind.TASK_COMPLETED, Kind.SUB_ORCHESTRATION_COMPLETED, Kind.EXECUTION_COMPLETED}
)
_INTERNAL = ("EventId", "IsPlayed", "TaskScheduledId", "TimerId", "Version")
_OF_THE_START = ("Name", "OrchestrationInstance", "ParentInstance", "Tags")


def as_json(text: str | None) -> Any:
    """The value of JSON text; the text itself when it is none, as Azure shows it."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def shown(history: str, *, results: bool, inputs: bool) -> list[dict[str, Any]]:
    """`historyEvents` of a JSON array of stored events, oldest first.

    What was scheduled and has an answer is shown with the answer only.
    """
    events: list[dict[str, Any]] = json.loads(history)
    scheduled = {event["EventId"]: event for event in events if event["EventType"] in _SCHEDULED}
    answered = {event["TaskScheduledId"] for event in events if event["EventType"] in _ANSWERS}
    return [
        _shown(event, scheduled, results=results, inputs=inputs)
        for event in events
        if event["EventType"] not in _UNSHOWN
        and not (event["EventType"] in _SCHEDULED and event["EventId"] in answered)
    ]


def _shown(
    event: dict[str, Any], scheduled: dict[int, dict[str, Any]], *, results: bool, inputs: bool
) -> dict[str, Any]:
    kind = Kind(event["EventType"])
    hidden = {*_INTERNAL, *(() if inputs else ("Input",))}
    extra: dict[str, Any] = {"EventType": NAMES[kind]}
    if kind is Kind.EXECUTION_STARTED:
        hidden.update(_OF_THE_START)
        extra["FunctionName"] = event["Name"]
    if kind in _ANSWERS:
        cause = scheduled[event["TaskScheduledId"]]
        extra |= {"ScheduledTime": cause["Timestamp"], "FunctionName": cause["Name"]}
        if inputs:
            extra["Input"] = cause["Input"]
    if kind in _RESULTS:
        hidden.add("Result")
        if results:
            extra["Result"] = as_json(event["Result"])
    kept = {name: value for name, value in event.items() if name not in hidden}
    return kept | extra
