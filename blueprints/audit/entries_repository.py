"""SQL that adds to the chain, and that lists its entries."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import DictRow, dict_row

from blueprints.audit.models import Head, Ledger, Link
from shared.db import Pending, Transaction

TABLES: Mapping[Ledger, str] = {"logs": "audit_logs", "gdpr": "gdpr_audit_trail"}

LOCKED_HEAD = """
    SELECT seq, entry_hash, recorded_at, clock_timestamp()
    FROM audit.chain_head
    FOR UPDATE
"""


async def ask_head(tx: Transaction) -> Pending[tuple[Head, datetime]]:
    """The chain's end, held until `tx` ends, and the database's time."""
    cursor = await tx.execute(LOCKED_HEAD)

    async def head() -> tuple[Head, datetime]:
        row = await cursor.fetchone()
        assert row is not None, "the migration made the head, and a trigger keeps it"
        return Head(*row[:3]), row[3]

    return head


ADDED = """
    INSERT INTO audit.{table} (
        seq, recorded_at, occurred_at, ledger, origin, action, actor_kind, actor_id, subject_kind,
        subject_id, order_id, person_id, event_id, operation, fields, correlation_id, commitment,
        previous_hash, entry_hash
    )
    SELECT
        seq, recorded_at, occurred_at, ledger, origin, action, actor_kind, actor_id, subject_kind,
        subject_id, order_id, person_id, event_id, operation, fields, correlation_id, commitment,
        previous_hash, entry_hash
    FROM UNNEST(
        %(seq)s::bigint[],
        %(recorded_at)s::timestamptz[],
        %(occurred_at)s::timestamptz[],
        %(ledger)s::text[],
        %(origin)s::text[],
        %(action)s::text[],
        %(actor_kind)s::text[],
        %(actor_id)s::uuid[],
        %(subject_kind)s::text[],
        %(subject_id)s::uuid[],
        %(order_id)s::uuid[],
        %(person_id)s::uuid[],
        %(event_id)s::text[],
        %(operation)s::text[],
        %(fields)s::text[],
        %(correlation_id)s::text[],
        %(commitment)s::bytea[],
        %(previous_hash)s::bytea[],
        %(entry_hash)s::bytea[]
    ) AS added (
        seq, recorded_at, occurred_at, ledger, origin, action, actor_kind, actor_id, subject_kind,
        subject_id, order_id, person_id, event_id, operation, fields, correlation_id, commitment,
        previous_hash, entry_hash
    )
"""
_ADDED = {
    ledger: sql.SQL(ADDED).format(table=sql.Identifier(table)) for ledger, table in TABLES.items()
}
DETAILED = """
    INSERT INTO audit.details (seq, person_id, salt, payload)
    SELECT seq, person_id, salt, payload
    FROM UNNEST(
        %(seq)s::bigint[],
        %(person_id)s::uuid[],
        %(salt)s::bytea[],
        %(payload)s::text[]
    ) AS detailed (seq, person_id, salt, payload)
"""
MOVED_HEAD = """
    UPDATE audit.chain_head
    SET seq = %(seq)s,
        entry_hash = %(entry_hash)s,
        recorded_at = %(recorded_at)s
"""

_OF_ENTRY = {
    name: attrgetter(f"entry.{name}")
    for name in (
        *("ledger", "origin", "action", "actor_kind", "actor_id", "subject_kind", "subject_id"),
        *("order_id", "person_id", "event_id", "operation", "fields", "correlation_id"),
    )
}
_OF_LINK = {
    name: attrgetter(name)
    for name in ("seq", "recorded_at", "occurred_at", "commitment", "previous_hash", "entry_hash")
}


async def add(tx: Transaction, links: Sequence[Link]) -> None:
    """Write the links, with their details, and move the head on to the last one."""
    for ledger, statement in _ADDED.items():
        if of_ledger := [link for link in links if link.entry.ledger == ledger]:
            columns = {n: [get(link) for link in of_ledger] for n, get in _COLUMNS.items()}
            await tx.execute(statement, columns)
    if detailed := [link for link in links if link.salt is not None]:
        await tx.execute(
            DETAILED,
            {
                "seq": [link.seq for link in detailed],
                "person_id": [link.entry.person_id for link in detailed],
                "salt": [link.salt for link in detailed],
                "payload": [link.entry.payload for link in detailed],
            },
        )
    last = links[-1]
    await tx.execute(
        MOVED_HEAD,
        {"seq": last.seq, "entry_hash": last.entry_hash, "recorded_at": last.recorded_at},
    )


_COLUMNS = _OF_LINK | _OF_ENTRY

LOGGED = """
    SELECT
        e.seq, e.recorded_at, e.occurred_at, e.origin, e.action, e.actor_kind, e.actor_id,
        e.subject_kind, e.subject_id, e.order_id, e.person_id, e.event_id, e.operation, e.fields,
        e.correlation_id, e.commitment, e.entry_hash, d.payload
    FROM audit.audit_logs AS e
    LEFT JOIN audit.details AS d ON d.seq = e.seq
    WHERE {conditions}
    ORDER BY e.recorded_at DESC, e.seq DESC
    LIMIT %(limit)s
"""
FILTERS: Mapping[str, str] = {
    "actor": "e.actor_id = %(actor)s",
    "subject": "e.subject_id = %(subject)s",
    "action": "e.action = %(action)s",
    "order": "e.order_id = %(order)s",
}
"""Only those that are asked for stand in the statement, so that each finds its own index."""
BEFORE = "(e.recorded_at, e.seq) < (%(before_at)s, %(before_seq)s)"
WITHIN = "e.recorded_at >= %(since)s AND e.recorded_at < %(until)s"


async def logged(
    tx: Transaction,
    filters: Mapping[str, Any],
    *,
    since: datetime,
    until: datetime,
    before: tuple[datetime, int] | None,
    limit: int,
) -> list[DictRow]:
    """Entries of the logs, newest first; `filters` are those of FILTERS that are not None."""
    asked = {name: value for name, value in filters.items() if value is not None}
    conditions = [WITHIN, *(FILTERS[name] for name in asked)]
    parameters: dict[str, Any] = {**asked, "since": since, "until": until, "limit": limit}
    if before is not None:
        conditions.append(BEFORE)
        parameters |= {"before_at": before[0], "before_seq": before[1]}
    joined = sql.SQL(" AND ").join(sql.SQL(condition) for condition in conditions)
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql.SQL(LOGGED).format(conditions=joined), parameters)
        return await cursor.fetchall()


OF_PERSON = """
    SELECT
        e.seq, e.recorded_at, e.occurred_at, e.origin, e.action, e.actor_kind, e.actor_id,
        e.subject_kind, e.subject_id, e.order_id, e.person_id, e.event_id, e.operation, e.fields,
        e.correlation_id, e.commitment, e.entry_hash, d.payload
    FROM audit.gdpr_audit_trail AS e
    LEFT JOIN audit.details AS d ON d.seq = e.seq
    WHERE e.person_id = %(person_id)s
        AND (e.recorded_at, e.seq) < (%(before_at)s, %(before_seq)s)
    ORDER BY e.recorded_at DESC, e.seq DESC
    LIMIT %(limit)s
"""


async def of_person(
    tx: Transaction, person_id: UUID, *, before: tuple[datetime, int], limit: int
) -> list[DictRow]:
    """What was done with a person's data, newest first."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            OF_PERSON,
            {
                "person_id": person_id,
                "before_at": before[0],
                "before_seq": before[1],
                "limit": limit,
            },
        )
        return await cursor.fetchall()


BY_SEQ = """
    SELECT
        e.seq, e.recorded_at, e.occurred_at, e.origin, e.action, e.actor_kind, e.actor_id,
        e.subject_kind, e.subject_id, e.order_id, e.person_id, e.event_id, e.operation, e.fields,
        e.correlation_id, e.commitment, e.entry_hash, d.payload
    FROM audit.audit_logs AS e
    LEFT JOIN audit.details AS d ON d.seq = e.seq
    WHERE e.seq = %(seq)s
    LIMIT 1
"""


async def by_seq(tx: Transaction, seq: int) -> DictRow:
    """The entry of the logs with this number, which must exist."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(BY_SEQ, {"seq": seq})).fetchone()
        assert row is not None, "entries are never deleted"
        return row


PARTITIONS_MADE = "SELECT audit.make_partitions(%(months_ahead)s)"


async def make_partitions(tx: Transaction, months_ahead: int) -> int:
    """Make what is missing of this month's and the next months' partitions; how many."""
    made = await (await tx.execute(PARTITIONS_MADE, {"months_ahead": months_ahead})).fetchone()
    assert made is not None
    return int(made[0])
