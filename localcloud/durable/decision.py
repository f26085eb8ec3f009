"""What an orchestrator's answer makes of its instance: ids, work, waits, end. No I/O."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from localcloud.durable import events
from localcloud.durable.answer import Action, Fails, compact, read, storable
from localcloud.durable.events import Kind
from localcloud.durable.invocation import Invocation
from localcloud.durable.turn import Batch, Progress, Retry, Turn


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


@dataclass(slots=True)
class Decision:
    """Everything that a turn writes down.

    `output` and `custom_status` are text, None when there is none or none new; `events` are the
    turn's history, JSON objects separated by commas; `cancelled` are ids of timers; `held_due`
    says that an event which was held has found its waiter.
    """

    status: str
    progress: str
    events: str
    output: str | None = None
    custom_status: str | None = None
    tasks: list[Task] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    held_due: bool = False

    @property
    def finished(self) -> bool:
        """Whether this was the instance's last turn."""
        return self.status != "Running"


def _signature(action: Mapping[str, Any]) -> str:
    name = action.get("functionName") or action.get("externalEventName") or ""
    return f"{action['actionType']}:{name.casefold()}"


def _spoken(signature: str) -> str:
    kind, _, name = signature.partition(":")
    return f"{Action(int(kind)).name.lower()} '{name}'"


class _Episode:
    """Collects a turn's decisions in the order of their ids."""

    def __init__(self, turn: Turn, batch: Batch, progress: Progress, at: datetime) -> None:
        self._turn, self._batch, self._progress, self._at = turn, batch, progress, at
        self._events: list[str] = []
        self.tasks: list[Task] = []
        self.timers: list[Timer] = []
        self.cancelled: list[int] = []

    def check(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Raises Fails when the replay did not repeat what earlier turns did."""
        known = self._progress.actions
        replayed = [_signature(action) for action in actions]
        if replayed[: len(known)] == known:
            return
        place = next(
            (n for n, (a, b) in enumerate(zip(known, replayed, strict=False)) if a != b),
            len(replayed),
        )
        now_ = (
            f"this replay did {_spoken(replayed[place])}"
            if place < len(replayed)
            else ("this replay did nothing more")
        )
        raise Fails(
            f"Non-Deterministic workflow detected: action {place} was {_spoken(known[place])} in a "
            f"previous execution, but {now_}. Was a change made to the orchestrator code after "
            "this instance had already started running?"
        )

    def perform(self, actions: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> None:
        """Schedule the new actions, and cancel the timers that are no longer wanted."""
        for place in range(len(self._progress.actions), len(actions)):
            self._begin(place, actions[place], known)
            self._progress.actions.append(_signature(actions[place]))
        for place, id_ in list(self._progress.timers.items()):
            if id_ not in self._progress.open:
                del self._progress.timers[place]
            elif actions[place].get("isCanceled"):
                del self._progress.timers[place]
                self._progress.open.discard(id_)
                self.cancelled.append(id_)

    def _begin(self, place: int, action: Mapping[str, Any], known: Mapping[str, str]) -> None:
        match action["actionType"]:
            case Action.CALL_ACTIVITY | Action.CALL_ACTIVITY_WITH_RETRY as kind:
                if action["functionName"].casefold() not in known:
                    raise Fails(unknown_function(action["functionName"], "activity", known))
                id_ = self._schedule(action)
                if kind == Action.CALL_ACTIVITY_WITH_RETRY:
                    self._progress.retries[id_] = Retry(place, 1)
            case Action.CREATE_TIMER:
                due = datetime.fromisoformat(action["fireAt"]).astimezone(UTC)
                wanted = not action.get("isCanceled")
                id_ = self._set_timer(due, wanted=wanted)
                if wanted:
                    self._progress.timers[place] = id_
            case Action.WAIT_FOR_EXTERNAL_EVENT:
                self._progress.add_waiter(action["externalEventName"])
            case kind:
                raise Fails(f"the local cloud does not run {Action(kind).name.lower()} yet")

    def _schedule(self, action: Mapping[str, Any]) -> int:
        id_ = self._progress.take_id()
        self._progress.open.add(id_)
        name, input_ = action["functionName"], json.dumps([action["input"]])
        self._events.append(
            events.event(Kind.TASK_SCHEDULED, id_, self._at, Name=name, Version="", Input=input_)
        )
        self.tasks.append(Task(id_, name, input_))
        return id_

    def _set_timer(self, due: datetime, *, wanted: bool = True) -> int:
        id_ = self._progress.take_id()
        fire_at = events.iso(due)
        self._events.append(events.event(Kind.TIMER_CREATED, id_, self._at, FireAt=fire_at))
        if wanted:
            self._progress.open.add(id_)
            fired = events.event(Kind.TIMER_FIRED, -1, due, TimerId=id_, FireAt=fire_at)
            self.timers.append(Timer(id_, due, fired))
        return id_

    def retry(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Continue the retry that the batch's last message belongs to.

        After a failure comes a pause, after a pause the next attempt. The last failure is followed
        by an immediate pause that leads nowhere: without it the SDK never raises the failure.
        """
        if self._batch.retry is None:
            return
        kind, ended = self._batch.retry
        record = self._progress.retries.pop(ended)
        action = actions[record.action]
        if kind is Kind.TIMER_FIRED:
            id_ = self._schedule(action)
            self._progress.retries[id_] = Retry(record.action, record.attempt + 1)
            return
        options = action["retryOptions"]
        if record.attempt >= options["maxNumberOfAttempts"]:
            self._set_timer(self._at)
            return
        pause = timedelta(milliseconds=options["firstRetryIntervalInMilliseconds"])
        id_ = self._set_timer(self._at + pause)
        self._progress.retries[id_] = record

    def wrap_up(
        self, status: str, *, output: str | None = None, custom_status: str | None = None
    ) -> Decision:
        """The turn as it is written down. A finished instance schedules nothing more."""
        finished = status != "Running"
        history = [events.event(Kind.ORCHESTRATOR_STARTED, -1, self._at)]
        history.extend(events.played(text) for text in self._batch.taken)
        history.extend(self._events)
        if finished:
            history.append(
                events.event(
                    Kind.EXECUTION_COMPLETED,
                    self._progress.next_id,
                    self._at,
                    OrchestrationStatus=status,
                    Result=output,
                )
            )
        history.append(events.event(Kind.ORCHESTRATOR_COMPLETED, -1, self._at))
        return Decision(
            status=status,
            progress=self._progress.to_text(),
            events=",".join(history),
            output=output,
            custom_status=custom_status,
            tasks=[] if finished else self.tasks,
            timers=[] if finished else self.timers,
            cancelled=self.cancelled,
            held_due=any(
                self._progress.waiter(name) is not None for name in self._batch.held_names
            ),
        )


def unknown_function(name: str, sort: str, known: Collection[str]) -> str:
    """Azure's message for a function that is not there; `sort` is "activity" or "orchestrator"."""
    return (
        f"The function '{name}' doesn't exist, is disabled, or is not an {sort} function. "
        f"Additional info: the following are the known {sort} functions: "
        f"'{"', '".join(sorted(known))}'"
    )


def decide(
    turn: Turn,
    batch: Batch,
    progress: Progress,
    invocation: Invocation,
    *,
    at: datetime,
    activities: Mapping[str, str],
    await_open: bool,
) -> Decision:
    """The decision of a turn that ran; `progress` is brought up to date.

    With `await_open` an orchestrator that is done, or has failed, leaves its instance running until
    every activity and timer that it left open has ended, as Azure does.
    """
    episode = _Episode(turn, batch, progress, at)
    custom_status = None
    try:
        answer = read(invocation)
        if answer.custom_status is not None:
            custom_status = compact(answer.custom_status)
        episode.check(answer.actions)
        episode.perform(answer.actions, activities)
    except Fails as failure:
        return _failed(episode, turn, str(failure), custom_status)
    ended = answer.done or answer.error is not None
    if not ended:
        episode.retry(answer.actions)
    if not ended or (await_open and progress.open):
        return episode.wrap_up("Running", custom_status=custom_status)
    if answer.error is not None:
        return _failed(episode, turn, answer.error, custom_status)
    output = None if answer.output is None else compact(answer.output)
    return episode.wrap_up("Completed", output=output, custom_status=custom_status)


def _failed(episode: _Episode, turn: Turn, error: str, custom_status: str | None) -> Decision:
    output = storable(f"Orchestrator function '{turn.name}' failed: {error}")
    return episode.wrap_up("Failed", output=output, custom_status=custom_status)


def terminate(turn: Turn, batch: Batch, progress: Progress, *, at: datetime) -> Decision:
    """The decision of a turn that somebody ended by force; the reason is the output."""
    reason = None if batch.reason is None else storable(batch.reason)
    return _Episode(turn, batch, progress, at).wrap_up("Terminated", output=reason)
