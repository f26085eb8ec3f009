"""All SQL of the Durable back end: one method per transaction of `schema.sql`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg_pool import AsyncConnectionPool

from localcloud.durable.decision import Decision
from localcloud.durable.turn import Batch, Turn

CHECK_CLIENT = "-c client_connection_check_interval=500"
"""PostgreSQL option: a statement of a dead host must not take effect once its row lock is free."""


@dataclass(frozen=True, slots=True)
class LeasedTask:
    """An activity that this host may run. `input` is the JSON array of its one argument."""

    instance_id: str
    execution_id: str
    event_id: int
    name: str
    input: str
    token: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Started:
    """`existing` is the status that forbade the start; `turn` the first turn, if it was leased."""

    existing: str | None
    turn: Turn | None


@dataclass(frozen=True, slots=True)
class Completed:
    """`ready_at` is when the instance has its turn; `turn` that very turn, if it was leased."""

    ready_at: datetime | None
    turn: Turn | None


# `turn` is the composite type durable.turn, whose fields are those of Turn in the same order.
TAKE_DUE = """
    SELECT (t).*
    FROM durable.take_due(%(host)s, %(lease_s)s, %(limit)s) AS t
"""
START = """
    SELECT s.existing, (s.turn).*
    FROM durable.start_instance(
        %(instance_id)s, %(execution_id)s, %(name)s, %(version)s, %(input)s, %(event)s,
        %(host)s, %(lease_s)s, %(take)s
    ) AS s
"""
POST = "SELECT durable.post(%(instance_id)s, %(event)s, %(host)s, %(revive)s)"
COMMIT_TURN = """
    SELECT ready_at
    FROM durable.commit_turn(
        %(instance_id)s, %(token)s, %(status)s, %(output)s, %(custom_status)s, %(progress)s,
        %(events)s, %(consumed)s::bigint[], %(held)s::bigint[], %(held_due)s,
        %(cancelled)s::integer[], %(timer_ids)s::integer[], %(timer_due)s::timestamptz[],
        %(timer_events)s::text[], %(task_ids)s::integer[], %(task_names)s::text[],
        %(task_inputs)s::text[], %(reserved)s, %(host)s, %(lease_s)s
    )
"""
GIVE_BACK_TURN = """
    SELECT durable.give_back_turn(
        %(instance_id)s, %(token)s, %(consumed)s::bigint[], %(held)s::bigint[], %(delay_s)s,
        %(counts)s
    )
"""
QUARANTINE = "SELECT durable.quarantine(%(instance_id)s, %(token)s)"
TAKE_TASKS = """
    SELECT instance_id, execution_id, event_id, name, input, token, attempts
    FROM durable.take_tasks(%(host)s, %(lease_s)s, %(limit)s)
"""
COMPLETE_TASK = """
    SELECT c.ready_at, (c.turn).*
    FROM durable.complete_task(
        %(instance_id)s, %(execution_id)s, %(event_id)s, %(token)s, %(event)s,
        %(host)s, %(lease_s)s, %(take)s
    ) AS c
"""
GIVE_BACK_TASK = """
    SELECT durable.give_back_task(
        %(instance_id)s, %(execution_id)s, %(event_id)s, %(token)s, %(delay_s)s, %(counts)s
    )
"""
RENEW = """
    SELECT durable.renew(
        %(host)s, %(instances)s::text[], %(tokens)s::bigint[], %(lease_s)s,
        %(task_instances)s::text[], %(task_ids)s::integer[], %(task_tokens)s::bigint[],
        %(task_lease_s)s, %(lost_after_s)s
    )
"""
REAP = "SELECT durable.reap(%(host)s)"


class Store:
    """The task hub's transactions. `host` is the number under which this process holds leases."""

    def __init__(
        self, dsn: str, *, max_connections: int, lease_s: float, task_lease_s: float
    ) -> None:
        self.host = 0
        self._lease_s, self._task_lease_s = lease_s, task_lease_s
        self._pool = AsyncConnectionPool(
            dsn,
            min_size=2,
            max_size=max_connections,
            open=False,
            name="durable",
            kwargs={"autocommit": True, "prepare_threshold": 0, "options": CHECK_CLIENT},
        )

    async def open(self) -> None:
        """Connect; psycopg_pool.PoolTimeout when the database does not answer in time."""
        await self._pool.open(wait=True, timeout=20)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def rows(self, query: LiteralString, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of one statement, in a transaction of its own."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, params)
            return await cursor.fetchall()

    async def value(self, query: LiteralString, params: Mapping[str, Any]) -> Any:
        """The first column of the first row."""
        return (await self.rows(query, params))[0][0]

    async def take_due(self, limit: int) -> list[Turn]:
        """Up to `limit` due instances, now leased, longest overdue first."""
        params = {"host": self.host, "lease_s": self._lease_s, "limit": limit}
        return [Turn(*row) for row in await self.rows(TAKE_DUE, params)]

    async def start_instance(
        self,
        instance_id: str,
        execution_id: str,
        *,
        name: str,
        version: str,
        input_: str | None,
        event: str,
        take: bool,
    ) -> Started:
        """Create the instance, or begin it anew when it had finished."""
        row = (
            await self.rows(
                START,
                {
                    "instance_id": instance_id,
                    "execution_id": execution_id,
                    "name": name,
                    "version": version,
                    "input": input_,
                    "event": event,
                    "host": self.host,
                    "lease_s": self._lease_s,
                    "take": take,
                },
            )
        )[0]
        return Started(row[0], _turn(row))

    async def post(self, instance_id: str, event: str, *, revive: bool = False) -> str | None:
        """Send a message; the instance's status, None when there is none.

        A finished instance gets nothing. `revive` reaches a quarantined one.
        """
        params = {"instance_id": instance_id, "event": event, "host": self.host, "revive": revive}
        status: str | None = await self.value(POST, params)
        return status

    async def commit_turn(
        self, turn: Turn, batch: Batch, decision: Decision, *, reserved: int
    ) -> tuple[bool, datetime | None]:
        """Whether the lease still held and all is written; and when the next turn is due.

        The first `reserved` activities are leased to this host, with token 1.
        """
        rows = await self.rows(
            COMMIT_TURN,
            {
                "instance_id": turn.instance_id,
                "token": turn.token,
                "status": decision.status,
                "output": decision.output,
                "custom_status": decision.custom_status,
                "progress": decision.progress,
                "events": decision.events,
                "consumed": batch.consumed,
                "held": batch.held,
                "held_due": decision.held_due,
                "cancelled": decision.cancelled,
                "timer_ids": [timer.event_id for timer in decision.timers],
                "timer_due": [timer.due for timer in decision.timers],
                "timer_events": [timer.event for timer in decision.timers],
                "task_ids": [task.event_id for task in decision.tasks],
                "task_names": [task.name for task in decision.tasks],
                "task_inputs": [task.input for task in decision.tasks],
                "reserved": reserved,
                "host": self.host,
                "lease_s": self._task_lease_s,
            },
        )
        return (True, rows[0][0]) if rows else (False, None)

    async def give_back_turn(
        self,
        turn: Turn,
        *,
        consumed: Sequence[int] = (),
        held: Sequence[int] = (),
        delay_s: float = 0.0,
        counts: bool = False,
    ) -> None:
        """End the lease without a checkpoint; does nothing when it is lost."""
        await self.value(
            GIVE_BACK_TURN,
            {
                "instance_id": turn.instance_id,
                "token": turn.token,
                "consumed": list(consumed),
                "held": list(held),
                "delay_s": delay_s,
                "counts": counts,
            },
        )

    async def quarantine(self, turn: Turn) -> None:
        """Set the instance aside until it is terminated or purged."""
        await self.value(QUARANTINE, {"instance_id": turn.instance_id, "token": turn.token})

    async def take_tasks(self, limit: int) -> list[LeasedTask]:
        """Up to `limit` waiting activities, now leased, oldest first."""
        params = {"host": self.host, "lease_s": self._task_lease_s, "limit": limit}
        return [LeasedTask(*row) for row in await self.rows(TAKE_TASKS, params)]

    async def complete_task(self, task: LeasedTask, event: str, *, take: bool) -> Completed | None:
        """Turn the activity into the message `event`; None when the lease is lost.

        With `take` the turn that this makes due is leased to this host.
        """
        rows = await self.rows(
            COMPLETE_TASK,
            {
                "instance_id": task.instance_id,
                "execution_id": task.execution_id,
                "event_id": task.event_id,
                "token": task.token,
                "event": event,
                "host": self.host,
                "lease_s": self._lease_s,
                "take": take,
            },
        )
        return Completed(rows[0][0], _turn(rows[0])) if rows else None

    async def give_back_task(self, task: LeasedTask, *, delay_s: float, counts: bool) -> None:
        """Let the activity be tried again after `delay_s`; nothing when the lease is lost."""
        await self.value(
            GIVE_BACK_TASK,
            {
                "instance_id": task.instance_id,
                "execution_id": task.execution_id,
                "event_id": task.event_id,
                "token": task.token,
                "delay_s": delay_s,
                "counts": counts,
            },
        )

    async def renew(
        self, turns: Sequence[Turn], tasks: Sequence[LeasedTask], lost_after_s: float
    ) -> None:
        """Prolong these leases, and void others of this host older than `lost_after_s`."""
        await self.value(
            RENEW,
            {
                "host": self.host,
                "instances": [turn.instance_id for turn in turns],
                "tokens": [turn.token for turn in turns],
                "lease_s": self._lease_s,
                "task_instances": [task.instance_id for task in tasks],
                "task_ids": [task.event_id for task in tasks],
                "task_tokens": [task.token for task in tasks],
                "task_lease_s": self._task_lease_s,
                "lost_after_s": lost_after_s,
            },
        )

    async def reap(self) -> int:
        """Void the leases of dead hosts; how many there were."""
        voided: int = await self.value(REAP, {"host": self.host})
        return voided


def _turn(row: tuple[Any, ...]) -> Turn | None:
    return None if row[1] is None else Turn(*row[1:])
