"""Sorts out the messages that wait for a turn. No I/O."""

import json
from dataclasses import dataclass, field
from typing import Any

from localcloud.durable.events import Kind
from localcloud.durable.turn import Progress, Turn

_COMPLETIONS = frozenset({Kind.TASK_COMPLETED, Kind.SUB_ORCHESTRATION_COMPLETED})
_BY_FORCE = frozenset({Kind.EXECUTION_TERMINATED, Kind.EXECUTION_SUSPENDED, Kind.EXECUTION_RESUMED})


@dataclass(slots=True)
class Batch:
    """The messages of one turn.

    `taken` go to the orchestrator. `consumed` leave the inbox: the taken, and those that mean
    nothing any more. `held` must not make a turn for now: events that nobody awaits, whose names
    are in `held_names`, and whatever comes to a suspended instance. What is in none of these waits
    for the next turn. `retry` is the id whose failure or pause the last message ends; `terminated`
    is a request to end by force, and its `reason`; a suspension or a resumption is a turn of its
    own.
    """

    taken: list[str] = field(default_factory=list)
    consumed: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    held_names: list[str] = field(default_factory=list)
    retry: tuple[Kind, int] | None = None
    terminated: bool = False
    suspended: bool = False
    resumed: bool = False
    reason: str | None = None


def draw(turn: Turn, progress: Progress) -> Batch:
    """Sort out the waiting messages, and mark in `progress` what they answer.

    Answers to what is not open, a second start and messages of another execution are dropped:
    delivery is at least once. The batch ends after a message that makes the SDK count up an id
    for a retry, so that both sides count in the same order, and before an event that is not first:
    an orchestrator that continues as new after an earlier message must not swallow it.
    """
    batch = Batch()
    for seq, execution, text in zip(
        turn.seqs or (), turn.executions or (), turn.events or (), strict=True
    ):
        if execution is not None and execution != turn.execution_id:
            batch.consumed.append(seq)
        elif not _draw_one(
            turn, batch, progress, _Waiting(seq, text, answer=execution is not None)
        ):
            break
    return batch


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One message; an `answer` was sent to this execution only."""

    seq: int
    text: str
    answer: bool


def _draw_one(turn: Turn, batch: Batch, progress: Progress, waiting: _Waiting) -> bool:
    """Whether the batch goes on after this message."""
    message: dict[str, Any] = json.loads(waiting.text)
    kind = Kind(message["EventType"])
    if kind in _BY_FORCE:
        return _draw_force(batch, progress, waiting, message)
    if progress.suspended:
        batch.held.append(waiting.seq)
        return True
    if kind is Kind.EVENT_RAISED:
        return _draw_event(batch, progress, waiting, message)
    batch.consumed.append(waiting.seq)
    if kind is Kind.EXECUTION_STARTED:
        if not turn.turns and not batch.taken:
            batch.taken.append(waiting.text)
    elif kind is Kind.EXECUTION_REWOUND:
        batch.taken.append(waiting.text)
    else:
        _draw_answer(batch, progress, kind, waiting.text, message)
    return batch.retry is None


def _draw_force(
    batch: Batch, progress: Progress, waiting: _Waiting, message: dict[str, Any]
) -> bool:
    """Take a termination; take a suspension or a resumption alone. Whether the batch goes on."""
    kind = Kind(message["EventType"])
    if kind is Kind.EXECUTION_TERMINATED:
        batch.consumed.append(waiting.seq)
        batch.taken.append(waiting.text)
        batch.terminated, batch.reason = True, message["Input"]
        return True
    suspends = kind is Kind.EXECUTION_SUSPENDED
    if suspends == progress.suspended:
        batch.consumed.append(waiting.seq)
        return True
    if not batch.taken:
        batch.consumed.append(waiting.seq)
        batch.taken.append(waiting.text)
        batch.suspended, batch.resumed = suspends, not suspends
    return False


def _draw_event(
    batch: Batch, progress: Progress, waiting: _Waiting, message: dict[str, Any]
) -> bool:
    """Give an event to what awaits it; else hold it. Whether the batch goes on.

    An external event goes to its newest waiter, in the waiter's spelling; an entity's answer to
    its call, once.
    """
    name = message["Name"]
    if waiting.answer:
        batch.consumed.append(waiting.seq)
        if (call := progress.calls.pop(name, None)) is not None:
            progress.open.discard(call)
            batch.taken.append(waiting.text)
        return True
    spelling = progress.waiter(name)
    if spelling is None:
        batch.held.append(waiting.seq)
        batch.held_names.append(name)
        return True
    if any(Kind(json.loads(taken)["EventType"]) is not Kind.EVENT_RAISED for taken in batch.taken):
        return False
    progress.drop_waiter(spelling)
    batch.consumed.append(waiting.seq)
    batch.taken.append(
        waiting.text if spelling == name else json.dumps(message | {"Name": spelling})
    )
    return True


def _draw_answer(
    batch: Batch, progress: Progress, kind: Kind, text: str, message: dict[str, Any]
) -> None:
    id_ = message["TimerId"] if kind is Kind.TIMER_FIRED else message["TaskScheduledId"]
    if id_ not in progress.open:
        return
    progress.open.discard(id_)
    batch.taken.append(text)
    if id_ in progress.retries and kind not in _COMPLETIONS:
        batch.retry = (kind, id_)
