"""All SQL with which employees list and find customers. An erased customer is nowhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row, tuple_row

from blueprints.customers.models import CustomerSummary, Segment
from shared.db import Transaction

NEWEST = sql.SQL("""
    SELECT
        c.id,
        c.name,
        c.email,
        c.phone,
        c.segment,
        c.status,
        c.registered_at
    FROM customers.customers AS c
    WHERE c.status <> 'erased'
        {conditions}
    ORDER BY c.registered_at DESC, c.id DESC
    LIMIT %(limit)s
""")

FILTERS: Mapping[str, sql.SQL] = {
    "segment": sql.SQL("c.segment = %(segment)s"),
    "status": sql.SQL("c.status = %(status)s"),
}
BEFORE = sql.SQL("(c.registered_at, c.id) < (%(before)s, %(before_id)s)")


async def newest(
    tx: Transaction,
    filters: Mapping[str, Any],
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[CustomerSummary]:
    """Customers by the time they registered, newest first, beginning behind `before`.

    The keys of `filters` are those of FILTERS, a value of None lets everything pass.
    """
    conditions = [FILTERS[name] for name, value in filters.items() if value is not None]
    parameters = {**filters, "limit": limit}
    if before is not None:
        conditions.append(BEFORE)
        parameters |= {"before": before[0], "before_id": before[1]}
    query = NEWEST.format(conditions=_and(conditions))
    async with tx.cursor(row_factory=class_row(CustomerSummary)) as cursor:
        return await (await cursor.execute(query, parameters)).fetchall()


# Likeness is rounded to millionths, an integer, because a cursor must name it exactly. Whoever asks
# by email or phone only gets everybody equally alike, in the order of the ids. Matches are gathered
# before they are ordered: in the order of the ids the planner would look at everybody. A beginning
# is a range and not LIKE, whose pattern a prepared statement does not know.
FOUND = sql.SQL("""
    WITH matching AS MATERIALIZED (
        SELECT
            {likeness} AS likeness,
            c.id,
            c.name,
            c.email,
            c.phone,
            c.segment,
            c.status,
            c.registered_at
        FROM customers.customers AS c
        WHERE c.status <> 'erased'
            {conditions}
    )
    SELECT
        m.likeness,
        m.id,
        m.name,
        m.email,
        m.phone,
        m.segment,
        m.status,
        m.registered_at
    FROM matching AS m
    WHERE {behind}
    ORDER BY m.likeness DESC, m.id DESC
    LIMIT %(limit)s
""")

LIKENESS = sql.SQL("(word_similarity(%(name)s, c.name) * 1000000)::integer")
ALL_ALIKE = sql.SQL("0")
MATCHES = {
    "name": sql.SQL("%(name)s <%% c.name"),
    "email": sql.SQL("lower(c.email) ~>=~ %(email)s AND lower(c.email) ~<~ %(email_end)s"),
    "phone": sql.SQL("c.phone ~>=~ %(phone)s AND c.phone ~<~ %(phone_end)s"),
}
WHOLE: Mapping[str, sql.SQL] = MATCHES | {
    "email": sql.SQL("lower(c.email) = %(email)s"),
    "phone": sql.SQL("c.phone = %(phone)s"),
}
BEHIND = sql.SQL("(m.likeness, m.id) < (%(after)s, %(after_id)s)")
LAST_CHARACTER = "\U0010ffff"
"""Sorts behind every other byte by byte, as text_pattern_ops does."""

LIKE_FROM_HERE = """
    SELECT set_config('pg_trgm.word_similarity_threshold', %(threshold)s, true)
"""
ALIKE_ENOUGH = 0.5


class Found(NamedTuple):
    """A customer, and how much the name is like the one asked for, in millionths."""

    likeness: int
    customer: CustomerSummary


async def found(
    tx: Transaction,
    *,
    name: str | None,
    email: str | None,
    phone: str | None,
    whole: bool,
    after: tuple[int, UUID] | None,
    limit: int,
) -> list[Found]:
    """Customers that match all that is given, those named most alike first, behind `after`.

    Names may hold typing errors; an email or a phone number may be the beginning of one unless it
    is `whole`. Belongs in a transaction, for which it says how much alike is enough.
    """
    given = {"name": name, "email": None if email is None else email.lower(), "phone": phone}
    matches = WHOLE if whole else MATCHES
    conditions = [matches[field] for field, value in given.items() if value is not None]
    ends = {f"{field}_end": f"{value}{LAST_CHARACTER}" for field, value in given.items()}
    parameters: dict[str, Any] = {**given, **ends, "limit": limit}
    if after is not None:
        parameters |= {"after": after[0], "after_id": after[1]}
    query = FOUND.format(
        likeness=ALL_ALIKE if name is None else LIKENESS,
        conditions=_and(conditions),
        behind=sql.SQL("true") if after is None else BEHIND,
    )
    await tx.execute(LIKE_FROM_HERE, {"threshold": str(ALIKE_ENOUGH)})
    async with tx.cursor(row_factory=tuple_row) as cursor:
        rows = await (await cursor.execute(query, parameters)).fetchall()
    fields = tuple(CustomerSummary.model_fields)
    return [
        Found(row[0], CustomerSummary.model_validate(dict(zip(fields, row[1:], strict=True))))
        for row in rows
    ]


COUNTED = """
    SELECT
        s.segment,
        (
            SELECT count(*)
            FROM (
                SELECT
                FROM customers.customers AS c
                WHERE c.segment = s.segment
                    AND c.status <> 'erased'
                LIMIT %(limit)s
            ) AS counted
        ) AS customers
    FROM unnest(%(segments)s::text[]) AS s (segment)
    ORDER BY s.segment
    LIMIT 100
"""


async def count(
    tx: Transaction, segments: Sequence[Segment], *, limit: int
) -> Mapping[Segment, int]:
    """How many customers each segment has, counted up to `limit`."""
    parameters = {"segments": list(segments), "limit": limit}
    async with tx.cursor(row_factory=tuple_row) as cursor:
        return dict(await (await cursor.execute(COUNTED, parameters)).fetchall())


def _and(conditions: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("").join(sql.SQL(" AND {}").format(condition) for condition in conditions)
