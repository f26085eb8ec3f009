"""What a turn may decide: the parts of a checkpoint."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

TERMINAL = frozenset({"Completed", "Failed", "Terminated", "Canceled"})


@dataclass(frozen=True, slots=True)
class Functions:
    """What the app has: each maps a casefolded durable name to its function's name."""

    orchestrators: Mapping[str, str] = field(default_factory=dict)
    activities: Mapping[str, str] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """An activity to run; `input` is the JSON array of its one argument."""

    event_id: int
    name: str
    input: str


@dataclass(frozen=True, slots=True)
class Timer:
    """A message to deliver at `due`."""

    event_id: int
    due: datetime
    event: str


@dataclass(frozen=True, slots=True)
class Child:
    """A sub-orchestration to start with message `event`; `refusal` is what the parent gets when
    another instance of that id is still running.
    """

    event_id: int
    instance_id: str
    execution_id: str
    name: str
    version: str
    input: str
    event: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message to another instance, of one execution only if that is given. `entity` is the name
    of the entity that comes into being if need be; else a message to nobody is dropped.
    """

    instance_id: str
    execution_id: str | None
    event: str
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """The execution that continues the instance, and the message which starts it."""

    execution_id: str
    input: str
    event: str


@dataclass(slots=True)
class Decision:
    """Everything that a turn writes down.

    `output` and `custom_status` are text, None when there is none or none new; `events` are the
    turn's history, JSON objects separated by commas; `cancelled` are ids of timers; `held_due`
    says that an event which was held has found its waiter, `release` that all that is held is to be
    looked at again.
    """

    status: str
    progress: str
    events: str
    output: str | None = None
    custom_status: str | None = None
    tasks: list[Task] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    renewal: Renewal | None = None
    held_due: bool = False
    release: bool = False

    @property
    def finished(self) -> bool:
        """Whether this was the instance's last turn."""
        return self.status in TERMINAL

    def sent(self) -> str | None:
        """JSON text of what concerns other instances or executions, None when nothing does."""
        if not (self.children or self.messages or self.renewal or self.release):
            return None
        return outbound(self.messages, self.children, self.renewal, release=self.release)


def outbound(
    messages: Collection[Message],
    children: Collection[Child] = (),
    renewal: Renewal | None = None,
    *,
    release: bool = False,
) -> str:
    """JSON text of what a checkpoint does to others, for the parameter p_sent of `sql/`."""
    sent: dict[str, Any] = {
        "children": [_fields(child) for child in children],
        "messages": [_fields(message) for message in messages],
        "renewal": None if renewal is None else _fields(renewal),
        "release": release,
    }
    return json.dumps(sent)


def _fields(part: Child | Message | Renewal) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__slots__}


def unknown_function(name: str, sort: str, known: Collection[str]) -> str:
    """Azure's message for a function that is not there; `sort` is its kind, like "activity"."""
    return (
        f"The function '{name}' doesn't exist, is disabled, or is not an {sort} function. "
        f"Additional info: the following are the known {sort} functions: "
        f"'{"', '".join(sorted(known))}'"
    )
