"""Runs activities, at least once each."""

import asyncio
import logging
from collections.abc import Mapping

import psycopg

from localcloud.durable import events
from localcloud.durable.answer import argument
from localcloud.durable.decision import unknown_function
from localcloud.durable.invocation import Invocation, Invoker
from localcloud.durable.store import Completed, LeasedTask, Store
from localcloud.durable.turn import Turn
from localcloud.durable.work import Work, label

_log = logging.getLogger(__name__)

_WRITE_TRIES = 6
"""How often a result is written to a database that is away, before it is left to the lease."""


class Activities(Work[LeasedTask]):
    """Runs activities, at least once each."""

    turns: Work[Turn]
    """Where the turns go that completions make due."""

    def __init__(
        self,
        store: Store,
        invoker: Invoker,
        functions: Mapping[str, str],
        *,
        slots: int,
        max_attempts: int,
        first_pause_s: float,
    ) -> None:
        super().__init__(store, slots=slots, max_attempts=max_attempts, first_pause_s=first_pause_s)
        self._invoker, self._functions = invoker, functions

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
        room = self.turns.reserve(1)
        completed: Completed | None = None
        try:
            completed = await self._write(leased, event, take=bool(room))
        finally:
            if completed is None or completed.turn is None:
                self.turns.release(room)
        if completed is None:
            _log.info("%s came too late: its lease is lost", label(leased))
        elif completed.turn is not None:
            self.turns.adopt([completed.turn])
        elif completed.ready_at is not None:
            self.turns.alarm.ring_at(completed.ready_at)

    async def _write(self, leased: LeasedTask, event: str, *, take: bool) -> Completed | None:
        for attempt in range(1, _WRITE_TRIES):
            try:
                return await self._store.complete_task(leased, event, take=take)
            except psycopg.OperationalError:
                await asyncio.sleep(self._pause_s(attempt))
        return await self._store.complete_task(leased, event, take=take)
