"""What a client does to entities: signal, read, list."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from localcloud.durable import events
from localcloud.durable.answer import storable
from localcloud.durable.entities import entity_id
from localcloud.durable.outcome import Functions, unknown_function
from localcloud.durable.store import Store
from localcloud.durable.turns import Turns


class UnknownEntity(Exception):
    """No entity function has that name; the message is Azure's."""


@dataclass(frozen=True, slots=True)
class EntityState:
    """An entity as callers see it; `state` is JSON text."""

    instance_id: str
    state: str
    updated_at: datetime
    created_at: datetime


STATE = """
    SELECT instance_id, progress, updated_at, created_at
    FROM durable.instances
    WHERE instance_id = %(instance_id)s
      AND progress <> ''
"""
PAGE = """
    SELECT instance_id, progress, updated_at, created_at
    FROM durable.instances
    WHERE starts_with(instance_id, %(prefix)s)
      AND (created_at, instance_id) > (%(after_created)s::timestamptz, %(after_id)s)
      AND (%(updated_from)s::timestamptz IS NULL OR updated_at >= %(updated_from)s)
      AND (%(updated_to)s::timestamptz IS NULL OR updated_at <= %(updated_to)s)
      AND progress <> ''
    ORDER BY created_at, instance_id
    LIMIT %(limit)s
"""


class EntityStates:
    """The entities of a task hub as its clients see them."""

    def __init__(self, store: Store, turns: Turns, functions: Functions) -> None:
        self._store, self._turns, self._functions = store, turns, functions.entities

    async def signal(self, name: str, key: str, operation: str, input_: str | None) -> None:
        """Ask for an operation and do not wait. `input_` is JSON text. Raises UnknownEntity."""
        if name.casefold() not in self._functions:
            raise UnknownEntity(unknown_function(name, "entity", self._functions))
        request = events.request(storable(operation), str(uuid.uuid4()), input_, caller=None)
        event = events.event_raised("op", request)
        await self._store.signal(storable(entity_id(name, key)), name.casefold(), event)
        self._turns.alarm.ring()

    async def state(self, name: str, key: str) -> EntityState | None:
        """The entity as it stands; None when it does not exist."""
        rows = await self._store.rows(STATE, {"instance_id": storable(entity_id(name, key))})
        return EntityState(*rows[0]) if rows else None

    async def page(
        self,
        name: str | None,
        *,
        updated_from: datetime | None,
        updated_to: datetime | None,
        after: tuple[str, str] | None,
        limit: int,
    ) -> list[EntityState]:
        """Entities that exist, all or those of one name, oldest first, after the one named."""
        after_created, after_id = after or ("-infinity", "")
        rows = await self._store.rows(
            PAGE,
            {
                "prefix": "@" if name is None else storable(entity_id(name, "")),
                "updated_from": updated_from,
                "updated_to": updated_to,
                "after_created": after_created,
                "after_id": after_id,
                "limit": limit,
            },
        )
        return [EntityState(*row) for row in rows]
