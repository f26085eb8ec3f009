"""Runs activities, at least once each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING

import psycopg

from localcloud.durable import events
from localcloud.durable.answer import argument
from localcloud.durable.invocation import Invocation, Invoker
from localcloud.durable.outcome import unknown_function
from localcloud.durable.task import LeasedTask
from localcloud.durable.task_store import Completed, CompletedAhead, TaskStore
from localcloud.durable.turn import Turn
from localcloud.durable.work import Work, label

if TYPE_CHECKING:
    from localcloud.durable.turns import Thought, Turns

_log = logging.getLogger(__name__)

_WRITE_TRIES = 6
"""How often a result is written to a database that is away, before it is left to the lease."""

_PAUSES = 3.0
"""While many activities of an instance run, it rests this many times as long as it replays."""

_LONGEST_PAUSE_S = 1.0

type Written = asyncio.Future[bool]


class Activities(Work[LeasedTask]):
    """Runs activities, at least once each."""

    turns: "Turns"
    """Where the turns go that completions make due."""

    def __init__(
        self,
        store: TaskStore,
        invoker: Invoker,
        functions: Mapping[str, str],
        *,
        slots: int,
        max_attempts: int,
        first_pause_s: float,
    ) -> None:
        super().__init__(slots=slots, max_attempts=max_attempts, first_pause_s=first_pause_s)
        self._store, self._invoker, self._functions = store, invoker, functions
        self._together = Together(self, store)

    async def _take(self, limit: int) -> list[LeasedTask]:
        return await self._store.take_tasks(limit)

    async def _give_back(self, leased: LeasedTask, *, delay_s: float, counts: bool) -> None:
        await self._store.give_back_task(leased, delay_s=delay_s, counts=counts)

    async def _do(self, leased: LeasedTask) -> None:
        if leased.attempts > self._max_attempts:
            _log.error("%s is given up after %d attempts", label(leased), self._max_attempts)
            invocation = Invocation(
                ok=False, error=f"the worker gave it up {self._max_attempts} times"
            )
        else:
            invocation = await self._invoke(leased)
        if invocation.ok:
            event = events.task_completed(leased.event_id, invocation.value)
        else:
            reason = f"Activity function '{leased.name}' failed: {invocation.error}"
            event = events.task_failed(leased.event_id, reason, invocation.details)
        await self._complete(leased, event)

    async def _invoke(self, leased: LeasedTask) -> Invocation:
        function = self._functions.get(leased.name.casefold())
        if function is None:
            missing = unknown_function(leased.name, "activity", self._functions)
            return Invocation(ok=False, error=missing)
        return await self._invoker.run_activity(
            function, argument(leased.input), instance_id=leased.instance_id
        )

    async def _complete(self, leased: LeasedTask, event: str) -> None:
        """Write the answer, together with the turn that follows if it can be run here and now."""
        seat = self.turns.reserve(1, continues=True)
        turn: Turn | None = None
        try:
            thought = await self.turns.think_ahead(leased, event) if seat else None
            if thought is not None:
                turn = await self._complete_ahead(leased, event, thought)
        finally:
            if turn is None:
                self.turns.release(seat)
        if turn is not None:
            self.turns.adopt([turn])
        elif thought is None and not await self._together.add(leased, event):
            _log.info("%s came too late: its lease is lost", label(leased))

    async def _complete_ahead(
        self, leased: LeasedTask, event: str, thought: "Thought"
    ) -> Turn | None:
        """The instance's next turn, leased, if `thought` did not stand."""
        self.hand_over_slot()
        room = self.reserve(len(thought.decision.tasks), continues=True)
        ended: CompletedAhead | None = None
        try:
            ended = await self.persist(
                lambda: self._store.complete_task_and_turn(
                    leased, event, thought.turn, thought.batch, thought.decision, reserved=room
                )
            )
        finally:
            if ended is None or not ended.written:
                self.release(room)
        if ended is None:
            _log.info("%s came too late: its lease is lost", label(leased))
            return None
        if ended.written:
            token = thought.turn.token + 1
            self.turns.settle(thought, token=token, room=room, ready_at=ended.ready_at)
        elif ended.ready_at is not None:
            self.turns.alarm.ring_at(ended.ready_at)
        return ended.turn

    async def persist[T](self, write: Callable[[], Awaitable[T]]) -> T:
        """What `write` gives, though the database may be away for a moment."""
        for attempt in range(1, _WRITE_TRIES):
            try:
                return await write()
            except psycopg.OperationalError:
                await asyncio.sleep(self._pause_s(attempt))
        return await write()

    async def drain(self, timeout_s: float) -> None:
        """As for all work; answers that are being written are waited for."""
        await super().drain(timeout_s)
        await self._together.ended()


class Together:
    """Writes the answers of one execution's activities, those that come meanwhile together."""

    def __init__(self, activities: Activities, store: TaskStore) -> None:
        self._activities, self._store = activities, store
        self._waiting: dict[tuple[str, str], list[tuple[LeasedTask, str, Written]]] = {}
        self._writers: set[asyncio.Task[None]] = set()

    async def add(self, leased: LeasedTask, event: str) -> bool:
        """Write one answer; whether the activity's lease still held."""
        key = (leased.instance_id, leased.execution_id)
        written: Written = asyncio.get_running_loop().create_future()
        if key not in self._waiting:
            self._waiting[key] = []
            writer = asyncio.create_task(self._write_all(key))
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        self._waiting[key].append((leased, event, written))
        return await written

    async def ended(self) -> None:
        """Return when nothing is being written."""
        if self._writers:
            await asyncio.wait(self._writers)

    async def _write_all(self, key: tuple[str, str]) -> None:
        while answers := self._waiting[key]:
            self._waiting[key] = []
            try:
                done = await self._write([(leased, event) for leased, event, _ in answers])
            except psycopg.Error as problem:
                for _, _, written in answers:
                    if not written.done():
                        written.set_exception(problem)
            else:
                for leased, _, written in answers:
                    if not written.done():
                        written.set_result(leased.event_id in done)
        del self._waiting[key]

    async def _write(self, answers: list[tuple[LeasedTask, str]]) -> Collection[int]:
        turns = self._activities.turns
        known = turns.memory.of(answers[0][0].instance_id, answers[0][0].execution_id)
        pause_s = min(_PAUSES * known.took_s, _LONGEST_PAUSE_S) if known else 0.0
        room = turns.reserve(1, continues=True)
        completed: Completed | None = None
        try:
            completed = await self._activities.persist(
                lambda: self._store.complete_tasks(answers, take=bool(room), pause_s=pause_s)
            )
        finally:
            if completed is None or completed.turn is None:
                turns.release(room)
        if completed.turn is not None:
            turns.adopt([completed.turn])
        elif completed.ready_at is not None:
            turns.alarm.ring_at(completed.ready_at)
        return completed.done
