"""Runs orchestrators, a turn at a time."""

import logging
from collections.abc import Mapping

from localcloud.durable import decision as decisions
from localcloud.durable import events
from localcloud.durable.activities import Activities
from localcloud.durable.invocation import Invocation, Invoker
from localcloud.durable.store import LeasedTask, Store
from localcloud.durable.turn import Progress, Turn, draw, trigger_body
from localcloud.durable.work import Work, label

_log = logging.getLogger(__name__)


class Turns(Work[Turn]):
    """Runs orchestrators, a turn at a time."""

    def __init__(
        self,
        store: Store,
        invoker: Invoker,
        functions: Mapping[str, str],
        activities: Activities,
        *,
        known_activities: Mapping[str, str],
        slots: int,
        max_attempts: int,
        first_pause_s: float,
        await_open: bool,
    ) -> None:
        super().__init__(store, slots=slots, max_attempts=max_attempts, first_pause_s=first_pause_s)
        self._invoker, self._functions = invoker, functions
        self._activities, self._known_activities = activities, known_activities
        self._await_open = await_open

    async def _take(self, limit: int) -> list[Turn]:
        return await self._store.take_due(limit)

    async def _give_back(self, leased: Turn, *, delay_s: float, counts: bool) -> None:
        await self._store.give_back_turn(leased, delay_s=delay_s, counts=counts)

    async def _do(self, leased: Turn) -> None:
        if leased.attempts > self._max_attempts:
            _log.error("%s is quarantined after %d attempts", label(leased), self._max_attempts)
            await self._store.quarantine(leased)
            return
        progress = Progress.from_text(leased.progress)
        batch = draw(leased, progress)
        if not batch.taken:
            await self._store.give_back_turn(leased, consumed=batch.consumed, held=batch.held)
            self.alarm.ring()
            return
        at = events.now()
        if batch.terminated:
            decision = decisions.terminate(leased, batch, progress, at=at)
        else:
            decision = decisions.decide(
                leased,
                batch,
                progress,
                await self._invoke(leased, trigger_body(leased, batch, at)),
                at=at,
                activities=self._known_activities,
                await_open=self._await_open,
            )
        room = self._activities.reserve(len(decision.tasks))
        written = False
        try:
            written, ready_at = await self._store.commit_turn(
                leased, batch, decision, reserved=room
            )
        finally:
            if not written:
                self._activities.release(room)
        if not written:
            _log.info("%s came too late: its lease is lost", label(leased))
            return
        self._activities.adopt(
            LeasedTask(
                instance_id=leased.instance_id,
                execution_id=leased.execution_id,
                event_id=task.event_id,
                name=task.name,
                input=task.input,
                token=1,
                attempts=1,
            )
            for task in decision.tasks[:room]
        )
        if room < len(decision.tasks):
            self._activities.alarm.ring()
        if ready_at is not None:
            self.alarm.ring_at(ready_at)

    async def _invoke(self, leased: Turn, body: str) -> Invocation:
        function = self._functions.get(leased.name.casefold())
        if function is None:
            missing = decisions.unknown_function(leased.name, "orchestrator", self._functions)
            return Invocation(ok=False, error=missing)
        return await self._invoker.orchestrate(function, body, instance_id=leased.instance_id)
