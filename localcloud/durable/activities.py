"""Runs activities, at least once each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from localcloud.durable import events
from localcloud.durable.answer import argument
from localcloud.durable.database import AWAY
from localcloud.durable.http_calls import HTTP_ACTIVITY, HttpCalls, Later
from localcloud.durable.invocation import Invocation, Invoker
from localcloud.durable.outcome import unknown_function
from localcloud.durable.task import LeasedTask
from localcloud.durable.task_store import CompletedAhead, TaskStore
from localcloud.durable.together import Together
from localcloud.durable.turn import Turn
from localcloud.durable.work import Work, label

if TYPE_CHECKING:
    from localcloud.durable.turns import Thought, Turns

_log = logging.getLogger(__name__)

_WRITE_TRIES = 6
"""How often a result is written to a database that is away, before it is left to the lease."""


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
        http_poll_s: float,
    ) -> None:
        super().__init__(slots=slots, max_attempts=max_attempts, first_pause_s=first_pause_s)
        self._store, self._invoker, self._functions = store, invoker, functions
        self._together = Together(self, store)
        self._http = HttpCalls(http_poll_s)

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
        elif leased.name == HTTP_ACTIVITY:
            outcome = await self._http.call(leased.input)
            if isinstance(outcome, Later):
                await self._store.postpone_task(leased, outcome.input, delay_s=outcome.delay_s)
                self.alarm.ring_in(outcome.delay_s)
                return
            invocation = outcome
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
            except AWAY:
                await asyncio.sleep(self._pause_s(attempt))
        return await write()

    async def drain(self, timeout_s: float) -> None:
        """As for all work; answers that are being written are waited for."""
        await super().drain(timeout_s)
        await self._together.ended()
        await self._http.close()
