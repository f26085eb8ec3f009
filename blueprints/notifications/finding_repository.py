"""SQL that looks up what became of notifications."""

from uuid import UUID

from psycopg.rows import class_row, dict_row

from blueprints.notifications.api_models import Delivery, DeliveryLog
from blueprints.notifications.models import HistoryEntry
from shared.db import Transaction

NOTIFICATION = """
    SELECT id AS notification_id, type, recipient_id, audience, order_id, occurred_at AS at
    FROM notifications.notifications
    WHERE id = %(id)s
"""
DELIVERIES = """
    SELECT
        d.id, d.channel, d.status, d.digest, d.due_at, d.reason, d.provider_reference,
        d.updated_at,
        COALESCE(
            (
                SELECT jsonb_agg(
                    jsonb_build_object(
                        'at', a.at,
                        'outcome', a.outcome,
                        'reason', a.reason,
                        'provider_reference', a.provider_reference
                    )
                    ORDER BY a.id
                )
                FROM notifications.attempts AS a
                WHERE a.delivery_id = d.id
            ),
            '[]'
        ) AS attempts
    FROM notifications.deliveries AS d
    WHERE d.notification_id = %(id)s
    ORDER BY d.channel
    LIMIT 3
"""


async def delivery_log(tx: Transaction, notification_id: UUID) -> DeliveryLog | None:
    """What became of the notification on each channel; None if there is no such notification."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        head = await (await cursor.execute(NOTIFICATION, {"id": notification_id})).fetchone()
        rows = await (await cursor.execute(DELIVERIES, {"id": notification_id})).fetchall()
    if head is None:
        return None
    return DeliveryLog(**head, deliveries=[Delivery(**row) for row in rows])


HISTORY = """
    SELECT d.updated_at AS at, n.type, d.channel, d.status
    FROM notifications.notifications AS n
    JOIN notifications.deliveries AS d ON d.notification_id = n.id
    WHERE n.order_id = %(order_id)s AND n.recipient_id IS NOT NULL
    ORDER BY d.updated_at, d.id
    LIMIT 500
"""


async def history(tx: Transaction, order_id: UUID) -> list[HistoryEntry]:
    """How the order's customer was told about it, oldest first."""
    async with tx.cursor(row_factory=class_row(HistoryEntry)) as cursor:
        return await (await cursor.execute(HISTORY, {"order_id": order_id})).fetchall()
