"""SQL of what people want to be told, of their hours, and of the digests that follow from them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row, scalar_row

from blueprints.notifications.models import Channel, Habits, NotificationType
from shared.db import Transaction

type Choices = Mapping[NotificationType, Mapping[Channel, bool]]

WISHES = """
    SELECT
        p.time_zone,
        p.quiet_from,
        p.quiet_until,
        p.digest,
        p.digest_at,
        p.version,
        (
            SELECT jsonb_object_agg(c.channel, c.wanted)
            FROM notifications.notification_preferences AS c
            WHERE c.person_id = w.person_id AND c.type = %(type)s
        ) AS chosen
    FROM (SELECT %(person_id)s::uuid AS person_id) AS w
    LEFT JOIN notifications.people AS p ON p.person_id = w.person_id
"""


async def wishes(
    tx: Transaction, person_id: UUID, type_: NotificationType
) -> tuple[Habits | None, Mapping[Channel, bool]]:
    """A person's habits, None if never stated, and what he chose for one kind of message."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        parameters = {"person_id": person_id, "type": type_}
        row = await (await cursor.execute(WISHES, parameters)).fetchone()
    assert row is not None, "the query answers with one row"
    return _habits(row), row["chosen"] or {}


HABITS = """
    SELECT time_zone, quiet_from, quiet_until, digest, digest_at, version
    FROM notifications.people
    WHERE person_id = %(person_id)s
"""
CHOICES = """
    SELECT type, jsonb_object_agg(channel, wanted) AS chosen
    FROM notifications.notification_preferences
    WHERE person_id = %(person_id)s
    GROUP BY type
"""


async def preferences(tx: Transaction, person_id: UUID) -> tuple[Habits | None, Choices]:
    """A person's habits, None if never stated, and all that he chose."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(HABITS, {"person_id": person_id})).fetchone()
        rows = await (await cursor.execute(CHOICES, {"person_id": person_id})).fetchall()
    return None if row is None else _habits(row), {one["type"]: one["chosen"] for one in rows}


STATE_FIRST = """
    INSERT INTO notifications.people (
        person_id, time_zone, quiet_from, quiet_until, digest, digest_at
    )
    VALUES (
        %(person_id)s,
        %(time_zone)s,
        %(quiet_from)s,
        %(quiet_until)s,
        %(digest)s,
        %(digest_at)s
    )
    ON CONFLICT (person_id) DO NOTHING
    RETURNING version
"""
STATE_ANEW = """
    UPDATE notifications.people
    SET time_zone = %(time_zone)s,
        quiet_from = %(quiet_from)s,
        quiet_until = %(quiet_until)s,
        digest = %(digest)s,
        digest_at = %(digest_at)s,
        version = version + 1,
        updated_at = now()
    WHERE person_id = %(person_id)s AND version = %(version)s
    RETURNING version
"""


async def state_habits(tx: Transaction, person_id: UUID, habits: Habits) -> bool:
    """Keep the habits if they still have the version that these name; whether they had."""
    quiet_from, quiet_until = habits.quiet or (None, None)
    parameters = {
        "person_id": person_id,
        "time_zone": habits.time_zone,
        "quiet_from": quiet_from,
        "quiet_until": quiet_until,
        "digest": habits.digest,
        "digest_at": habits.digest_at,
        "version": habits.version,
    }
    statement = STATE_ANEW if habits.version else STATE_FIRST
    return await (await tx.execute(statement, parameters)).fetchone() is not None


FORGET_CHOICES = """
    DELETE FROM notifications.notification_preferences
    WHERE person_id = %(person_id)s
"""
CHOOSE = """
    INSERT INTO notifications.notification_preferences (person_id, type, channel, wanted)
    SELECT %(person_id)s, c.type, c.channel, c.wanted
    FROM unnest(%(types)s::text[], %(channels)s::text[], %(wanted)s::boolean[]) AS c (
        type, channel, wanted
    )
"""
# What is being sent right now has a claim and goes out.
CALL_OFF = """
    WITH called_off AS (
        UPDATE notifications.deliveries AS d
        SET status = 'skipped', reason = 'not_wanted', updated_at = clock_timestamp()
        FROM notifications.notifications AS n, notifications.notification_preferences AS c
        WHERE d.recipient_id = %(person_id)s
        AND d.status = 'pending'
        AND d.channel <> 'in_app'
        AND (d.claimed_until IS NULL OR d.claimed_until < clock_timestamp())
        AND n.id = d.notification_id
        AND c.person_id = %(person_id)s
        AND c.type = n.type
        AND c.channel = d.channel
        AND NOT c.wanted
        RETURNING d.id
    )
    INSERT INTO notifications.attempts (delivery_id, outcome, reason)
    SELECT id, 'skipped', 'not_wanted'
    FROM called_off
"""


async def choose(tx: Transaction, person_id: UUID, choices: Choices) -> None:
    """Keep these choices and no others; what waits to be sent against them is called off."""
    flat = [(type_, c, w) for type_, wanted in choices.items() for c, w in wanted.items()]
    await tx.execute(FORGET_CHOICES, {"person_id": person_id})
    parameters = {
        "person_id": person_id,
        "types": [type_ for type_, _, _ in flat],
        "channels": [channel for _, channel, _ in flat],
        "wanted": [wanted for _, _, wanted in flat],
    }
    await tx.execute(CHOOSE, parameters)
    await tx.execute(CALL_OFF, {"person_id": person_id})


WITH_DUE_DIGEST = """
    SELECT DISTINCT recipient_id
    FROM notifications.deliveries
    WHERE status = 'pending'
    AND digest
    AND digest_id IS NULL
    AND due_at <= %(now)s
    ORDER BY recipient_id
    LIMIT %(limit)s
"""


async def with_due_digest(tx: Transaction, now: datetime, *, limit: int) -> list[UUID]:
    """At most `limit` people for whom something waits to be gathered."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        rows = await cursor.execute(WITH_DUE_DIGEST, {"now": now, "limit": limit})
        return await rows.fetchall()


HELD_HABITS = """
    SELECT time_zone, quiet_from, quiet_until, digest, digest_at, version, digested_at
    FROM notifications.people
    WHERE person_id = %(person_id)s
    FOR NO KEY UPDATE
"""
DUE_FROM = """
    SELECT max(due_at)
    FROM notifications.deliveries
    WHERE recipient_id = %(person_id)s
    AND status = 'pending'
    AND digest
    AND digest_id IS NULL
    AND due_at <= %(now)s
"""


async def hold(
    tx: Transaction, person_id: UUID, now: datetime
) -> tuple[Habits | None, datetime | None, datetime | None]:
    """A person's habits, held until `tx` ends; when the latest digest was due; when the next is.

    The next is None if nothing waits to be gathered.
    """
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(HELD_HABITS, {"person_id": person_id})).fetchone()
    due = await (await tx.execute(DUE_FROM, {"person_id": person_id, "now": now})).fetchone()
    assert due is not None, "an aggregate answers with one row"
    if row is None:
        return None, None, due[0]
    return _habits(row), row["digested_at"], due[0]


GATHER = """
    WITH gathered AS (
        UPDATE notifications.deliveries
        SET digest_id = %(digest_id)s, updated_at = clock_timestamp()
        WHERE recipient_id = %(person_id)s
        AND status = 'pending'
        AND digest
        AND digest_id IS NULL
        AND due_at <= %(now)s
        RETURNING id
    ),
    noted AS (
        UPDATE notifications.people
        SET digested_at = %(due_at)s
        WHERE person_id = %(person_id)s
    )
    SELECT count(*)
    FROM gathered
"""


async def gather(
    tx: Transaction, person_id: UUID, digest_id: UUID, *, due_at: datetime, now: datetime
) -> int:
    """Make one digest of all that waits for the person; how much that is."""
    parameters = {"person_id": person_id, "digest_id": digest_id, "due_at": due_at, "now": now}
    row = await (await tx.execute(GATHER, parameters)).fetchone()
    assert row is not None, "an aggregate answers with one row"
    return int(row[0])


POSTPONE = """
    UPDATE notifications.deliveries
    SET due_at = %(until)s, updated_at = clock_timestamp()
    WHERE recipient_id = %(person_id)s
    AND status = 'pending'
    AND digest
    AND digest_id IS NULL
    AND due_at <= %(now)s
"""


async def postpone(tx: Transaction, person_id: UUID, *, until: datetime, now: datetime) -> None:
    """Let all that waits for the person wait for the next digest."""
    await tx.execute(POSTPONE, {"person_id": person_id, "until": until, "now": now})


def _habits(row: Mapping[str, Any]) -> Habits | None:
    """None where an outer join found nobody."""
    if row["time_zone"] is None:
        return None
    quiet = None if row["quiet_from"] is None else (row["quiet_from"], row["quiet_until"])
    return Habits(row["time_zone"], quiet, row["digest"], row["digest_at"], row["version"])
