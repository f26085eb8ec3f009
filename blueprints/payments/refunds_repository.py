"""Refunds: money set aside to go back, then gone back or not: schema `payments`."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from psycopg.rows import class_row
from uuid_utils.compat import uuid7

from blueprints.payments.models import PendingRefund
from shared.db import Transaction

# The condition, and the CHECK behind it, keep the sum of all refunds within what was captured.
SET_ASIDE = """
    UPDATE payments.payments
    SET refunding_amount = refunding_amount + %(amount)s::bigint, version = version + 1,
        updated_at = clock_timestamp()
    WHERE id = %(payment_id)s
        AND status IN ('captured', 'partially_refunded')
        AND captured_amount - refunded_amount - refunding_amount >= %(amount)s::bigint
"""
REQUEST = """
    INSERT INTO payments.refunds (id, payment_id, amount, reason, requested_by)
    VALUES (%(id)s, %(payment_id)s, %(amount)s::bigint, %(reason)s, %(requested_by)s)
"""
SUCCEEDED = """
    WITH settled AS (
        UPDATE payments.refunds
        SET status = 'succeeded', gateway_id = %(gateway_id)s, settled_at = clock_timestamp()
        WHERE id = %(id)s AND status = 'pending'
        RETURNING payment_id, amount
    )
    UPDATE payments.payments AS p
    SET refunding_amount = p.refunding_amount - settled.amount,
        refunded_amount = p.refunded_amount + settled.amount,
        status = CASE
            WHEN p.refunded_amount + settled.amount = p.captured_amount THEN 'refunded'
            ELSE 'partially_refunded'
        END,
        version = p.version + 1,
        updated_at = clock_timestamp()
    FROM settled
    WHERE p.id = settled.payment_id
"""
FAILED = """
    WITH settled AS (
        UPDATE payments.refunds
        SET status = 'failed', settled_at = clock_timestamp()
        WHERE id = %(id)s AND status = 'pending'
        RETURNING payment_id, amount
    )
    UPDATE payments.payments AS p
    SET refunding_amount = p.refunding_amount - settled.amount, version = p.version + 1,
        updated_at = clock_timestamp()
    FROM settled
    WHERE p.id = settled.payment_id
"""
PENDING_OF = """
    SELECT r.id, r.payment_id, p.order_id, r.amount, p.gateway_id AS gateway_payment_id
    FROM payments.refunds AS r
    JOIN payments.payments AS p ON p.id = r.payment_id
    WHERE r.payment_id = %(payment_id)s AND r.status = 'pending'
    ORDER BY r.requested_at, r.id
    LIMIT 1
"""
BY_ID = """
    SELECT r.id, r.payment_id, p.order_id, r.amount, p.gateway_id AS gateway_payment_id
    FROM payments.refunds AS r
    JOIN payments.payments AS p ON p.id = r.payment_id
    WHERE r.id = %(id)s
"""
PENDING_BEFORE = """
    SELECT r.id, r.payment_id, p.order_id, r.amount, p.gateway_id AS gateway_payment_id
    FROM payments.refunds AS r
    JOIN payments.payments AS p ON p.id = r.payment_id
    WHERE r.status = 'pending' AND r.requested_at < now() - %(age)s
    ORDER BY r.requested_at
    LIMIT %(limit)s
"""
AMOUNT = """
    SELECT amount
    FROM payments.refunds
    WHERE id = %(id)s
"""


async def request(
    tx: Transaction, payment_id: UUID, *, amount: int, reason: str, requested_by: UUID | None
) -> PendingRefund | None:
    """Set `amount` aside as a refund of its own; None if that much is not left."""
    aside = await tx.execute(SET_ASIDE, {"payment_id": payment_id, "amount": amount})
    if aside.rowcount != 1:
        return None
    refund_id = uuid7()
    await tx.execute(
        REQUEST,
        {
            "id": refund_id,
            "payment_id": payment_id,
            "amount": amount,
            "reason": reason,
            "requested_by": requested_by,
        },
    )
    async with tx.cursor(row_factory=class_row(PendingRefund)) as cursor:
        return await (await cursor.execute(BY_ID, {"id": refund_id})).fetchone()


async def succeeded(tx: Transaction, refund_id: UUID, gateway_id: str) -> bool:
    """Whether this settled the refund: the money has gone back."""
    done = await tx.execute(SUCCEEDED, {"id": refund_id, "gateway_id": gateway_id})
    return done.rowcount == 1


async def failed(tx: Transaction, refund_id: UUID) -> bool:
    """Whether this settled the refund: the money stays and can be refunded anew."""
    return (await tx.execute(FAILED, {"id": refund_id})).rowcount == 1


async def pending_of(tx: Transaction, payment_id: UUID) -> PendingRefund | None:
    """The payment's oldest refund without an outcome; None if there is none."""
    async with tx.cursor(row_factory=class_row(PendingRefund)) as cursor:
        return await (await cursor.execute(PENDING_OF, {"payment_id": payment_id})).fetchone()


async def pending_before(tx: Transaction, *, age: timedelta, limit: int) -> Sequence[PendingRefund]:
    """Refunds that have been without an outcome longer than `age`, oldest first."""
    async with tx.cursor(row_factory=class_row(PendingRefund)) as cursor:
        await cursor.execute(PENDING_BEFORE, {"age": age, "limit": limit})
        return await cursor.fetchall()


async def amount(tx: Transaction, refund_id: UUID) -> int | None:
    """How much goes or went back with the refund, in minor units; None if there is none."""
    row = await (await tx.execute(AMOUNT, {"id": refund_id})).fetchone()
    return None if row is None else int(row[0])
