"""What a client does to instances: start, look up, signal, end, purge."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcloud.durable import events
from localcloud.durable.answer import storable
from localcloud.durable.outcome import Functions, unknown_function
from localcloud.durable.rewind import rewind
from localcloud.durable.store import Store
from localcloud.durable.turns import Turns

_LONGEST_ID = 256


class UnknownOrchestrator(Exception):
    """No orchestrator has that name; the message is Azure's."""


class InstanceExists(Exception):
    """An instance with that id has not finished yet; the message is Azure's."""


class BadInstanceId(Exception):
    """Azure refuses such an id; the message says why."""


@dataclass(frozen=True, slots=True)
class Status:
    """An instance as callers see it."""

    instance_id: str
    execution_id: str
    name: str
    status: str
    input: str | None
    output: str | None
    custom_status: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Filter:
    """Which instances are meant; None for whichever. The times are of creation, inclusive."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Sequence[str] | None = None
    prefix: str = ""

    def params(self) -> dict[str, Any]:
        """The parameters of a statement that selects by it."""
        statuses = self.statuses
        return {
            "created_from": self.created_from,
            "created_to": self.created_to,
            "statuses": None if statuses is None else [storable(each) for each in statuses],
            "prefix": storable(self.prefix),
        }


PURGE = "SELECT durable.purge(%(instance_id)s)"
PURGE_WHERE = """
    SELECT count(*) FILTER (WHERE durable.purge(instance_id))
    FROM durable.instances
    WHERE status IN ('Completed', 'Failed', 'Terminated', 'Canceled')
      AND (%(created_from)s::timestamptz IS NULL OR created_at >= %(created_from)s)
      AND (%(created_to)s::timestamptz IS NULL OR created_at <= %(created_to)s)
      AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
      AND starts_with(instance_id, %(prefix)s)
"""
STATUS = """
    SELECT instance_id, execution_id, name, status, input, output, custom_status,
        created_at, updated_at
    FROM durable.instances
    WHERE instance_id = %(instance_id)s
      AND NOT starts_with(instance_id, '@')
"""
VERSION = "SELECT version FROM durable.instances WHERE instance_id = %(instance_id)s"
PAGE = """
    SELECT instance_id, execution_id, name, status, input, output, custom_status,
        created_at, updated_at
    FROM durable.instances
    WHERE (created_at, instance_id) > (%(after_created)s::timestamptz, %(after_id)s)
      AND (%(created_from)s::timestamptz IS NULL OR created_at >= %(created_from)s)
      AND (%(created_to)s::timestamptz IS NULL OR created_at <= %(created_to)s)
      AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
      AND starts_with(instance_id, %(prefix)s)
      AND NOT starts_with(instance_id, '@')
    ORDER BY created_at, instance_id
    LIMIT %(limit)s
"""


class Instances:
    """The task hub as its clients see it."""

    def __init__(self, store: Store, turns: Turns, functions: Functions) -> None:
        self._store, self._turns, self._orchestrators = store, turns, functions.orchestrators

    async def start(
        self, name: str, *, instance_id: str | None, input_: str | None, version: str = ""
    ) -> str:
        """Start an instance, or one that has finished anew. `input_` is JSON text. Its id.

        Raises UnknownOrchestrator, BadInstanceId, or InstanceExists when it is still running.
        """
        if name.casefold() not in self._orchestrators:
            raise UnknownOrchestrator(unknown_function(name, "orchestrator", self._orchestrators))
        instance_id = instance_id or uuid.uuid4().hex
        _check_id(instance_id)
        execution_id = uuid.uuid4().hex
        version = storable(version)
        room = self._turns.admit()
        turn = None
        try:
            started = await self._store.start_instance(
                instance_id,
                execution_id,
                name=name,
                version=version,
                input_=input_,
                event=events.execution_started(
                    instance_id=instance_id,
                    execution_id=execution_id,
                    name=name,
                    version=version,
                    input_=input_,
                ),
                take=bool(room),
            )
            turn = started.turn
        finally:
            if turn is None:
                self._turns.release(room)
        if started.existing is not None:
            raise InstanceExists(
                f"An Orchestration instance with the status {started.existing} already exists."
            )
        if turn is not None:
            self._turns.adopt([turn])
        else:
            self._turns.alarm.ring()
        return instance_id

    async def raise_event(self, instance_id: str, name: str, input_: str) -> str | None:
        """Send an event. The instance's status, None when there is none; a finished one gets
        nothing. `input_` is JSON text.
        """
        return await self._post(instance_id, events.event_raised(name, input_))

    async def terminate(self, instance_id: str, reason: str | None) -> str | None:
        """End an instance by force, a quarantined one too. Answers like `raise_event`."""
        message = events.execution_terminated(None if reason is None else storable(reason))
        return await self._post(instance_id, message, revive=True)

    async def suspend(self, instance_id: str, reason: str | None) -> str | None:
        """Let an instance rest until it is resumed. Answers like `raise_event`."""
        return await self._post(instance_id, events.execution_suspended(reason))

    async def resume(self, instance_id: str, reason: str | None) -> str | None:
        """Let a suspended instance go on. Answers like `raise_event`."""
        return await self._post(instance_id, events.execution_resumed(reason))

    async def restart(self, instance_id: str, *, new_id: bool) -> str | None:
        """Start the same orchestration with the same input once more. Its id; None when there is no
        such instance. Raises like `start`.
        """
        status = await self.status(instance_id)
        if status is None:
            return None
        version: str = await self._store.value(VERSION, {"instance_id": status.instance_id})
        return await self.start(
            status.name,
            instance_id=None if new_id else status.instance_id,
            input_=status.input,
            version=version,
        )

    async def rewind(self, instance_id: str, reason: str | None) -> bool:
        """Let a failed instance, and its failed children, try again what failed last.

        False when the instance has not failed.
        """
        done = await rewind(self._store, storable(instance_id), reason)
        self._turns.memory.forget(instance_id)
        self._turns.alarm.ring()
        self._turns.wake_activities()
        return done

    async def _post(self, instance_id: str, message: str, *, revive: bool = False) -> str | None:
        self._turns.memory.doubt(instance_id)
        status = await self._store.post(storable(instance_id), message, revive=revive)
        self._turns.alarm.ring()
        return status

    async def purge(self, instance_id: str) -> bool:
        """Delete the instance with all that belongs to it; whether there was one."""
        found: bool = await self._store.value(PURGE, {"instance_id": storable(instance_id)})
        return found

    async def purge_where(self, wanted: Filter) -> int:
        """Delete the finished instances among those; how many there were."""
        deleted: int = await self._store.value(PURGE_WHERE, wanted.params())
        return deleted

    async def status(self, instance_id: str) -> Status | None:
        """The instance as it stands."""
        rows = await self._store.rows(STATUS, {"instance_id": storable(instance_id)})
        return Status(*rows[0]) if rows else None

    async def history(self, status: Status) -> str:
        """The events of the instance's execution as a JSON array."""
        return f"[{await self._store.history(status.instance_id, status.execution_id)}]"

    async def page(
        self, wanted: Filter, *, after: tuple[str, str] | None, limit: int
    ) -> list[Status]:
        """Instances by time of creation, oldest first, after the one that `after` names."""
        after_created, after_id = after or ("-infinity", "")
        rows = await self._store.rows(
            PAGE,
            wanted.params()
            | {"after_created": after_created, "after_id": after_id, "limit": limit},
        )
        return [Status(*row) for row in rows]


def _check_id(instance_id: str) -> None:
    if len(instance_id) > _LONGEST_ID:
        raise BadInstanceId(f"Instance IDs must not exceed {_LONGEST_ID} characters.")
    if instance_id.startswith("@"):
        raise BadInstanceId("Orchestration instance ids must not start with @.")
    if any(character in "/\\#?" or not character.isprintable() for character in instance_id):
        raise BadInstanceId(
            "Orchestration instance ids must not contain /, \\, #, ?, or control characters."
        )
