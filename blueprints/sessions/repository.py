"""All SQL of sign-outs."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from shared.db import Transaction

KEPT_DAYS = 400
"""Longer than any directory refreshes the tokens of one sign-in."""
PRUNED_AT_ONCE = 100

ENDED = """
    WITH pruned AS (
        DELETE FROM sessions.sign_outs
        WHERE (person_id, session_id) IN (
            SELECT person_id, session_id
            FROM sessions.sign_outs
            WHERE ended_at < now() - make_interval(days => %(kept_days)s)
            ORDER BY ended_at
            LIMIT %(pruned_at_once)s
            FOR UPDATE SKIP LOCKED
        )
    )
    INSERT INTO sessions.sign_outs (person_id, session_id)
    SELECT %(person_id)s, session_id
    FROM unnest(%(session_ids)s::uuid[]) AS session_id
    ORDER BY session_id
    ON CONFLICT (person_id, session_id) DO NOTHING
"""


async def end(tx: Transaction, person_id: UUID, session_ids: Collection[UUID]) -> None:
    """Keep that these sessions are over, and forget some of what no longer matters."""
    parameters = {
        "person_id": person_id,
        "session_ids": list(session_ids),
        "kept_days": KEPT_DAYS,
        "pruned_at_once": PRUNED_AT_ONCE,
    }
    await tx.execute(ENDED, parameters)


ENDED_EVERYWHERE = """
    INSERT INTO sessions.sign_outs_everywhere AS s (person_id, signed_in_until)
    VALUES (%(person_id)s, clock_timestamp())
    ON CONFLICT (person_id) DO UPDATE
    SET signed_in_until = GREATEST(s.signed_in_until, EXCLUDED.signed_in_until)
    RETURNING s.signed_in_until
"""


async def end_everywhere(tx: Transaction, person_id: UUID) -> datetime:
    """Keep that every sign-in up to now is over; up to when exactly."""
    cursor = await tx.execute(ENDED_EVERYWHERE, {"person_id": person_id})
    row = await cursor.fetchone()
    assert row is not None
    until: datetime = row[0]
    return until


STANDING = """
    SELECT
        EXISTS (
            SELECT
            FROM sessions.sign_outs
            WHERE person_id = %(person_id)s
                AND session_id = %(session_id)s
        ),
        (
            SELECT signed_in_until
            FROM sessions.sign_outs_everywhere
            WHERE person_id = %(person_id)s
        )
"""


async def standing(
    tx: Transaction, person_id: UUID, session_id: UUID | None
) -> tuple[bool, datetime | None]:
    """Whether the session was ended, and until when sign-ins of the person are over."""
    parameters = {"person_id": person_id, "session_id": session_id}
    row = await (await tx.execute(STANDING, parameters)).fetchone()
    assert row is not None
    return bool(row[0]), row[1]
