"""SQL that writes notifications, each with its deliveries, in the order of its reader."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from blueprints.notifications.models import Channel, Notification
from shared.db import Transaction


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery to write down: due at a time, alone or in a digest, or not `wanted` at all."""

    channel: Channel
    due_at: datetime
    digest: bool = False
    wanted: bool = True


# The lock comes before the position: who reads what was told to one person (or audience) after a
# position misses nothing, because a smaller one is never committed later. The foreign keys between
# the parts are checked when the whole statement is done.
WRITE = """
    WITH written AS (
        INSERT INTO notifications.notifications (
            id,
            recipient_id,
            audience,
            event_id,
            type,
            order_id,
            facts,
            message,
            template_version,
            listed,
            occurred_at
        )
        SELECT
            %(id)s,
            %(recipient_id)s,
            %(audience)s,
            %(event_id)s,
            %(type)s,
            %(order_id)s,
            %(facts)s,
            %(message)s,
            %(template_version)s,
            %(listed)s,
            %(occurred_at)s
        FROM (SELECT pg_advisory_xact_lock(hashtextextended(%(reader)s::text, 8))) AS ordered
        ON CONFLICT (event_id, type, COALESCE(recipient_id::text, audience)) DO NOTHING
        RETURNING id
    ),
    planned AS (
        INSERT INTO notifications.deliveries (
            id, notification_id, recipient_id, channel, status, digest, due_at, reason
        )
        SELECT
            d.id,
            w.id,
            %(recipient_id)s,
            d.channel,
            CASE WHEN d.wanted THEN 'pending' ELSE 'skipped' END,
            d.digest,
            d.due_at,
            CASE WHEN NOT d.wanted THEN 'not_wanted' END
        FROM written AS w
        CROSS JOIN jsonb_to_recordset(%(deliveries)s) AS d (
            id uuid, channel text, due_at timestamptz, digest boolean, wanted boolean
        )
        RETURNING id, status, reason
    ),
    logged AS (
        INSERT INTO notifications.attempts (delivery_id, outcome, reason)
        SELECT id, status, reason
        FROM planned
        WHERE status = 'skipped'
    )
    SELECT id
    FROM written
"""


async def write(
    tx: Transaction, notification: Notification, deliveries: Sequence[Planned], *, event_id: str
) -> bool:
    """Keep the notification with its deliveries; False if this event was told before."""
    in_app = next((one for one in deliveries if one.channel == "in_app"), None)
    parameters = {
        "id": notification.id,
        "recipient_id": notification.recipient_id,
        "audience": notification.audience,
        "reader": notification.audience or notification.recipient_id,
        "event_id": event_id,
        "type": notification.type,
        "order_id": notification.order_id,
        "facts": Jsonb(dict(notification.facts)),
        "message": None if notification.message is None else Jsonb(dict(notification.message)),
        "template_version": notification.template_version,
        "listed": in_app is None or in_app.wanted,
        "occurred_at": notification.occurred_at,
        "deliveries": Jsonb(
            [
                {
                    "id": str(uuid7()),
                    "channel": one.channel,
                    "due_at": one.due_at.isoformat(),
                    "digest": one.digest,
                    "wanted": one.wanted,
                }
                for one in deliveries
            ]
        ),
    }
    return await (await tx.execute(WRITE, parameters)).fetchone() is not None
