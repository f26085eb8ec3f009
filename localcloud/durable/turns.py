"""Runs orchestrators, a turn at a time."""

import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime

from localcloud.durable import decision as decisions
from localcloud.durable import events
from localcloud.durable.activities import Activities
from localcloud.durable.batch import Batch, draw
from localcloud.durable.entities import Entities
from localcloud.durable.invocation import Invocation, Invoker
from localcloud.durable.memory import Known, Memory
from localcloud.durable.outcome import Decision, Functions, unknown_function
from localcloud.durable.store import Store
from localcloud.durable.task import LeasedTask
from localcloud.durable.turn import Progress, Turn, trigger_body
from localcloud.durable.work import Work, label

_log = logging.getLogger(__name__)

_PATIENCE_S = 0.05
"""How long turns that wait in the database let those go on that have begun."""


@dataclass(frozen=True, slots=True)
class Thought:
    """A turn that has been run and is not written yet. `past` is the history before it."""

    turn: Turn
    past: str
    batch: Batch
    progress: Progress
    decision: Decision
    took_s: float


class Turns(Work[Turn]):
    """Runs orchestrators, a turn at a time."""

    def __init__(
        self,
        store: Store,
        invoker: Invoker,
        functions: Functions,
        activities: Activities,
        *,
        slots: int,
        max_attempts: int,
        first_pause_s: float,
        await_open: bool,
    ) -> None:
        super().__init__(slots=slots, max_attempts=max_attempts, first_pause_s=first_pause_s)
        self.memory = Memory()
        self._store, self._invoker, self._functions = store, invoker, functions
        self._activities = activities
        self._entities = Entities(invoker, functions.entities, max_attempts)
        self._await_open = await_open

    def admit(self) -> int:
        """A slot for the first turn of a new instance, if its activities could run at once."""
        return self.reserve(1) if self._activities.free else 0

    async def _room(self) -> int:
        """As many slots as there are for activities: what is begun is ended first.

        A turn whose activities have no room only lengthens their queue, and what it leaves in
        memory for the next turn is gone by then. But work is not kept waiting by activities that
        take long.
        """
        await self._activities.one_free(_PATIENCE_S)
        return await self._slots.take(self._activities.free or None)

    async def _take(self, limit: int) -> list[Turn]:
        return await self._store.take_due(limit)

    async def _give_back(self, leased: Turn, *, delay_s: float, counts: bool) -> None:
        await self._store.give_back_turn(leased, delay_s=delay_s, counts=counts)

    async def _do(self, leased: Turn) -> None:
        if leased.instance_id.startswith("@"):
            await self._operate(leased)
            return
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
        past = self.memory.history(leased)
        if past is None:
            past = await self._store.history(leased.instance_id, leased.execution_id)
        thought = await self._think(leased, past, batch, progress)
        room = self._activities.reserve(len(thought.decision.tasks), continues=True)
        written = False
        try:
            written, ready_at = await self._store.commit_turn(
                leased, batch, thought.decision, reserved=room
            )
        finally:
            if not written:
                self._activities.release(room)
        if written:
            self.settle(thought, token=leased.token, room=room, ready_at=ready_at)
        else:
            _log.info("%s came too late: its lease is lost", label(leased))

    async def _operate(self, leased: Turn) -> None:
        """A turn of an entity."""
        operated = await self._entities.operate(leased)
        written, ready_at = await self._store.commit_entity(leased, operated)
        if not written:
            _log.info("%s came too late: its lease is lost", label(leased))
        if ready_at is not None:
            self.alarm.ring_at(ready_at)
        if operated.answers:
            self.alarm.ring()

    def wake_activities(self) -> None:
        """Look for activities that were made due elsewhere."""
        self._activities.alarm.ring()

    async def think_ahead(self, task: LeasedTask, event: str) -> Thought | None:
        """Run the turn that follows `task`, before its answer `event` is written.

        None when this host does not know the instance well enough, or when it waits for more than
        this activity.
        """
        known = self.memory.of(task.instance_id, task.execution_id)
        if known is None or known.sole != task.event_id:
            return None
        turn = known.ahead(event)
        progress = Progress.from_text(turn.progress)
        batch = draw(turn, progress)
        if not batch.taken:
            return None
        try:
            return await self._think(turn, known.history, batch, progress)
        except Exception as problem:  # noqa: BLE001 - the turn will be tried again, and counted
            _log.warning("%s failed ahead of its lease: %s", label(turn), problem)
            return None

    async def _think(self, turn: Turn, past: str, batch: Batch, progress: Progress) -> Thought:
        began = time.monotonic()
        decision = decisions.by_force(turn, batch, progress)
        if decision is None:
            at = events.now()
            decision = decisions.decide(
                turn,
                batch,
                progress,
                await self._invoke(turn, trigger_body(turn, past, batch.taken, at)),
                at=at,
                functions=self._functions,
                await_open=self._await_open,
            )
        return Thought(turn, past, batch, progress, decision, time.monotonic() - began)

    def settle(self, thought: Thought, *, token: int, room: int, ready_at: datetime | None) -> None:
        """Go on from a turn that is written: `room` of its activities are leased to this host."""
        turn, decision = thought.turn, thought.decision
        self._activities.adopt(
            LeasedTask(
                instance_id=turn.instance_id,
                execution_id=turn.execution_id,
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
        if decision.children or decision.messages:
            self.alarm.ring()
        if decision.finished or decision.renewal is not None:
            self.memory.forget(turn.instance_id)
            return
        self.memory.keep(
            Known(
                turn=replace(
                    turn,
                    turns=turn.turns + 1,
                    token=token,
                    progress=decision.progress,
                    seqs=None,
                    executions=None,
                    events=None,
                ),
                history=f"{thought.past},{decision.events}" if thought.past else decision.events,
                # The next turn has what is held in its inbox too, which is not remembered here.
                sole=None if thought.batch.held else thought.progress.sole(),
                took_s=thought.took_s,
            )
        )

    async def _invoke(self, leased: Turn, body: str) -> Invocation:
        function = self._functions.orchestrators.get(leased.name.casefold())
        if function is None:
            missing = unknown_function(leased.name, "orchestrator", self._functions.orchestrators)
            return Invocation(ok=False, error=missing)
        return await self._invoker.orchestrate(function, body, instance_id=leased.instance_id)
