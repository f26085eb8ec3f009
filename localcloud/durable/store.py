"""The transactions of instances and their turns: one method per function of `sql/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcloud.durable.batch import Batch
from localcloud.durable.database import Database
from localcloud.durable.entities import Operated
from localcloud.durable.outcome import Decision
from localcloud.durable.task import LeasedTask
from localcloud.durable.turn import Turn


@dataclass(frozen=True, slots=True)
class Started:
    """`existing` is the status that forbade the start; `turn` the first turn, if it was leased."""

    existing: str | None
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
        %(cancelled)s::integer[],
        %(timer_ids)s::integer[], %(timer_due)s::timestamptz[], %(timer_events)s::text[],
        %(task_ids)s::integer[], %(task_names)s::text[], %(task_inputs)s::text[], %(sent)s::json,
        %(reserved)s,
        %(host)s, %(task_lease_s)s
    )
"""
COMMIT_ENTITY = """
    SELECT ready_at
    FROM durable.commit_entity(
        %(instance_id)s, %(token)s, %(state)s, %(consumed)s::bigint[], %(sent)s::json, %(host)s
    )
"""
DELIVER = "SELECT durable.deliver(%(instance_id)s, NULL, %(event)s, %(entity)s, %(host)s)"
HISTORY = """
    SELECT string_agg(events, ',' ORDER BY turn)
    FROM durable.history
    WHERE instance_id = %(instance_id)s
      AND execution_id = %(execution_id)s
"""
GIVE_BACK_TURN = """
    SELECT durable.give_back_turn(
        %(instance_id)s, %(token)s, %(consumed)s::bigint[], %(held)s::bigint[], %(delay_s)s,
        %(counts)s
    )
"""
QUARANTINE = "SELECT durable.quarantine(%(instance_id)s, %(token)s)"
RENEW = """
    SELECT durable.renew(
        %(host)s, %(instances)s::text[], %(tokens)s::bigint[], %(lease_s)s,
        %(task_instances)s::text[], %(task_ids)s::integer[], %(task_tokens)s::bigint[],
        %(task_lease_s)s, %(lost_after_s)s
    )
"""
REAP = "SELECT durable.reap(%(host)s)"


class Store(Database):
    """The transactions of instances and their turns."""

    async def take_due(self, limit: int) -> list[Turn]:
        """Up to `limit` due instances, now leased, longest overdue first."""
        params = {"host": self.host, "lease_s": self.lease_s, "limit": limit}
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
                    "lease_s": self.lease_s,
                    "take": take,
                },
            )
        )[0]
        return Started(row[0], leased_turn(row[1:]))

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
        params = self.checkpoint(turn, batch, decision, reserved=reserved)
        rows = await self.rows(COMMIT_TURN, params)
        return (True, rows[0][0]) if rows else (False, None)

    def checkpoint(
        self, turn: Turn, batch: Batch, decision: Decision, *, reserved: int
    ) -> dict[str, Any]:
        """The parameters of a turn's checkpoint."""
        tasks, timers = decision.tasks, decision.timers
        return {
            "instance_id": turn.instance_id,
            "token": turn.token,
            "status": decision.status,
            "output": decision.output,
            "custom_status": decision.custom_status,
            "progress": decision.progress,
            "events": decision.events,
            "consumed": batch.consumed or None,
            "held": batch.held or None,
            "held_due": decision.held_due,
            "cancelled": decision.cancelled or None,
            "timer_ids": [timer.event_id for timer in timers] or None,
            "timer_due": [timer.due for timer in timers] or None,
            "timer_events": [timer.event for timer in timers] or None,
            "task_ids": [task.event_id for task in tasks] or None,
            "task_names": [task.name for task in tasks] or None,
            "task_inputs": [task.input for task in tasks] or None,
            "sent": decision.sent(),
            "reserved": reserved,
            "host": self.host,
            "task_lease_s": self.task_lease_s,
        }

    async def commit_entity(self, turn: Turn, operated: Operated) -> tuple[bool, datetime | None]:
        """Whether the lease still held and all is written; and when the entity is due again."""
        rows = await self.rows(
            COMMIT_ENTITY,
            {
                "instance_id": turn.instance_id,
                "token": turn.token,
                "state": operated.state,
                "consumed": operated.consumed,
                "sent": operated.sent(),
                "host": self.host,
            },
        )
        return (True, rows[0][0]) if rows else (False, None)

    async def signal(self, entity_id: str, name: str, event: str) -> None:
        """Send an operation to an entity, which comes into being if need be."""
        params = {"instance_id": entity_id, "entity": name, "event": event, "host": self.host}
        await self.value(DELIVER, params)

    async def history(self, instance_id: str, execution_id: str) -> str:
        """The events of an execution, JSON objects separated by commas; empty when none are."""
        params = {"instance_id": instance_id, "execution_id": execution_id}
        events: str | None = await self.value(HISTORY, params)
        return events or ""

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
                "lease_s": self.lease_s,
                "task_instances": [task.instance_id for task in tasks],
                "task_ids": [task.event_id for task in tasks],
                "task_tokens": [task.token for task in tasks],
                "task_lease_s": self.task_lease_s,
                "lost_after_s": lost_after_s,
            },
        )

    async def reap(self) -> int:
        """Void the leases of dead hosts; how many there were."""
        voided: int = await self.value(REAP, {"host": self.host})
        return voided


def leased_turn(row: Sequence[Any]) -> Turn | None:
    """The turn out of the columns of a durable.turn; None when they are null."""
    return None if row[0] is None else Turn(*row)
