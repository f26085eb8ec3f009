"""The tables notifications.deliveries and attempts: claiming what is due, and what became of it.

Whoever moves a delivery out of `pending`, the sender or a report that was faster, is the one who
says that it was sent. Rows are always locked in the order of their ids.
"""

from collections.abc import Sequence
from typing import Any

from psycopg.rows import dict_row

from blueprints.notifications.delivery_models import Due, Report, Sent, Verdict
from blueprints.notifications.models import Channel, Notification
from shared.db import Transaction

# Of a digest the pending row with the lowest id stands for all of them: who locks that one has the
# whole mail. The second part takes the others along, which nobody else can have claimed. A second
# early is in time: whoever wrote `due_at` may have a clock that is a little ahead.
CLAIM = """
    WITH due AS (
        SELECT d.id, d.digest_id
        FROM notifications.deliveries AS d
        WHERE d.status = 'pending'
            AND d.channel = %(channel)s
            AND d.due_at <= now() + interval '1 second'
            AND (d.claimed_until IS NULL OR d.claimed_until <= now())
            AND (
                NOT d.digest
                OR d.digest_id IS NOT NULL AND NOT EXISTS (
                    SELECT
                    FROM notifications.deliveries AS o
                    WHERE o.digest_id = d.digest_id AND o.status = 'pending' AND o.id < d.id
                )
            )
        ORDER BY d.due_at, d.id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ),
    chosen AS (
        SELECT id
        FROM due
        UNION
        SELECT o.id
        FROM due
        JOIN notifications.deliveries AS o ON o.digest_id = due.digest_id
    ),
    claimed AS (
        UPDATE notifications.deliveries AS d
        SET claimed_until = now() + make_interval(secs => %(lease_s)s),
            first_tried_at = COALESCE(d.first_tried_at, now())
        FROM chosen
        WHERE d.id = chosen.id AND d.status = 'pending'
        RETURNING
            d.id, d.notification_id, d.recipient_id, d.digest_id, d.attempts, d.claimed_until,
            d.first_tried_at, d.first_tried_at = now() AS is_first_try
    )
    SELECT
        c.id, c.digest_id, c.attempts, c.claimed_until, c.first_tried_at, c.is_first_try,
        p.time_zone, p.quiet_from, p.quiet_until, n.id AS notification_id, n.type, n.recipient_id,
        n.audience, n.order_id, n.facts, n.message, n.template_version, n.occurred_at
    FROM claimed AS c
    JOIN notifications.notifications AS n ON n.id = c.notification_id
    LEFT JOIN notifications.people AS p ON p.person_id = c.recipient_id
    ORDER BY n.position
    LIMIT ALL
"""


async def claim(tx: Transaction, channel: Channel, *, limit: int, lease_s: float) -> list[Due]:
    """Up to `limit` messages of the channel that are due, ours for `lease_s` seconds.

    In the order in which they were told; all notifications of a digest together count as one.
    """
    asked = {"channel": channel, "limit": limit, "lease_s": lease_s}
    async with tx.cursor(row_factory=dict_row) as cursor:
        rows = await (await cursor.execute(CLAIM, asked)).fetchall()
    return [_due(channel, row) for row in rows]


# A delivery that was given back too late, because somebody else has claimed it meanwhile, stays
# with him; one that was sent is sent, whoever has it.
SETTLE = """
    WITH verdicts AS (
        SELECT *
        FROM unnest(
            %(ids)s::uuid[], %(claims)s::timestamptz[], %(statuses)s::text[],
            %(outcomes)s::text[], %(reasons)s::text[], %(references)s::text[],
            %(dues)s::timestamptz[], %(delays)s::double precision[], %(untried)s::boolean[]
        ) AS v (id, claimed_until, status, outcome, reason, reference, due_at, delay_s, untried)
    ),
    locked AS (
        SELECT d.id
        FROM notifications.deliveries AS d
        WHERE d.id = ANY(%(ids)s::uuid[])
        ORDER BY d.id
        FOR UPDATE
    ),
    settled AS (
        UPDATE notifications.deliveries AS d
        SET status = v.status,
            reason = v.reason,
            provider_reference = COALESCE(v.reference, d.provider_reference),
            attempts = d.attempts + CASE WHEN v.outcome IS NULL THEN 0 ELSE 1 END,
            due_at = CASE
                WHEN v.status <> 'pending' THEN d.due_at
                WHEN v.due_at IS NOT NULL THEN v.due_at
                WHEN v.delay_s > 0 THEN clock_timestamp() + make_interval(secs => v.delay_s)
                ELSE d.due_at
            END,
            claimed_until = NULL,
            first_tried_at = CASE WHEN v.untried THEN NULL ELSE d.first_tried_at END,
            updated_at = clock_timestamp()
        FROM verdicts AS v
        JOIN locked ON locked.id = v.id
        WHERE d.id = v.id
            AND d.status = 'pending'
            AND (v.status <> 'pending' OR d.claimed_until = v.claimed_until)
        RETURNING d.id, d.status
    ),
    logged AS (
        INSERT INTO notifications.attempts (delivery_id, outcome, reason, provider_reference)
        SELECT v.id, v.outcome, v.reason, v.reference
        FROM verdicts AS v
        JOIN settled ON settled.id = v.id
        WHERE v.outcome IS NOT NULL
        ORDER BY v.id
    )
    SELECT id
    FROM settled
    WHERE status = 'accepted'
"""


async def settle(tx: Transaction, verdicts: Sequence[Verdict]) -> list[Sent]:
    """Write down what became of claimed deliveries; those sent that nobody has spoken of yet."""
    columns: dict[str, Any] = {
        "ids": [v.delivery.id for v in verdicts],
        "claims": [v.delivery.claimed_until for v in verdicts],
        "statuses": [v.status for v in verdicts],
        "outcomes": [v.outcome for v in verdicts],
        "reasons": [v.reason for v in verdicts],
        "references": [v.reference for v in verdicts],
        "dues": [v.due_at for v in verdicts],
        "delays": [v.delay_s for v in verdicts],
        "untried": [not v.taken_perhaps and v.delivery.is_first_try for v in verdicts],
    }
    rows = await (await tx.execute(SETTLE, columns)).fetchall()
    accepted = {row[0] for row in rows}
    return [_sent(v.delivery) for v in verdicts if v.delivery.id in accepted]


# What a report may still change: a bounce is the last word, and a message of which we never
# learned that it was taken was taken if there is a report of it.
BOOK = """
    WITH named AS (
        SELECT id
        FROM notifications.deliveries
        WHERE id = ANY(%(keys)s::uuid[])
        UNION
        SELECT id
        FROM notifications.deliveries
        WHERE digest_id = ANY(%(keys)s::uuid[])
        UNION
        SELECT id
        FROM notifications.deliveries
        WHERE provider_reference = %(reference)s
    ),
    before AS (
        SELECT d.id, d.status
        FROM notifications.deliveries AS d
        JOIN named ON named.id = d.id
        WHERE d.channel = %(channel)s
        ORDER BY d.id
        FOR UPDATE OF d
    ),
    booked AS (
        UPDATE notifications.deliveries AS d
        SET status = %(fate)s,
            reason = %(reason)s,
            provider_reference = %(reference)s,
            claimed_until = NULL,
            updated_at = clock_timestamp()
        FROM before AS b
        WHERE d.id = b.id
            AND (
                b.status IN ('pending', 'accepted')
                OR b.status = 'failed' AND %(fate)s <> 'failed'
                OR b.status = 'delivered' AND %(fate)s = 'bounced'
            )
        RETURNING d.id, d.notification_id
    ),
    logged AS (
        INSERT INTO notifications.attempts (delivery_id, outcome, reason, provider_reference)
        SELECT id, %(outcome)s, %(reason)s, %(reference)s
        FROM booked
        ORDER BY id
    )
    SELECT
        b.id AS delivery_id, n.id AS notification_id, n.type, n.recipient_id, n.order_id,
        before.status AS before, b.id IS NOT NULL AS booked
    FROM before
    LEFT JOIN booked AS b ON b.id = before.id
    LEFT JOIN notifications.notifications AS n ON n.id = b.notification_id
    ORDER BY n.id
    LIMIT ALL
"""


async def book(tx: Transaction, report: Report) -> tuple[bool, list[Sent]]:
    """Write down a final report: whether the message is one of ours, and what is sent by it.

    A report that is repeated or comes late changes nothing.
    """
    assert report.fate is not None, "there is nothing to write down"
    asked = {
        "keys": list(report.keys),
        "channel": report.channel,
        "reference": report.reference,
        "fate": report.fate,
        "outcome": "refused" if report.fate == "failed" else report.fate,
        "reason": report.reason,
    }
    async with tx.cursor(row_factory=dict_row) as cursor:
        rows = await (await cursor.execute(BOOK, asked)).fetchall()
    unheard = [row for row in rows if row["booked"] and row["before"] == "pending"]
    return bool(rows), [
        Sent(
            delivery_id=row["delivery_id"],
            notification_id=row["notification_id"],
            channel=report.channel,
            type=row["type"],
            recipient_id=row["recipient_id"],
            order_id=row["order_id"],
        )
        for row in unheard
    ]


def _due(channel: Channel, row: dict[str, Any]) -> Due:
    quiet = (row["quiet_from"], row["quiet_until"]) if row["quiet_from"] is not None else None
    return Due(
        id=row["id"],
        channel=channel,
        digest_id=row["digest_id"],
        attempts=row["attempts"],
        claimed_until=row["claimed_until"],
        first_tried_at=row["first_tried_at"],
        is_first_try=row["is_first_try"],
        time_zone=row["time_zone"],
        quiet=quiet,
        notification=Notification(
            id=row["notification_id"],
            type=row["type"],
            recipient_id=row["recipient_id"],
            audience=row["audience"],
            order_id=row["order_id"],
            facts=row["facts"],
            message=row["message"],
            template_version=row["template_version"],
            occurred_at=row["occurred_at"],
        ),
    )


def _sent(delivery: Due) -> Sent:
    told = delivery.notification
    return Sent(delivery.id, told.id, delivery.channel, told.type, told.recipient_id, told.order_id)
