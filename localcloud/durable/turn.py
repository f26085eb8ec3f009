"""One turn of an instance: what is in it, what it carries over, which messages it takes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from localcloud.durable import events
from localcloud.durable.events import Kind


@dataclass(frozen=True, slots=True)
class Turn:
    """A leased instance with its waiting messages, in the order of arrival."""

    instance_id: str
    execution_id: str
    name: str
    version: str
    input: str | None
    parent_instance_id: str | None
    parent_execution_id: str | None
    parent_event_id: int | None
    turns: int
    token: int
    attempts: int
    progress: str
    seqs: Sequence[int] | None
    executions: Sequence[str | None] | None
    events: Sequence[str] | None


@dataclass(slots=True)
class Retry:
    """An activity with retry: the place of its action, and the attempt that this id stands for."""

    action: int
    attempt: int


@dataclass(slots=True)
class Progress:
    """What the engine remembers of an execution from turn to turn.

    `actions` are the signatures of all actions so far, in order; `open` the ids of activities,
    timers, children and entity calls without an answer; `timers` the id of an open timer by its
    action's place; `retries` the ids, of attempts and of the pauses between them, that belong to an
    action with retry; `waits` how many waiters an event name has, as the orchestrator spells it,
    oldest name first; `calls` the ids of entity calls by the name of the event that answers them.
    """

    next_id: int = 0
    actions: list[str] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    timers: dict[int, int] = field(default_factory=dict)
    retries: dict[int, Retry] = field(default_factory=dict)
    waits: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    suspended: bool = False

    @classmethod
    def from_text(cls, text: str) -> "Progress":
        """What `to_text` wrote; a fresh one from an empty text."""
        if not text:
            return cls()
        raw = json.loads(text)
        return cls(
            next_id=raw["next_id"],
            actions=raw["actions"],
            open=set(raw["open"]),
            timers={int(place): id_ for place, id_ in raw["timers"].items()},
            retries={int(id_): Retry(*record) for id_, record in raw["retries"].items()},
            waits=raw["waits"],
            calls=raw["calls"],
            suspended=raw["suspended"],
        )

    def to_text(self) -> str:
        """JSON text for the instance's row."""
        return json.dumps(
            {
                "next_id": self.next_id,
                "actions": self.actions,
                "open": sorted(self.open),
                "timers": self.timers,
                "retries": {id_: [r.action, r.attempt] for id_, r in self.retries.items()},
                "waits": self.waits,
                "calls": self.calls,
                "suspended": self.suspended,
            },
            separators=(",", ":"),
        )

    def take_id(self) -> int:
        """The next sequence number; the SDK counts the same way."""
        id_ = self.next_id
        self.next_id += 1
        return id_

    def sole(self) -> int | None:
        """The id of the only thing that is open but for timers, if the instance waits for it."""
        if self.suspended:
            return None
        awaited = self.open.difference(self.timers.values())
        return next(iter(awaited)) if len(awaited) == 1 else None

    def waiter(self, name: str) -> str | None:
        """The newest awaited spelling of event `name`; names do not depend on case."""
        wanted = name.casefold()
        for spelling in reversed(self.waits):
            if spelling.casefold() == wanted:
                return spelling
        return None

    def add_waiter(self, name: str) -> None:
        """One more waiter, which makes its spelling the newest."""
        self.waits[name] = self.waits.pop(name, 0) + 1

    def drop_waiter(self, name: str) -> None:
        """A waiter of this spelling has its event."""
        self.waits[name] -= 1
        if not self.waits[name]:
            del self.waits[name]


def trigger_body(turn: Turn, past: str, taken: Sequence[str], at: datetime) -> str:
    """The JSON text that the orchestration trigger receives; `past` is the stored history.

    History and input are spliced in as they are stored. The durations that make the SDK chain long
    timers are left out, as Azure's SQL back end does: a timer of any length is one timer.
    """
    history = [past] if past else []
    history.append(events.event(Kind.ORCHESTRATOR_STARTED, -1, at))
    history.extend(taken)
    rest = json.dumps(
        {
            "instanceId": turn.instance_id,
            "isReplaying": turn.turns > 0,
            "parentInstanceId": turn.parent_instance_id,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
        }
    )
    return f'{{"history": [{",".join(history)}], "input": {turn.input or "null"}, {rest[1:]}'
