"""The table messaging.outbox: appending events, claiming those to send, marking them sent.

Two transaction-scoped advisory locks per aggregate keep the order. Appending takes the first, so
that positions are committed in the order in which they were given; sending takes the second, so
that one sender at a time works on an aggregate. Neither waits for the other: a slow broker never
delays a change.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg.rows import class_row
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from shared import telemetry
from shared.db import Transaction

ENVELOPE_MAX_BYTES = 64 * 1024
"""A Standard namespace takes 256 KB per message and per batch; events carry ids, not documents."""
KEPT_DAYS = 7

APPEND = """
    INSERT INTO messaging.outbox (event_id, topic, type, aggregate_id, envelope, correlation_id)
    SELECT %(event_id)s, %(topic)s, %(type)s, %(aggregate_id)s, %(envelope)s, %(correlation_id)s
    FROM (SELECT pg_advisory_xact_lock(hashtextextended(%(aggregate_id)s::text, 1))) AS ordered
"""
CLAIM = """
    SELECT aggregate_id
    FROM unnest(%(aggregate_ids)s::uuid[]) AS aggregate_id
    WHERE pg_try_advisory_xact_lock(hashtextextended(aggregate_id::text, 2))
"""
UNSENT_OF = """
    SELECT position, event_id, topic, type, aggregate_id, envelope, correlation_id
    FROM messaging.outbox
    WHERE sent_at IS NULL AND aggregate_id = ANY(%(aggregate_ids)s)
    ORDER BY position
    LIMIT %(limit)s
"""
OLDEST_WAITING = """
    SELECT DISTINCT aggregate_id
    FROM (
        SELECT aggregate_id
        FROM messaging.outbox
        WHERE sent_at IS NULL
          AND created_at <= clock_timestamp() - make_interval(secs => %(older_than_s)s)
        ORDER BY position
        LIMIT %(limit)s
    ) AS oldest
"""
MARK_SENT = """
    UPDATE messaging.outbox
    SET sent_at = clock_timestamp()
    WHERE position = ANY(%(positions)s)
"""
LAG = """
    SELECT extract(epoch FROM clock_timestamp() - created_at)::double precision
    FROM messaging.outbox
    WHERE sent_at IS NULL
    ORDER BY position
    LIMIT 1
"""
# Only the oldest rows are looked at: the cost does not grow with the table.
PRUNE = """
    DELETE FROM messaging.outbox
    WHERE position IN (
        SELECT position
        FROM (
            SELECT position, sent_at
            FROM messaging.outbox
            ORDER BY position
            LIMIT %(limit)s
        ) AS oldest
        WHERE sent_at < now() - make_interval(days => %(days)s)
    )
"""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event on its way out; `envelope` is the CloudEvents JSON, sent as it stands."""

    position: int
    event_id: UUID
    topic: str
    type: str
    aggregate_id: UUID
    envelope: str
    correlation_id: str


async def append(
    tx: Transaction, *, topic: str, type_: str, aggregate_id: UUID, data: Mapping[str, JsonValue]
) -> UUID:
    """Record that something happened to an aggregate; returns the event's id.

    `type_` is past tense and versioned (`order.placed.v1`); `data` holds ids, never personal
    data. The event becomes a CloudEvents 1.0 envelope with the correlation id of the work in
    progress, and is sent if and only if `tx` commits: pass `aggregate_id` to Dispatcher.dispatch
    after the commit. Raises ValueError for an event too large to send.
    """
    event_id = uuid7()
    correlation_id = telemetry.correlation_id() or telemetry.new_correlation_id()
    envelope: dict[str, JsonValue] = {
        "specversion": "1.0",
        "id": str(event_id),
        "source": f"/order-platform/{type_.partition('.')[0]}",
        "type": type_,
        "subject": str(aggregate_id),
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "correlationid": correlation_id,
        "data": dict(data),
    }
    if trace := telemetry.traceparent():
        envelope["traceparent"] = trace
    text = json.dumps(envelope, separators=(",", ":"))
    if len(text) > ENVELOPE_MAX_BYTES:
        raise ValueError(f"an event of type {type_} has {len(text)} bytes; it should carry ids")
    await tx.execute(
        APPEND,
        {
            "event_id": event_id,
            "topic": topic,
            "type": type_,
            "aggregate_id": aggregate_id,
            "envelope": text,
            "correlation_id": correlation_id,
        },
    )
    return event_id


async def claim(
    tx: Transaction, aggregate_ids: Collection[UUID], *, limit: int
) -> tuple[Collection[UUID], list[Outgoing]]:
    """Those of `aggregate_ids` that nobody else is sending, which are ours until `tx` ends, and
    their oldest unsent events by position.

    At most `limit` events, counted before those that others are sending are left out. Two
    statements, in this order: the snapshot of the second must be younger than the claim, or events
    that the previous holder of the claim sent would look unsent.
    """
    wanted = list(aggregate_ids)
    claiming = await tx.execute(CLAIM, {"aggregate_ids": wanted})
    async with tx.cursor(row_factory=class_row(Outgoing)) as cursor:
        await cursor.execute(UNSENT_OF, {"aggregate_ids": wanted, "limit": limit})
        claimed = {row[0] for row in await claiming.fetchall()}
        unsent = await cursor.fetchall()
    return claimed, [event for event in unsent if event.aggregate_id in claimed]


async def oldest_waiting(tx: Transaction, *, limit: int, older_than_s: float) -> list[UUID]:
    """Aggregates of the `limit` oldest unsent events that are that old, in no order."""
    waiting = await tx.execute(OLDEST_WAITING, {"limit": limit, "older_than_s": older_than_s})
    return [row[0] for row in await waiting.fetchall()]


async def mark_sent(tx: Transaction, events: Sequence[Outgoing]) -> None:
    """Note that the broker has acknowledged `events`."""
    await tx.execute(MARK_SENT, {"positions": [event.position for event in events]})


async def lag_s(tx: Transaction) -> float:
    """Age in seconds of the oldest unsent event; 0.0 when nothing waits."""
    row = await (await tx.execute(LAG)).fetchone()
    return max(0.0, row[0]) if row else 0.0


async def prune(tx: Transaction, *, limit: int) -> int:
    """Delete events sent more than a week ago, among the `limit` oldest; how many that were."""
    return (await tx.execute(PRUNE, {"days": KEPT_DAYS, "limit": limit})).rowcount
