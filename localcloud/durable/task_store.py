"""The transactions of activities: one method per function of `sql/5_activities.sql`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from localcloud.durable.batch import Batch
from localcloud.durable.outcome import Decision
from localcloud.durable.store import Store, leased_turn
from localcloud.durable.task import LeasedTask
from localcloud.durable.turn import Turn


@dataclass(frozen=True, slots=True)
class Completed:
    """`done` are the ids of the activities whose leases still held; `ready_at` is when the instance
    has its turn; `turn` that very turn, if it was leased.
    """

    done: frozenset[int]
    ready_at: datetime | None
    turn: Turn | None


@dataclass(frozen=True, slots=True)
class CompletedAhead:
    """Whether the turn was `written`, when the next is due, and that one, if it was leased."""

    written: bool
    ready_at: datetime | None
    turn: Turn | None


TAKE_TASKS = """
    SELECT instance_id, execution_id, event_id, name, input, token, attempts
    FROM durable.take_tasks(%(host)s, %(lease_s)s, %(limit)s)
"""
COMPLETE_TASKS = """
    SELECT c.done, c.ready_at, (c.turn).*
    FROM durable.complete_tasks(
        %(instance_id)s, %(execution_id)s, %(event_ids)s::integer[], %(tokens)s::bigint[],
        %(events)s::text[], %(host)s, %(lease_s)s, %(take)s, %(pause_s)s
    ) AS c
"""
COMPLETE_TASK_AND_TURN = """
    SELECT c.written, c.ready_at, (c.turn).*
    FROM durable.complete_task_and_turn(
        %(instance_id)s, %(execution_id)s, %(event_id)s, %(task_token)s, %(event)s,
        %(lease_s)s, %(take)s, %(token)s, %(turns)s,
        %(status)s, %(output)s, %(custom_status)s, %(progress)s,
        %(events)s, %(consumed)s::bigint[], %(held)s::bigint[], %(held_due)s,
        %(cancelled)s::integer[],
        %(timer_ids)s::integer[], %(timer_due)s::timestamptz[], %(timer_events)s::text[],
        %(task_ids)s::integer[], %(task_names)s::text[], %(task_inputs)s::text[], %(sent)s::json,
        %(reserved)s,
        %(host)s, %(task_lease_s)s
    ) AS c
"""
GIVE_BACK_TASK = """
    SELECT durable.give_back_task(
        %(instance_id)s, %(execution_id)s, %(event_id)s, %(token)s, %(delay_s)s, %(counts)s
    )
"""
POSTPONE_TASK = """
    SELECT durable.postpone_task(
        %(instance_id)s, %(execution_id)s, %(event_id)s, %(token)s, %(input)s, %(delay_s)s
    )
"""


class TaskStore:
    """The transactions of activities."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take_tasks(self, limit: int) -> list[LeasedTask]:
        """Up to `limit` waiting activities, now leased, oldest first."""
        params = {"host": self._store.host, "lease_s": self._store.task_lease_s, "limit": limit}
        return [LeasedTask(*row) for row in await self._store.rows(TAKE_TASKS, params)]

    async def complete_tasks(
        self, answers: Sequence[tuple[LeasedTask, str]], *, take: bool, pause_s: float
    ) -> Completed:
        """Turn activities of one execution into their messages, those whose leases still hold.

        With `take` the turn that this makes due is leased to this host; `pause_s` is how long the
        turn waits at least for activities that still run.
        """
        first = answers[0][0]
        row = (
            await self._store.rows(
                COMPLETE_TASKS,
                {
                    "instance_id": first.instance_id,
                    "execution_id": first.execution_id,
                    "event_ids": [task.event_id for task, _ in answers],
                    "tokens": [task.token for task, _ in answers],
                    "events": [event for _, event in answers],
                    "host": self._store.host,
                    "lease_s": self._store.lease_s,
                    "take": take,
                    "pause_s": pause_s,
                },
            )
        )[0]
        return Completed(frozenset(row[0] or ()), row[1], leased_turn(row[2:]))

    async def complete_task_and_turn(
        self,
        task: LeasedTask,
        event: str,
        turn: Turn,
        batch: Batch,
        decision: Decision,
        *,
        reserved: int,
    ) -> CompletedAhead | None:
        """End the activity with `event`, and write the turn that took it if it still stands.

        None when the activity's lease is lost. If the turn does not stand, the next one is leased
        to this host.
        """
        rows = await self._store.rows(
            COMPLETE_TASK_AND_TURN,
            self._store.checkpoint(turn, batch, decision, reserved=reserved)
            | {
                "execution_id": task.execution_id,
                "event_id": task.event_id,
                "task_token": task.token,
                "event": event,
                "lease_s": self._store.lease_s,
                "take": True,
                "turns": turn.turns,
            },
        )
        if not rows:
            return None
        return CompletedAhead(rows[0][0], rows[0][1], leased_turn(rows[0][2:]))

    async def give_back_task(self, task: LeasedTask, *, delay_s: float, counts: bool) -> None:
        """Let the activity be tried again after `delay_s`; nothing when the lease is lost."""
        await self._store.value(
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

    async def postpone_task(self, task: LeasedTask, input_: str, *, delay_s: float) -> None:
        """Let the activity go on after `delay_s` with another input, as if it were new."""
        await self._store.value(
            POSTPONE_TASK,
            {
                "instance_id": task.instance_id,
                "execution_id": task.execution_id,
                "event_id": task.event_id,
                "token": task.token,
                "input": input_,
                "delay_s": delay_s,
            },
        )
