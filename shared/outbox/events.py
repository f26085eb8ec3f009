"""The table messaging.outbox: appending events, and forgetting those sent long ago.

A transaction-scoped advisory lock per aggregate keeps the order: positions are committed in the
order in which they were given. Sending has locks of its own (see channels): a slow broker never
delays a change.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from pydantic import JsonValue
from uuid_utils.compat import uuid7

from shared import telemetry
from shared.db import Transaction

ENVELOPE_MAX_BYTES = 64 * 1024
"""A Standard namespace takes 256 KB per message and per batch; events carry ids, not documents."""
KEPT_DAYS = 7
PUBLISHED = frozenset(
    {
        *("order.placed.v1", "order.confirmed.v1", "order.shipped.v1", "order.delivered.v1"),
        *("order.cancelled.v1", "order.returned.v1", "order.stuck.v1"),
        *("payment.captured.v1", "payment.declined.v1", "payment.refunded.v1"),
        "gdpr.request_received.v1",
        "notification.sent.v1",
    }
)
"""What outside consumers may want to know: orders created and updated, payments processed, GDPR
requests, notifications sent."""

APPEND = """
    INSERT INTO messaging.outbox (event_id, topic, type, aggregate_id, envelope, correlation_id)
    SELECT %(event_id)s, %(topic)s, %(type)s, %(aggregate_id)s, %(envelope)s, %(correlation_id)s
    FROM (SELECT pg_advisory_xact_lock(hashtextextended(%(aggregate_id)s::text, 1))) AS ordered
"""
APPEND_AND_PUBLISH = """
    WITH appended AS (
        INSERT INTO messaging.outbox (event_id, topic, type, aggregate_id, envelope, correlation_id)
        SELECT %(event_id)s, %(topic)s, %(type)s, %(aggregate_id)s, %(envelope)s, %(correlation_id)s
        FROM (SELECT pg_advisory_xact_lock(hashtextextended(%(aggregate_id)s::text, 1))) AS ordered
        RETURNING position, aggregate_id
    )
    INSERT INTO messaging.publications (position, aggregate_id)
    SELECT position, aggregate_id
    FROM appended
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
        AND NOT EXISTS (
            SELECT
            FROM messaging.publications AS p
            WHERE p.position = oldest.position AND p.published_at IS NULL
        )
    )
"""


async def append(
    tx: Transaction, *, topic: str, type_: str, aggregate_id: UUID, data: Mapping[str, JsonValue]
) -> UUID:
    """Record that something happened to an aggregate; returns the event's id.

    `type_` is past tense and versioned (`order.placed.v1`); `data` holds ids, never personal
    data. The event becomes a CloudEvents 1.0 envelope with the correlation id of the work in
    progress, and is sent if and only if `tx` commits: pass `aggregate_id` to Dispatcher.dispatch
    after the commit. Event Grid gets the types that are PUBLISHED as well. Raises ValueError for an
    event too large to send.
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
        APPEND_AND_PUBLISH if type_ in PUBLISHED else APPEND,
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


async def prune(tx: Transaction, *, limit: int) -> int:
    """Delete events sent more than a week ago, among the `limit` oldest; how many that were."""
    return (await tx.execute(PRUNE, {"days": KEPT_DAYS, "limit": limit})).rowcount
