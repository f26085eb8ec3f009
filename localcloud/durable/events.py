"""The history events of the Durable protocol, as JSON text."""

import json
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any


class Kind(IntEnum):
    """`EventType` on the wire."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_FAILED = 2
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    CONTINUE_AS_NEW = 16
    GENERIC_EVENT = 17
    HISTORY_STATE = 18
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20
    EXECUTION_REWOUND = 21


NAMES = {
    Kind.EXECUTION_STARTED: "ExecutionStarted",
    Kind.EXECUTION_COMPLETED: "ExecutionCompleted",
    Kind.EXECUTION_FAILED: "ExecutionFailed",
    Kind.EXECUTION_TERMINATED: "ExecutionTerminated",
    Kind.TASK_SCHEDULED: "TaskScheduled",
    Kind.TASK_COMPLETED: "TaskCompleted",
    Kind.TASK_FAILED: "TaskFailed",
    Kind.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    Kind.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    Kind.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    Kind.TIMER_CREATED: "TimerCreated",
    Kind.TIMER_FIRED: "TimerFired",
    Kind.ORCHESTRATOR_STARTED: "OrchestratorStarted",
    Kind.ORCHESTRATOR_COMPLETED: "OrchestratorCompleted",
    Kind.EVENT_SENT: "EventSent",
    Kind.EVENT_RAISED: "EventRaised",
    Kind.CONTINUE_AS_NEW: "ContinueAsNew",
    Kind.GENERIC_EVENT: "GenericEvent",
    Kind.HISTORY_STATE: "HistoryState",
    Kind.EXECUTION_SUSPENDED: "ExecutionSuspended",
    Kind.EXECUTION_RESUMED: "ExecutionResumed",
    Kind.EXECUTION_REWOUND: "ExecutionRewound",
}
"""How the HTTP API spells them."""


def now() -> datetime:
    """The engine's clock."""
    return datetime.now(UTC)


def iso(at: datetime) -> str:
    """`at` as .NET writes it: seven digits of a second and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "0Z"


def event(kind: Kind, event_id: int, at: datetime, /, **fields: Any) -> str:
    """One history event. Inbound events have id -1; decisions carry their sequence number."""
    head = {"EventType": int(kind), "EventId": event_id, "IsPlayed": False, "Timestamp": iso(at)}
    return json.dumps(head | fields)


def played(text: str) -> str:
    """An inbound event as history keeps it.

    The header comes first in every event, and inside a JSON string the quotes would be escaped, so
    the replacement can only hit the header.
    """
    return text.replace('"IsPlayed": false', '"IsPlayed": true', 1)


def execution_started(
    *,
    instance_id: str,
    execution_id: str,
    name: str,
    version: str,
    input_: str | None,
    parent: dict[str, Any] | None = None,
) -> str:
    """The message that begins an execution; `parent` names the instance that waits for it."""
    return event(
        Kind.EXECUTION_STARTED,
        -1,
        now(),
        Name=name,
        Version=version,
        Input=input_,
        Tags=None,
        OrchestrationInstance={"InstanceId": instance_id, "ExecutionId": execution_id},
        ParentInstance=parent,
    )


def task_completed(event_id: int, result: str | None) -> str:
    """The message that an activity returned `result`, JSON text or None."""
    return event(Kind.TASK_COMPLETED, -1, now(), TaskScheduledId=event_id, Result=result)


def task_failed(event_id: int, reason: str, details: str | None) -> str:
    """The message that an activity raised; the orchestrator sees `reason`, then `details`."""
    return event(
        Kind.TASK_FAILED, -1, now(), TaskScheduledId=event_id, Reason=reason, Details=details
    )


def event_raised(name: str, input_: str | None) -> str:
    """The message of an external event; `input_` is JSON text."""
    return event(Kind.EVENT_RAISED, -1, now(), Name=name, Input=input_)


def execution_terminated(reason: str | None) -> str:
    """The message that ends an instance by force."""
    return event(Kind.EXECUTION_TERMINATED, -1, now(), Input=reason)


def child_completed(event_id: int, result: str | None) -> str:
    """The message that a child returned `result`, JSON text or None."""
    return event(
        Kind.SUB_ORCHESTRATION_COMPLETED, -1, now(), TaskScheduledId=event_id, Result=result
    )


def child_failed(event_id: int, reason: str) -> str:
    """The message that a child failed, was terminated, or could not be started."""
    return event(
        Kind.SUB_ORCHESTRATION_FAILED,
        -1,
        now(),
        TaskScheduledId=event_id,
        Reason=reason,
        Details="",
    )


def execution_suspended(reason: str | None) -> str:
    """The message that lets an instance rest until it is resumed."""
    return event(Kind.EXECUTION_SUSPENDED, -1, now(), Reason=reason)


def execution_resumed(reason: str | None) -> str:
    """The message that lets a suspended instance go on."""
    return event(Kind.EXECUTION_RESUMED, -1, now(), Reason=reason)


def execution_rewound(reason: str | None) -> str:
    """The message that lets a failed instance try again what failed."""
    return event(Kind.EXECUTION_REWOUND, -1, now(), Reason=reason)


def request(operation: str, id_: str, input_: str | None, *, caller: tuple[str, str] | None) -> str:
    """What an entity is asked to do, JSON text; `caller` is the instance and the execution that
    wait for an answer, None for a signal. `input_` is JSON text.
    """
    asked: dict[str, Any] = {"op": operation, "id": id_, "input": input_}
    if caller is None:
        asked["signal"] = True
    else:
        asked["parent"], asked["parentExecution"] = caller
    return json.dumps(asked)
