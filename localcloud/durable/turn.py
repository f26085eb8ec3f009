"""One turn of an instance: what is in it, what it carries over, which messages it takes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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

    `actions` are the signatures of all actions so far, in order; `open` the ids of activities and
    timers without an answer; `timers` the id of an open timer by its action's place; `retries` the
    ids, of attempts and of the pauses between them, that belong to an activity with retry; `waits`
    how many waiters an event name has, as the orchestrator spells it, oldest name first.
    """

    next_id: int = 0
    actions: list[str] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    timers: dict[int, int] = field(default_factory=dict)
    retries: dict[int, Retry] = field(default_factory=dict)
    waits: dict[str, int] = field(default_factory=dict)

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
            },
            separators=(",", ":"),
        )

    def take_id(self) -> int:
        """The next sequence number; the SDK counts the same way."""
        id_ = self.next_id
        self.next_id += 1
        return id_

    def sole(self) -> int | None:
        """The id of the only activity or pause between attempts that is open, if there is one."""
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


@dataclass(slots=True)
class Batch:
    """The messages of one turn.

    `taken` go to the orchestrator. `consumed` leave the inbox: the taken, and those that mean
    nothing any more. `held` are events that nobody awaits, by number and by name. What is in
    neither waits for the next turn. `retry` is the id whose failure or pause the last message
    ends; `terminated` is a request to end by force, and its reason.
    """

    taken: list[str] = field(default_factory=list)
    consumed: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    held_names: list[str] = field(default_factory=list)
    retry: tuple[Kind, int] | None = None
    terminated: bool = False
    reason: str | None = None


def draw(turn: Turn, progress: Progress) -> Batch:
    """Sort out the waiting messages, and mark in `progress` what they answer.

    Answers to what is not open, a second start and messages of another execution are dropped:
    delivery is at least once. The batch ends after a message that makes the SDK count up an id
    for a retry, so that both sides count in the same order.
    """
    batch = Batch()
    started = turn.turns > 0
    for seq, execution, text in zip(
        turn.seqs or (), turn.executions or (), turn.events or (), strict=True
    ):
        message: dict[str, Any] = json.loads(text)
        kind = Kind(message["EventType"])
        if kind is Kind.EVENT_RAISED:
            _draw_event(batch, progress, seq, text, message)
            continue
        batch.consumed.append(seq)
        if execution is not None and execution != turn.execution_id:
            continue
        if kind is Kind.EXECUTION_STARTED:
            if not started:
                batch.taken.append(text)
            started = True
        elif kind is Kind.EXECUTION_TERMINATED:
            batch.taken.append(text)
            batch.terminated, batch.reason = True, message["Input"]
        else:
            _draw_answer(batch, progress, kind, text, message)
            if batch.retry is not None:
                break
    return batch


def _draw_event(
    batch: Batch, progress: Progress, seq: int, text: str, message: dict[str, Any]
) -> None:
    """Give an external event to its newest waiter, in the waiter's spelling; else hold it."""
    spelling = progress.waiter(message["Name"])
    if spelling is None:
        batch.held.append(seq)
        batch.held_names.append(message["Name"])
        return
    progress.drop_waiter(spelling)
    batch.consumed.append(seq)
    matches = spelling == message["Name"]
    batch.taken.append(text if matches else json.dumps(message | {"Name": spelling}))


def _draw_answer(
    batch: Batch, progress: Progress, kind: Kind, text: str, message: dict[str, Any]
) -> None:
    id_ = message["TimerId"] if kind is Kind.TIMER_FIRED else message["TaskScheduledId"]
    if id_ not in progress.open:
        return
    progress.open.discard(id_)
    batch.taken.append(text)
    if id_ in progress.retries and kind is not Kind.TASK_COMPLETED:
        batch.retry = (kind, id_)


def trigger_body(turn: Turn, past: str, batch: Batch, at: datetime) -> str:
    """The JSON text that the orchestration trigger receives; `past` is the stored history.

    History and input are spliced in as they are stored. The durations that make the SDK chain long
    timers are left out, as Azure's SQL back end does: a timer of any length is one timer.
    """
    history = [past] if past else []
    history.append(events.event(Kind.ORCHESTRATOR_STARTED, -1, at))
    history.extend(batch.taken)
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
