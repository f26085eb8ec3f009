"""Turns a history into lanes: one for each call, timer and wait, with a bar for each attempt."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.dashboard.history import DECISIONS, FAILURES, Event
from localcloud.dashboard.instance import Instance
from localcloud.dashboard.lanes import Bar, End, Lane, Sort
from localcloud.dashboard.values import Payload, lasting
from localcloud.dashboard.waits import Wait, read_waits
from localcloud.durable.events import Kind


@dataclass(slots=True, eq=False)
class _Pause:
    """A timer that was set after failures: perhaps the pause before another attempt.

    `alone` says that the orchestrator decided nothing else in that turn.
    """

    lane: Lane
    after: list[Lane]
    turn: int
    alone: bool


class _Weaver:
    """Reads the events in their order."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self._open: dict[int, tuple[Lane, Bar]] = {}
        self._requests: dict[str, tuple[Lane, Bar]] = {}
        self._failed: dict[tuple[Sort, str, str], deque[Lane]] = {}
        self._failures: list[Lane] = []
        self._pauses: dict[int, _Pause] = {}
        self._over: list[_Pause] = []
        self._turn = -1
        self._decisions = 0

    @property
    def answers(self) -> frozenset[str]:
        """The names of the events that answer entity calls."""
        return frozenset(self._requests)

    def read(self, events: Iterable[Event]) -> None:
        """Add lanes and bars for these events."""
        readers: Mapping[Kind, Callable[[Event], None]] = {
            Kind.TASK_SCHEDULED: self._call,
            Kind.SUB_ORCHESTRATION_CREATED: self._call,
            Kind.TIMER_CREATED: self._set_timer,
            Kind.EVENT_SENT: self._ask,
            Kind.EVENT_RAISED: self._answer,
            Kind.EXECUTION_SUSPENDED: self._suspend,
            Kind.EXECUTION_RESUMED: self._resume,
            Kind.EXECUTION_TERMINATED: self._resume,
        }
        for event in events:
            if event.turn != self._turn:
                self._turn = event.turn
                self._failures, self._over = [], []
                self._decisions = 0
            if event.kind in DECISIONS:
                self._decide()
            if event.answers is not None:
                self._end(event)
            elif read := readers.get(event.kind):
                read(event)

    def _decide(self) -> None:
        """Count a decision of this turn: a timer that it sets is alone only if it is the first."""
        self._decisions += 1
        if self._decisions > 1:
            for pause in self._pauses.values():
                pause.alone = pause.alone and pause.turn != self._turn

    def _begin(self, sort: Sort, name: str, bar: Bar, key: str = "") -> Lane:
        lane = Lane(sort, name, key or f"lane-{bar.id}", [bar])
        self.lanes.append(lane)
        return lane

    def _call(self, event: Event) -> None:
        """A further attempt of a call that failed with the same input, or a new one."""
        sort = Sort.HTTP if event.http else Sort.CHILD if event.child_id else Sort.ACTIVITY
        bar = Bar(event.at, event.id, event.input, child_id=event.child_id)
        waiting = self._failed.get(_same(sort, event.name, event.input))
        if waiting:
            lane = waiting.popleft()
            for pause in self._over:
                if lane in pause.after:
                    lane.bars[-1].paused_until = pause.lane.bars[0].until
                    self.lanes.remove(pause.lane)
                    self._over.remove(pause)
                    break
            lane.bars.append(bar)
        else:
            lane = self._begin(sort, event.name, bar)
        self._open[event.id] = lane, bar

    def _set_timer(self, event: Event) -> None:
        if self._failures and event.fires_at == event.at:
            return  # the pause after a last failure, which is none
        bar = Bar(event.at, event.id, fires_at=event.fires_at)
        assert event.fires_at is not None
        length = lasting((event.fires_at - event.at).total_seconds())
        lane = self._begin(Sort.TIMER, length, bar)
        self._open[event.id] = lane, bar
        if self._failures:
            self._pauses[event.id] = _Pause(
                lane, list(self._failures), self._turn, alone=self._decisions == 1
            )

    def _end(self, event: Event) -> None:
        assert event.answers is not None
        lane, bar = self._open.pop(event.answers, (None, None))
        if lane is None or bar is None:
            return
        bar.until, bar.result, bar.reason = event.at, event.result, event.reason
        bar.end = End.COMPLETED
        if event.kind in FAILURES:
            bar.end = End.FAILED
            self._failures.append(lane)
            same = _same(lane.sort, lane.name, bar.input)
            self._failed.setdefault(same, deque()).append(lane)
        elif pause := self._pauses.pop(event.answers, None):
            self._over.append(pause)  # another attempt in this turn would tell

    def _ask(self, event: Event) -> None:
        assert event.request is not None
        bar = Bar(event.at, event.id, event.input)
        name = f"{event.entity_id} {event.request.operation}"
        if event.request.signal:
            bar.until, bar.end = event.at, End.COMPLETED
            self._begin(Sort.SIGNAL, name, bar)
        else:
            self._requests[event.request.id] = self._begin(Sort.ENTITY, name, bar), bar

    def _answer(self, event: Event) -> None:
        asked = self._requests.get(event.name)
        if asked is None:
            return
        _, bar = asked
        bar.until, bar.end = event.at, End.COMPLETED
        if event.input is None or event.input.cut:
            bar.result = event.input
            return
        reply = json.loads(event.input.text)
        bar.result = Payload.of(reply.get("result"))
        if "exceptionType" in reply:
            bar.end = End.FAILED

    def fold_pauses(self, progress: Mapping[str, Any], waits: Sequence[Wait]) -> None:
        """Show timers that run as pauses after the failures that they follow: those of which the
        engine knows it, and those that are all that the orchestrator waits for since.
        """
        waiting = {wait.since for wait in waits}
        for id_, pause in self._pauses.items():
            timer = pause.lane.bars[0]
            alone = pause.alone and len(pause.after) == 1 and timer.at not in waiting
            if id_ not in progress.get("open", ()):
                continue
            if alone or str(id_) in progress.get("retries", ()):
                pause.after[-1].bars[-1].paused_until = timer.fires_at
                self.lanes.remove(pause.lane)

    def _suspend(self, event: Event) -> None:
        bar = Bar(event.at, reason=event.reason)
        self._begin(Sort.SUSPENSION, "suspended", bar, f"suspension-{event.turn}")

    def _resume(self, event: Event) -> None:
        for lane in self.lanes:
            if lane.sort is Sort.SUSPENSION and lane.end is End.OPEN:
                lane.bars[0].until, lane.bars[0].end = event.at, End.COMPLETED


def _same(sort: Sort, name: str, input_: Payload | None) -> tuple[Sort, str, str]:
    return sort, name.casefold(), "" if input_ is None else input_.text


def weave(instance: Instance) -> list[Lane]:
    """The lanes of an instance, in the order in which they began."""
    weaver = _Weaver()
    weaver.read(instance.events)
    waits = read_waits(instance.events, instance.progress, weaver.answers)
    if not instance.ended:
        weaver.fold_pauses(instance.progress, waits)
    lanes = weaver.lanes
    for number, wait in enumerate(waits):
        bar = Bar(wait.since)
        if wait.event is not None:
            bar.until, bar.end = max(wait.event.at, wait.since), End.COMPLETED
            bar.result = wait.event.input
            if wait.event.at < wait.since:
                bar.note = "it came before anybody waited for it"
        lanes.append(Lane(Sort.EVENT, wait.name, f"wait-{number}", [bar]))
    for lane in lanes:
        for bar in lane.bars:
            _finish(bar, lane.sort, instance)
    return sorted(lanes, key=lambda lane: lane.bars[0].at)


def _finish(bar: Bar, sort: Sort, instance: Instance) -> None:
    """Add what the history does not know: starts of children, what is running, what never ends."""
    child = instance.children.get(bar.child_id)
    if child is not None and child.began_at is not None and child.began_at >= bar.at:
        bar.began_at = child.began_at
    if bar.end is not End.OPEN:
        return
    if sort is Sort.TIMER and _given_up(bar, instance):
        bar.end = End.UNFIRED
    elif instance.ended:
        bar.end = End.MISSED if sort is Sort.EVENT else End.UNFINISHED
        bar.until = instance.completed_at
    elif sort in {Sort.ACTIVITY, Sort.HTTP}:
        bar.note = _whereabouts(bar, instance)


def _given_up(bar: Bar, instance: Instance) -> bool:
    """Whether a timer that has not fired never will: it was cancelled, or the instance is over."""
    open_: Sequence[int] = instance.progress.get("open", ())
    return instance.ended or bar.id not in open_


def _whereabouts(bar: Bar, instance: Instance) -> str:
    task = instance.tasks.get(bar.id)
    if task is None:
        return "has an answer, which waits for the next turn"
    place = "running" if task.running else "waiting for a free place"
    return f"{place}, delivery {task.attempts}" if task.attempts > 1 else place
