"""What a client does to instances: start, look up, signal, end, purge."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from localcloud.durable import events
from localcloud.durable.answer import storable
from localcloud.durable.decision import unknown_function
from localcloud.durable.store import Store
from localcloud.durable.turns import Turns

_LONGEST_ID = 256

TERMINAL = frozenset({"Completed", "Failed", "Terminated", "Canceled"})


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


PURGE = "SELECT durable.purge(%(instance_id)s)"
STATUS = """
    SELECT instance_id, execution_id, name, status, input, output, custom_status,
        created_at, updated_at
    FROM durable.instances
    WHERE instance_id = %(instance_id)s
"""
PAGE = """
    SELECT instance_id, execution_id, name, status, input, output, custom_status,
        created_at, updated_at
    FROM durable.instances
    WHERE (created_at, instance_id) > (%(after_created)s::timestamptz, %(after_id)s)
      AND (%(created_from)s::timestamptz IS NULL OR created_at >= %(created_from)s)
      AND (%(created_to)s::timestamptz IS NULL OR created_at <= %(created_to)s)
      AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
      AND starts_with(instance_id, %(prefix)s)
    ORDER BY created_at, instance_id
    LIMIT %(limit)s
"""


class Instances:
    """The task hub as its clients see it."""

    def __init__(self, store: Store, turns: Turns, orchestrators: Mapping[str, str]) -> None:
        self._store, self._turns, self._orchestrators = store, turns, orchestrators

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
        room = self._turns.reserve(1)
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

    async def _post(self, instance_id: str, message: str, *, revive: bool = False) -> str | None:
        # What has messages waiting is better not thought ahead of.
        self._turns.memory.forget(instance_id)
        status = await self._store.post(storable(instance_id), message, revive=revive)
        self._turns.alarm.ring()
        return status

    async def purge(self, instance_id: str) -> bool:
        """Delete the instance with all that belongs to it; whether there was one."""
        found: bool = await self._store.value(PURGE, {"instance_id": storable(instance_id)})
        return found

    async def status(self, instance_id: str) -> Status | None:
        """The instance as it stands."""
        rows = await self._store.rows(STATUS, {"instance_id": storable(instance_id)})
        return Status(*rows[0]) if rows else None

    async def history(self, status: Status) -> str:
        """The events of the instance's execution as a JSON array."""
        return f"[{await self._store.history(status.instance_id, status.execution_id)}]"

    async def page(
        self,
        *,
        created_from: datetime | None,
        created_to: datetime | None,
        statuses: Sequence[str] | None,
        prefix: str,
        after: tuple[str, str] | None,
        limit: int,
    ) -> list[Status]:
        """Instances by time of creation, oldest first, after the one that `after` names."""
        after_created, after_id = after or ("-infinity", "")
        rows = await self._store.rows(
            PAGE,
            {
                "created_from": created_from,
                "created_to": created_to,
                "statuses": None if statuses is None else [storable(each) for each in statuses],
                "prefix": storable(prefix),
                "after_created": after_created,
                "after_id": after_id,
                "limit": limit,
            },
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
