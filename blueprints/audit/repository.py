"""SQL that checks the chain, seals its days, and erases details."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from blueprints.audit.models import ERASED_ACTION, Head, Link
from shared.db import Transaction

SEALED = """
    COPY (
        SELECT
            e.seq, e.recorded_at, e.occurred_at, e.ledger, e.origin, e.action, e.actor_kind,
            e.actor_id, e.subject_kind, e.subject_id, e.order_id, e.person_id, e.event_id,
            e.operation, e.fields, e.correlation_id, e.commitment, e.previous_hash, e.entry_hash,
            d.salt, d.payload
        FROM audit.entries AS e
        LEFT JOIN audit.details AS d ON d.seq = e.seq
        WHERE e.seq BETWEEN %(first)s AND %(last)s
        ORDER BY e.seq, e.recorded_at
    )
    TO STDOUT (FORMAT BINARY)
"""
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"


async def sealed(tx: Transaction, first: int, last: int) -> AsyncIterator[bytes]:
    """Entries from number `first` to `last`, in order, as tuples of binary COPY (see chain)."""
    async with tx.cursor() as cursor, cursor.copy(SEALED, {"first": first, "last": last}) as copy:
        # The server sends a message for each row; the header comes with the first one.
        async for block in copy:
            row = bytes(block).removeprefix(_COPY_HEADER)
            if row and row != _COPY_TRAILER:
                yield row


EXTENT = """
    SELECT
        h.seq,
        h.entry_hash,
        h.recorded_at,
        clock_timestamp(),
        (SELECT seq FROM audit.audit_logs ORDER BY seq DESC LIMIT 1),
        (SELECT seq FROM audit.gdpr_audit_trail ORDER BY seq DESC LIMIT 1)
    FROM audit.chain_head AS h
"""


async def extent(tx: Transaction) -> tuple[Head, datetime, int]:
    """The chain's end, the database's time, and the highest number that an entry has.

    In one statement, so that they are of one moment.
    """
    row = await (await tx.execute(EXTENT)).fetchone()
    assert row is not None, "the migration made the head, and a trigger keeps it"
    return Head(*row[:3]), row[3], max(row[4] or 0, row[5] or 0)


ENTRY = """
    SELECT seq, entry_hash, recorded_at
    FROM audit.entries
    WHERE seq = %(seq)s
    LIMIT 1
"""
FIRST = """
    SELECT seq, entry_hash, recorded_at
    FROM audit.entries
    ORDER BY seq
    LIMIT 1
"""
LAST_BEFORE = """
    SELECT seq, entry_hash, recorded_at
    FROM audit.entries
    WHERE recorded_at < %(instant)s
    ORDER BY recorded_at DESC, seq DESC
    LIMIT 1
"""


async def entry(tx: Transaction, seq: int) -> Head | None:
    """The entry with this number, as the end of what came before it."""
    return await _head(tx, ENTRY, {"seq": seq})


async def first(tx: Transaction) -> Head | None:
    """The oldest entry."""
    return await _head(tx, FIRST, {})


async def last_before(tx: Transaction, instant: datetime) -> Head | None:
    """The last entry recorded before `instant`, as the end of what came before it."""
    return await _head(tx, LAST_BEFORE, {"instant": instant})


async def _head(tx: Transaction, statement: str, parameters: dict[str, Any]) -> Head | None:
    row = await (await tx.execute(statement.encode(), parameters)).fetchone()
    return None if row is None else Head(*row)


ERASURES = """
    SELECT person_id, MAX(recorded_at)
    FROM audit.gdpr_audit_trail
    WHERE person_id = ANY(%(people)s)
        AND action = %(action)s
    GROUP BY person_id
"""


async def erasures(tx: Transaction, people: list[UUID]) -> dict[UUID, datetime]:
    """When the details about each of these people were erased last; absent if never."""
    found = await tx.execute(ERASURES, {"people": people, "action": ERASED_ACTION})
    return {row[0]: row[1] async for row in found}


ERASED = "SELECT audit.erase_details(%(person_id)s, %(entry)s)"


async def erase(tx: Transaction, person_id: UUID, link: Link) -> int:
    """Add `link`, which tells of it, and erase the details about the person; how many."""
    entry = link.entry
    columns = {
        "seq": link.seq,
        "recorded_at": link.recorded_at.isoformat(),
        "occurred_at": link.occurred_at.isoformat(),
        "ledger": entry.ledger,
        "origin": entry.origin,
        "action": entry.action,
        "actor_kind": entry.actor_kind,
        "actor_id": None if entry.actor_id is None else str(entry.actor_id),
        "subject_kind": entry.subject_kind,
        "subject_id": str(entry.subject_id),
        "person_id": str(entry.person_id),
        "correlation_id": entry.correlation_id,
        "previous_hash": f"\\x{link.previous_hash.hex()}",
        "entry_hash": f"\\x{link.entry_hash.hex()}",
    }
    erased = await tx.execute(ERASED, {"person_id": person_id, "entry": Jsonb(columns)})
    row = await erased.fetchone()
    assert row is not None
    return int(row[0])
