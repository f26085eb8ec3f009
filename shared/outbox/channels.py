"""The two ways out of the outbox, to Service Bus and to Event Grid: what waits, and claiming it.

On each way one sender at a time works on an aggregate, by a transaction-scoped advisory lock: a
newer event never overtakes an older one, and neither way waits for the other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from shared.db import Transaction


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


@dataclass(frozen=True, slots=True)
class Channel:
    """The statements of one way out; `name` is for logs, `lock` the class of its advisory locks."""

    name: str
    lock: int
    unsent_of: str
    oldest_waiting: str
    mark_sent: str
    lag: str


SERVICE_BUS = Channel(
    name="Service Bus",
    lock=2,
    unsent_of="""
        SELECT position, event_id, topic, type, aggregate_id, envelope, correlation_id
        FROM messaging.outbox
        WHERE sent_at IS NULL AND aggregate_id = ANY(%(aggregate_ids)s)
        ORDER BY position
        LIMIT %(limit)s
    """,
    oldest_waiting="""
        SELECT DISTINCT aggregate_id
        FROM (
            SELECT aggregate_id
            FROM messaging.outbox
            WHERE sent_at IS NULL
              AND created_at <= clock_timestamp() - make_interval(secs => %(older_than_s)s)
            ORDER BY position
            LIMIT %(limit)s
        ) AS oldest
    """,
    mark_sent="""
        UPDATE messaging.outbox
        SET sent_at = clock_timestamp()
        WHERE position = ANY(%(positions)s)
    """,
    lag="""
        SELECT extract(epoch FROM clock_timestamp() - created_at)::double precision
        FROM messaging.outbox
        WHERE sent_at IS NULL
        ORDER BY position
        LIMIT 1
    """,
)
EVENT_GRID = Channel(
    name="Event Grid",
    lock=3,
    unsent_of="""
        SELECT
            o.position, o.event_id, 'platform-events' AS topic, o.type, o.aggregate_id,
            o.envelope, o.correlation_id
        FROM messaging.publications AS p
        JOIN messaging.outbox AS o ON o.position = p.position
        WHERE p.published_at IS NULL AND p.aggregate_id = ANY(%(aggregate_ids)s)
        ORDER BY p.position
        LIMIT %(limit)s
    """,
    oldest_waiting="""
        SELECT DISTINCT aggregate_id
        FROM (
            SELECT aggregate_id
            FROM messaging.publications
            WHERE published_at IS NULL
              AND created_at <= clock_timestamp() - make_interval(secs => %(older_than_s)s)
            ORDER BY position
            LIMIT %(limit)s
        ) AS oldest
    """,
    mark_sent="""
        UPDATE messaging.publications
        SET published_at = clock_timestamp()
        WHERE position = ANY(%(positions)s)
    """,
    lag="""
        SELECT extract(epoch FROM clock_timestamp() - created_at)::double precision
        FROM messaging.publications
        WHERE published_at IS NULL
        ORDER BY position
        LIMIT 1
    """,
)

CLAIM = """
    SELECT aggregate_id
    FROM unnest(%(aggregate_ids)s::uuid[]) AS aggregate_id
    WHERE pg_try_advisory_xact_lock(hashtextextended(aggregate_id::text, %(lock)s))
"""


async def claim(
    tx: Transaction, channel: Channel, aggregate_ids: Collection[UUID], *, limit: int
) -> tuple[Collection[UUID], list[Outgoing]]:
    """Those of `aggregate_ids` that nobody else is sending, which are ours until `tx` ends, and
    their oldest unsent events by position.

    At most `limit` events, counted before those that others are sending are left out. Two
    statements, in this order: the snapshot of the second must be younger than the claim, or events
    that the previous holder of the claim sent would look unsent.
    """
    wanted = list(aggregate_ids)
    claiming = await tx.execute(CLAIM, {"aggregate_ids": wanted, "lock": channel.lock})
    async with tx.cursor(row_factory=class_row(Outgoing)) as cursor:
        await cursor.execute(channel.unsent_of, {"aggregate_ids": wanted, "limit": limit})
        claimed = {row[0] for row in await claiming.fetchall()}
        unsent = await cursor.fetchall()
    return claimed, [event for event in unsent if event.aggregate_id in claimed]


async def oldest_waiting(
    tx: Transaction, channel: Channel, *, limit: int, older_than_s: float
) -> list[UUID]:
    """Aggregates of the `limit` oldest unsent events that are that old, in no order."""
    asked = {"limit": limit, "older_than_s": older_than_s}
    waiting = await tx.execute(channel.oldest_waiting, asked)
    return [row[0] for row in await waiting.fetchall()]


async def mark_sent(tx: Transaction, channel: Channel, events: Sequence[Outgoing]) -> None:
    """Note that the other side has acknowledged `events`."""
    await tx.execute(channel.mark_sent, {"positions": [event.position for event in events]})


async def lag_s(tx: Transaction, channel: Channel) -> float:
    """Age in seconds of the oldest unsent event; 0.0 when nothing waits."""
    row = await (await tx.execute(channel.lag)).fetchone()
    return max(0.0, row[0]) if row else 0.0
