"""The events of a history, with what they refer to and no more of their payloads than is shown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from localcloud.dashboard.values import Payload
from localcloud.durable.events import NAMES, Kind

HTTP_ACTIVITY: Final = "BuiltIn::HttpActivity"
"""The activity that stands for `call_http`; its input is the request."""

UNSHOWN: Final = frozenset({Kind.ORCHESTRATOR_STARTED, Kind.ORCHESTRATOR_COMPLETED})
DECISIONS: Final = frozenset(
    {Kind.TASK_SCHEDULED, Kind.SUB_ORCHESTRATION_CREATED, Kind.TIMER_CREATED, Kind.EVENT_SENT}
)
FAILURES: Final = frozenset({Kind.TASK_FAILED, Kind.SUB_ORCHESTRATION_FAILED})


@dataclass(frozen=True, slots=True)
class EntityRequest:
    """What an entity was asked; `id` is the name of the event that brings the answer."""

    operation: str
    id: str
    signal: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a turn.

    `id` is the sequence number of a decision, -1 for a message; `answers` the decision that a
    message answers. `http` marks a call_http, which is named after its request. `result` is what
    came back, `input` what was sent, `details` a stack.
    """

    kind: Kind
    turn: int
    at: datetime
    id: int
    answers: int | None = None
    name: str = ""
    child_id: str = ""
    entity_id: str = ""
    request: EntityRequest | None = None
    fires_at: datetime | None = None
    http: bool = False
    input: Payload | None = None
    result: Payload | None = None
    reason: str = ""
    details: Payload | None = None

    @property
    def type(self) -> str:
        """As the HTTP API spells it."""
        return NAMES[self.kind]


def read_turn(turn: int, text: str) -> list[Event]:
    """The events of one turn, stored as JSON objects with commas between them."""
    return [_event(turn, raw) for raw in json.loads(f"[{text}]")]


def _event(turn: int, raw: Mapping[str, Any]) -> Event:
    kind = Kind(raw["EventType"])
    request, http = None, False
    input_ = raw.get("Input")
    name = raw.get("Name") or ""
    if kind is Kind.EVENT_SENT:
        asked = json.loads(input_ or "{}")
        request = EntityRequest(asked["op"], asked["id"], bool(asked.get("signal")))
        input_, name = asked.get("input"), asked["op"]
    elif kind is Kind.TASK_SCHEDULED:
        input_ = _argument(input_)
        http = name == HTTP_ACTIVITY
        name = _http_name(input_) if http else name
    fires_at = raw.get("FireAt")
    return Event(
        kind=kind,
        turn=turn,
        at=datetime.fromisoformat(raw["Timestamp"]),
        id=raw["EventId"],
        answers=raw.get("TaskScheduledId", raw.get("TimerId")),
        name=name,
        child_id=raw.get("InstanceId", "") if kind is Kind.SUB_ORCHESTRATION_CREATED else "",
        entity_id=raw.get("InstanceId", "") if kind is Kind.EVENT_SENT else "",
        request=request,
        fires_at=None if fires_at is None else datetime.fromisoformat(fires_at),
        http=http,
        input=Payload.of(input_),
        result=Payload.of(raw.get("Result")),
        reason=raw.get("Reason") or raw.get("OrchestrationStatus") or "",
        details=Payload.of(raw.get("Details") or None),
    )


def _argument(input_: str | None) -> str | None:
    """An activity's one argument, out of the JSON array that holds it."""
    if input_ is None:
        return None
    (element,) = json.loads(input_)
    return element if isinstance(element, str) else json.dumps(element, ensure_ascii=False)


def _http_name(request: str | None) -> str:
    asked = json.loads(request or "{}")
    return f"{asked['method']} {asked['uri']}"
