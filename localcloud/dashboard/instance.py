"""Reads one instance: its row, its history, what is open, its children."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from localcloud.dashboard.history import Event, read_turn
from localcloud.dashboard.hub import TaskHub
from localcloud.dashboard.values import CUT_CHARACTERS, Payload
from localcloud.durable.events import Kind

INSTANCE: LiteralString = """
    SELECT instance_id, execution_id, name, version, status, parent_instance_id,
        left(input, %(cut)s) AS input, octet_length(input) AS input_size,
        left(output, %(cut)s) AS output, octet_length(output) AS output_size,
        left(custom_status, %(cut)s) AS custom_status,
        octet_length(custom_status) AS custom_status_size,
        created_at, updated_at, completed_at, quarantined_at, attempts, progress,
        clock_timestamp() AS seen_at
    FROM durable.instances
    WHERE instance_id = %(instance_id)s
      AND NOT starts_with(instance_id, '@')
"""
HISTORY: LiteralString = """
    SELECT turn, events
    FROM durable.history
    WHERE instance_id = %(instance_id)s
      AND execution_id = %(execution_id)s
    ORDER BY turn
    LIMIT 100000
"""
TASKS: LiteralString = """
    SELECT event_id, owner IS NOT NULL AS running, attempts
    FROM durable.tasks
    WHERE instance_id = %(instance_id)s
      AND execution_id = %(execution_id)s
    ORDER BY event_id
    LIMIT 100000
"""
CHILDREN: LiteralString = """
    SELECT i.instance_id, i.name, i.status,
        substring(left(h.events, 200) FROM '"Timestamp": "([^"]+)"')::timestamptz AS began_at
    FROM durable.instances AS i
    LEFT JOIN durable.history AS h
        ON h.instance_id = i.instance_id AND h.execution_id = i.execution_id AND h.turn = 0
    WHERE i.instance_id = ANY (%(ids)s)
      AND i.parent_instance_id = %(parent)s
    ORDER BY i.created_at, i.instance_id
    LIMIT 100000
"""


@dataclass(frozen=True, slots=True)
class Child:
    """A sub-orchestration; `began_at` is its first turn, None before."""

    instance_id: str
    name: str
    status: str
    began_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenTask:
    """An activity without an answer; `attempts` counts its deliveries to a host."""

    event_id: int
    running: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance with all that is known of its present execution."""

    instance_id: str
    execution_id: str
    name: str
    version: str
    status: str
    parent_instance_id: str | None
    input: Payload | None
    output: Payload | None
    custom_status: Payload | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    quarantined_at: datetime | None
    attempts: int
    progress: Mapping[str, Any]
    seen_at: datetime
    events: Sequence[Event]
    tasks: Mapping[int, OpenTask]
    children: Mapping[str, Child]

    @property
    def began_at(self) -> datetime:
        """When its present execution began: with the instance, or when it continued as new."""
        starts = (event.at for event in self.events if event.kind is Kind.EXECUTION_STARTED)
        return max(self.created_at, next(starts, self.created_at))

    @property
    def renewed(self) -> bool:
        """Whether it has continued as new: its history then begins later than itself."""
        return self.began_at > self.created_at

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more of its own."""
        return self.completed_at is not None


async def read_instance(hub: TaskHub, instance_id: str) -> Instance | None:
    """The instance; None when there is none of that id."""
    if "\0" in instance_id:
        return None
    async with hub.session() as session:
        async with session.cursor(row_factory=dict_row) as cursor:
            params = {"instance_id": instance_id, "cut": CUT_CHARACTERS}
            row = await (await cursor.execute(INSTANCE, params)).fetchone()
        if row is None:
            return None
        execution = {"instance_id": instance_id, "execution_id": row["execution_id"]}
        events = await _history(session, execution)
        async with session.cursor(row_factory=class_row(OpenTask)) as tasks:
            open_ = await (await tasks.execute(TASKS, execution)).fetchall()
        family = {"ids": [e.child_id for e in events if e.child_id], "parent": instance_id}
        async with session.cursor(row_factory=class_row(Child)) as cursor_:
            children = await (await cursor_.execute(CHILDREN, family)).fetchall()
    for name in ("input", "output", "custom_status"):
        size = row.pop(f"{name}_size")
        row[name] = None if size is None else Payload(row[name], size)
    return Instance(
        **row | {"progress": json.loads(row["progress"] or "{}")},
        events=events,
        tasks={task.event_id: task for task in open_},
        children={child.instance_id: child for child in children},
    )


async def _history(session: AsyncConnection[Any], execution: Mapping[str, Any]) -> list[Event]:
    events: list[Event] = []
    async with session.cursor() as cursor:
        # Row by row: the payloads of a long history need not be here all at once.
        async for turn, text in cursor.stream(HISTORY, execution):
            events += read_turn(turn, text)
    return events
