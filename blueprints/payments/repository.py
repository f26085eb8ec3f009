"""Reading payments: schema `payments`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from blueprints.payments.models import HistoryEntry, Payment, Refund
from shared.db import Transaction

BY_ID = """
    SELECT id, order_id, customer_id, status, version, currency, amount, authorized_amount,
        captured_amount, refunded_amount, refunding_amount, decline_code, confirm_until,
        created_at, updated_at
    FROM payments.payments
    WHERE id = %(id)s
"""
LISTED = sql.SQL("""
    SELECT id, order_id, customer_id, status, version, currency, amount, authorized_amount,
        captured_amount, refunded_amount, refunding_amount, decline_code, confirm_until,
        created_at, updated_at
    FROM payments.payments
    WHERE {conditions}
    ORDER BY created_at DESC, id DESC
    LIMIT %(limit)s
""")
EVERY = sql.SQL("true")
CONDITIONS = {
    "customer_id": sql.SQL("customer_id = %(customer_id)s"),
    "order_id": sql.SQL("order_id = %(order_id)s"),
    "status": sql.SQL("status = %(status)s"),
    "created_from": sql.SQL("created_at >= %(created_from)s"),
    "created_to": sql.SQL("created_at < %(created_to)s"),
    "before": sql.SQL("(created_at, id) < (%(before_time)s, %(before_id)s)"),
}

REFUND_BY_ID = """
    SELECT r.id, r.payment_id, r.amount, p.currency, r.status, r.reason, r.requested_at,
        r.settled_at
    FROM payments.refunds AS r
    JOIN payments.payments AS p ON p.id = r.payment_id
    WHERE r.id = %(id)s
"""
# The words that the timeline uses. What has no word for customers is told to employees as it is.
HISTORY = """
    SELECT
        coalesce(t.answered_at, t.sent_at) AS at,
        coalesce(told.kind, t.kind || '_' || t.outcome) AS kind,
        t.amount,
        t.code AS detail,
        told.kind IS NOT NULL AS public
    FROM payments.payment_transactions AS t
    JOIN payments.payments AS p ON p.id = t.payment_id
    LEFT JOIN (
        VALUES
            ('authorize', 'succeeded', 'authorised'),
            ('authorize', 'requires_action', 'confirmation_required'),
            ('authorize', 'declined', 'declined'),
            ('authorize', 'refused', 'declined'),
            ('confirm', 'succeeded', 'authorised'),
            ('confirm', 'declined', 'declined'),
            ('capture', 'succeeded', 'captured'),
            ('void', 'succeeded', 'voided'),
            ('refund', 'succeeded', 'refunded')
    ) AS told (transaction_kind, outcome, kind)
        ON told.transaction_kind = t.kind AND told.outcome = t.outcome
    WHERE p.order_id = %(order_id)s
    ORDER BY 1, t.id
    LIMIT 1000
"""


async def by_id(tx: Transaction, payment_id: UUID) -> Payment | None:
    """The payment; None if there is none."""
    async with tx.cursor(row_factory=class_row(Payment)) as cursor:
        return await (await cursor.execute(BY_ID, {"id": payment_id})).fetchone()


async def listed(
    tx: Transaction,
    *,
    filters: dict[str, Any],
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Payment]:
    """Payments that pass every filter that is not None, newest first, from after `before`.

    `filters` takes the names in CONDITIONS.
    """
    given: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    conditions = [CONDITIONS[name] for name in given]
    if before is not None:
        conditions.append(CONDITIONS["before"])
        given["before_time"], given["before_id"] = before
    query = LISTED.format(conditions=sql.SQL(" AND ").join(conditions) if conditions else EVERY)
    async with tx.cursor(row_factory=class_row(Payment)) as cursor:
        await cursor.execute(query, {**given, "limit": limit})
        return await cursor.fetchall()


async def refund_by_id(tx: Transaction, refund_id: UUID) -> Refund | None:
    """The refund; None if there is none."""
    async with tx.cursor(row_factory=class_row(Refund)) as cursor:
        return await (await cursor.execute(REFUND_BY_ID, {"id": refund_id})).fetchone()


async def history(tx: Transaction, order_id: UUID) -> Sequence[HistoryEntry]:
    """What happened to the order's payment, oldest first."""
    async with tx.cursor(row_factory=class_row(HistoryEntry)) as cursor:
        await cursor.execute(HISTORY, {"order_id": order_id})
        return await cursor.fetchall()
