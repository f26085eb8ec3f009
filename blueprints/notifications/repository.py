"""SQL that reads notifications: a reader's own and those of the audiences that he belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from blueprints.notifications.models import Audience, Notification
from shared.db import Transaction


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose notifications, and the audiences whose notifications are his too."""

    id: UUID
    audiences: Sequence[Audience]


@dataclass(frozen=True, slots=True)
class Kept:
    """A notification as it is kept, and when this reader has read it."""

    notification: Notification
    position: int
    read_at: datetime | None


# Each branch reads at most `limit` entries of one index. Read marks are looked up one by one: a
# join compares each with all of the reader's while the planner believes that these are few.
NEWEST = """
    (
        SELECT
            id, position, recipient_id, audience, type, order_id, facts, message,
            template_version, occurred_at, read_at
        FROM notifications.notifications
        WHERE recipient_id = %(reader_id)s
        AND listed
        AND position < %(before)s
        AND (read_at IS NULL OR NOT %(unread)s)
        ORDER BY position DESC
        LIMIT %(limit)s
    )
    UNION ALL
    (
        SELECT told.*
        FROM unnest(%(audiences)s::text[]) AS a (name)
        CROSS JOIN LATERAL (
            SELECT
                n.id, n.position, n.recipient_id, n.audience, n.type, n.order_id, n.facts,
                n.message, n.template_version, n.occurred_at, r.read_at
            FROM notifications.notifications AS n
            CROSS JOIN LATERAL (
                SELECT (
                    SELECT read_at
                    FROM notifications.reads
                    WHERE notification_id = n.id AND reader_id = %(reader_id)s
                ) AS read_at
            ) AS r
            WHERE n.audience = a.name
            AND n.position < %(before)s
            AND (r.read_at IS NULL OR NOT %(unread)s)
            ORDER BY n.position DESC
            LIMIT %(limit)s
        ) AS told
    )
    ORDER BY position DESC
    LIMIT %(limit)s
"""


async def newest(
    tx: Transaction, reader: Reader, *, before: int, unread: bool, limit: int
) -> list[Kept]:
    """The reader's notifications with a position below `before`, newest first."""
    names = {"before": before, "unread": unread, "limit": limit}
    return await _listed(tx, NEWEST, reader, names)


AFTER = """
    (
        SELECT
            id, position, recipient_id, audience, type, order_id, facts, message,
            template_version, occurred_at, read_at
        FROM notifications.notifications
        WHERE recipient_id = %(reader_id)s AND listed AND position > %(own)s
        ORDER BY position
        LIMIT %(limit)s
    )
    UNION ALL
    (
        SELECT told.*
        FROM unnest(%(audiences)s::text[], %(positions)s::bigint[]) AS a (name, position)
        CROSS JOIN LATERAL (
            SELECT
                n.id, n.position, n.recipient_id, n.audience, n.type, n.order_id, n.facts,
                n.message, n.template_version, n.occurred_at,
                (
                    SELECT read_at
                    FROM notifications.reads
                    WHERE notification_id = n.id AND reader_id = %(reader_id)s
                ) AS read_at
            FROM notifications.notifications AS n
            WHERE n.audience = a.name AND n.position > a.position
            ORDER BY n.position
            LIMIT %(limit)s
        ) AS told
    )
    ORDER BY position
    LIMIT %(limit)s
"""


async def after(
    tx: Transaction, reader: Reader, seen: Mapping[str, int], *, limit: int
) -> list[Kept]:
    """What was told after the positions `seen`, oldest first.

    `seen` has a position for `own` and one for each audience of the reader.
    """
    positions = [seen[audience] for audience in reader.audiences]
    names = {"own": seen["own"], "positions": positions, "limit": limit}
    return await _listed(tx, AFTER, reader, names)


LATEST = """
    SELECT 'own' AS stream, max(position) AS position
    FROM notifications.notifications
    WHERE recipient_id = %(reader_id)s AND listed
    UNION ALL
    SELECT
        a.name,
        (
            SELECT max(n.position)
            FROM notifications.notifications AS n
            WHERE n.audience = a.name
        )
    FROM unnest(%(audiences)s::text[]) AS a (name)
"""


async def latest(tx: Transaction, reader: Reader) -> dict[str, int]:
    """The last position of `own` and of each audience; 0 where nothing was told yet."""
    names = {"reader_id": reader.id, "audiences": list(reader.audiences)}
    rows = await (await tx.execute(LATEST, names)).fetchall()
    return {stream: position or 0 for stream, position in rows}


UNREAD = """
    SELECT count(*)
    FROM (
        (
            SELECT
            FROM notifications.notifications
            WHERE recipient_id = %(reader_id)s AND listed AND read_at IS NULL
            LIMIT %(limit)s
        )
        UNION ALL
        (
            SELECT
            FROM unnest(%(audiences)s::text[]) AS a (name)
            CROSS JOIN LATERAL (
                SELECT n.id
                FROM notifications.notifications AS n
                WHERE n.audience = a.name
                ORDER BY n.position DESC
                LIMIT %(limit)s
            ) AS told
            WHERE (
                SELECT read_at
                FROM notifications.reads
                WHERE notification_id = told.id AND reader_id = %(reader_id)s
            ) IS NULL
        )
        LIMIT %(limit)s
    ) AS unread
"""


async def unread(tx: Transaction, reader: Reader, *, limit: int) -> int:
    """How many the reader has not read; counting stops at `limit`.

    Of what an audience was told only the newest `limit` count: its past has no end.
    """
    names = {"reader_id": reader.id, "audiences": list(reader.audiences), "limit": limit}
    row = await (await tx.execute(UNREAD, names)).fetchone()
    assert row is not None, "an aggregate answers with one row"
    return int(row[0])


BY_ID = """
    SELECT
        n.id, n.position, n.recipient_id, n.audience, n.type, n.order_id, n.facts, n.message,
        n.template_version, n.occurred_at, COALESCE(n.read_at, r.read_at) AS read_at
    FROM notifications.notifications AS n
    LEFT JOIN notifications.reads AS r
        ON r.notification_id = n.id AND r.reader_id = %(reader_id)s
    WHERE n.id = %(id)s
    AND ((n.recipient_id = %(reader_id)s AND n.listed) OR n.audience = ANY(%(audiences)s))
"""


async def by_id(tx: Transaction, reader: Reader, notification_id: UUID) -> Kept | None:
    """The notification if it is the reader's."""
    return next(iter(await _listed(tx, BY_ID, reader, {"id": notification_id})), None)


READ_OWN = """
    UPDATE notifications.notifications
    SET read_at = clock_timestamp()
    WHERE recipient_id = %(reader_id)s
    AND listed
    AND read_at IS NULL
    AND (id = %(id)s OR position <= %(own)s)
"""
READ_TOLD = """
    INSERT INTO notifications.reads (notification_id, reader_id)
    SELECT n.id, %(reader_id)s
    FROM unnest(%(audiences)s::text[], %(positions)s::bigint[]) AS a (name, position)
    JOIN notifications.notifications AS n
        ON n.audience = a.name AND (n.id = %(id)s OR n.position <= a.position)
    ON CONFLICT (notification_id, reader_id) DO NOTHING
"""


async def read(
    tx: Transaction,
    reader: Reader,
    notification_id: UUID | None,
    upto: Mapping[str, int] | None = None,
) -> int:
    """Note that the reader has read this one, or all up to these positions; how many were new."""
    names = {
        "reader_id": reader.id,
        "id": notification_id,
        "own": upto["own"] if upto else 0,
        "audiences": list(reader.audiences),
        "positions": [upto[audience] if upto else 0 for audience in reader.audiences],
    }
    own = (await tx.execute(READ_OWN, names)).rowcount
    return own + (await tx.execute(READ_TOLD, names)).rowcount


async def _listed(
    tx: Transaction, statement: str, reader: Reader, names: Mapping[str, Any]
) -> list[Kept]:
    who: dict[str, Any] = {"reader_id": reader.id, "audiences": list(reader.audiences)}
    async with tx.cursor(row_factory=dict_row) as cursor:
        rows = await (await cursor.execute(statement, who | dict(names))).fetchall()
    return [_kept(row) for row in rows]


def _kept(row: dict[str, Any]) -> Kept:
    position, read_at = row.pop("position"), row.pop("read_at")
    return Kept(Notification(**row), position, read_at)
