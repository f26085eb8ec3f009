"""Reads many instances: pages, counts, and what keeps failing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import class_row

from localcloud.dashboard.hub import TaskHub
from localcloud.dashboard.wanted import Wanted

COUNTS: LiteralString = """
    SELECT name, status, quarantined_at IS NOT NULL AS quarantined, count(*) AS number
    FROM durable.instances
    WHERE NOT starts_with(instance_id, '@')
      AND starts_with(instance_id, %(prefix)s)
      AND (%(created_from)s::timestamptz IS NULL OR created_at >= %(created_from)s)
      AND (%(created_to)s::timestamptz IS NULL OR created_at <= %(created_to)s)
    GROUP BY name, status, quarantined
    ORDER BY name, status, quarantined
    LIMIT 1000
"""
_SELECTED: LiteralString = """
    SELECT instance_id, name, status, parent_instance_id, left(custom_status, 200) AS custom_status,
        created_at, updated_at, completed_at, quarantined_at, clock_timestamp() AS seen_at
    FROM durable.instances
    WHERE NOT starts_with(instance_id, '@')
      AND starts_with(instance_id, %(prefix)s)
      AND (%(name)s = '' OR lower(name) = lower(%(name)s))
      AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
      AND (NOT %(quarantined)s OR quarantined_at IS NOT NULL)
      AND (%(created_from)s::timestamptz IS NULL OR created_at >= %(created_from)s)
      AND (%(created_to)s::timestamptz IS NULL OR created_at <= %(created_to)s)
"""
OLDER: LiteralString = (
    _SELECTED
    + """
      AND (created_at, instance_id) < (%(edge_at)s::timestamptz, %(edge_id)s)
    ORDER BY created_at DESC, instance_id DESC
    LIMIT %(limit)s
"""
)
NEWER: LiteralString = (
    _SELECTED
    + """
      AND (created_at, instance_id) > (%(edge_at)s::timestamptz, %(edge_id)s)
    ORDER BY created_at, instance_id
    LIMIT %(limit)s
"""
)
FAILING: LiteralString = """
    SELECT sort, instance_id, name, attempts, given_up
    FROM durable.failing
    ORDER BY given_up DESC, attempts DESC, instance_id, name
    LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How many instances of one name stand alike."""

    name: str
    status: str
    quarantined: bool
    number: int


@dataclass(frozen=True, slots=True)
class Row:
    """One instance of the list, as it stood at `seen_at`."""

    instance_id: str
    name: str
    status: str
    parent_instance_id: str | None
    custom_status: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    quarantined_at: datetime | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of instances, newest first, and whether there are others on either side."""

    rows: Sequence[Row]
    newer: bool
    older: bool
    counts: Sequence[Count]


@dataclass(frozen=True, slots=True)
class Failing:
    """What is tried again and again, or has been given up: a turn or an activity."""

    sort: str
    instance_id: str
    name: str
    attempts: int
    given_up: bool


async def read_counts(hub: TaskHub, wanted: Wanted) -> list[Count]:
    """How many instances there are of each name and status, whatever status is wanted."""
    async with hub.session() as session:
        return await _counts(session, wanted)


async def read_failing(hub: TaskHub) -> list[Failing]:
    """The worst twenty."""
    async with hub.session() as session, session.cursor(row_factory=class_row(Failing)) as cursor:
        return await (await cursor.execute(FAILING)).fetchall()


async def read_page(hub: TaskHub, wanted: Wanted, *, limit: int) -> Listing:
    """Up to `limit` instances on the wanted side of an edge; the newest of all without one."""
    edge = wanted.edge
    backwards = edge is not None and edge.newer
    params = {
        **wanted.params(),
        "edge_at": "infinity" if edge is None else edge.at,
        "edge_id": "" if edge is None else edge.instance_id,
        "limit": limit + 1,
    }
    async with hub.session() as session:
        async with session.cursor(row_factory=class_row(Row)) as cursor:
            rows = await (await cursor.execute(NEWER if backwards else OLDER, params)).fetchall()
        counts = await _counts(session, wanted)
    more, rows = len(rows) > limit, rows[:limit]
    if backwards:
        rows.reverse()
        return Listing(rows, newer=more, older=True, counts=counts)
    return Listing(rows, newer=edge is not None, older=more, counts=counts)


async def _counts(session: AsyncConnection[Any], wanted: Wanted) -> list[Count]:
    async with session.cursor(row_factory=class_row(Count)) as cursor:
        return await (await cursor.execute(COUNTS, wanted.params())).fetchall()
