"""The Durable back end's life: start, loops, drain."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import psycopg

from localcloud.durable import schema
from localcloud.durable.activities import Activities
from localcloud.durable.instances import Instances
from localcloud.durable.invocation import Invoker
from localcloud.durable.outcome import Functions
from localcloud.durable.presence import Presence
from localcloud.durable.states import EntityStates
from localcloud.durable.store import Store
from localcloud.durable.task_store import TaskStore
from localcloud.durable.turns import Turns

_log = logging.getLogger(__name__)

_REAP_S = 1.0
_LOST_AFTER_S = 20.0


class DurableBackend:
    """Runs the orchestrations and activities of one task hub out of PostgreSQL."""

    def __init__(
        self,
        dsn: str,
        *,
        hub: str,
        invoker: Invoker,
        orchestrators: Mapping[str, str],
        activities: Mapping[str, str],
        entities: Mapping[str, str] | None = None,
        max_orchestrations: int = 8,
        max_activities: int = 16,
        orchestration_lease_s: float = 30.0,
        activity_lease_s: float = 300.0,
        max_attempts: int = 5,
        first_pause_s: float = 0.5,
        await_open: bool = True,
        http_poll_s: float = 30.0,
    ) -> None:
        """`orchestrators`, `activities`, `entities` map a casefolded durable name to its function.

        `max_attempts` is how often a turn or an activity may be abandoned (worker crashed or timed
        out) before the instance is quarantined, or the activity fails; it rests `first_pause_s` the
        first time, then twice as long each time. With `await_open`, Azure's
        way, an orchestrator that has returned leaves its instance running until every activity and
        timer has ended that it neither awaited nor cancelled. A call_http that is answered with 202
        asks again after `http_poll_s`, unless the answer says when.
        """
        self.hub = hub
        functions = Functions(dict(orchestrators), dict(activities), dict(entities or {}))
        self._dsn = dsn
        self._store = Store(
            dsn,
            max_connections=min(max_orchestrations + max_activities, 12),
            lease_s=orchestration_lease_s,
            task_lease_s=activity_lease_s,
        )
        self._activities = Activities(
            TaskStore(self._store),
            invoker,
            activities,
            slots=max_activities,
            max_attempts=max_attempts,
            first_pause_s=first_pause_s,
            http_poll_s=http_poll_s,
        )
        self._turns = Turns(
            self._store,
            invoker,
            functions,
            self._activities,
            slots=max_orchestrations,
            max_attempts=max_attempts,
            first_pause_s=first_pause_s,
            await_open=await_open,
        )
        self._activities.turns = self._turns
        self.instances = Instances(self._store, self._turns, functions)
        self.entities = EntityStates(self._store, self._turns, functions)
        self._presence = Presence(dsn, entered=self._entered, notified=self._notified)
        self._renew_s = min(orchestration_lease_s, activity_lease_s, _LOST_AFTER_S) / 3
        self._chores: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Create the schema if it is missing, void the leases of dead hosts, start working.

        Raises schema.WrongHub when the database belongs to another task hub.
        """
        await schema.install(self._dsn, self.hub)
        await self._store.open()
        await self._presence.enter()
        await self._reap()
        self._turns.start()
        self._activities.start()
        for chore in (self._every(_REAP_S, self._reap), self._every(self._renew_s, self._renew)):
            self._chores.append(asyncio.create_task(chore))

    async def drain(self, timeout_s: float) -> None:
        """Claim nothing new, finish what runs within `timeout_s`, release every lease."""
        await asyncio.gather(self._activities.drain(timeout_s), self._turns.drain(timeout_s))
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._presence.leave()
        await self._store.close()

    def _entered(self, host: int) -> None:
        self._store.host = host

    def _notified(self, sort: str, host: int) -> None:
        if host != self._store.host:
            (self._turns if sort == "turn" else self._activities).alarm.ring()

    async def _reap(self) -> None:
        if voided := await self._store.reap():
            _log.info("took over %d leases of dead hosts", voided)
            self._turns.alarm.ring()
            self._activities.alarm.ring()

    async def _renew(self) -> None:
        turns, tasks = list(self._turns.running.values()), list(self._activities.running.values())
        await self._store.renew(turns, tasks, _LOST_AFTER_S)

    async def _every(self, period_s: float, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(period_s)
            try:
                await chore()
            except psycopg.Error as problem:
                _log.warning("the database is away: %s", problem)
