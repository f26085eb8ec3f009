"""Payments and their conversations with the gateway, as the steps write them: schema `payments`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row
from uuid_utils.compat import uuid7

from blueprints.payments.models import Account, Fulfilment, Outcome, TransactionKind
from shared.db import Transaction

OPEN = """
    INSERT INTO payments.payments (id, order_id, customer_id, currency, amount, payment_method)
    VALUES (
        %(id)s, %(order_id)s, %(customer_id)s, %(currency)s, %(amount)s::bigint,
        %(payment_method)s
    )
    ON CONFLICT (order_id) DO NOTHING
"""
LOCKED = """
    SELECT id, order_id, customer_id, status, currency, amount, authorized_amount,
        captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
        decline_code, confirm_until
    FROM payments.payments
    WHERE order_id = %(order_id)s
    FOR NO KEY UPDATE
"""
LOCKED_BY_ID = """
    SELECT id, order_id, customer_id, status, currency, amount, authorized_amount,
        captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
        decline_code, confirm_until
    FROM payments.payments
    WHERE id = %(id)s
    FOR NO KEY UPDATE
"""
# A key that was sent before keeps its row: the same conversation goes on.
SEND = """
    INSERT INTO payments.payment_transactions (
        id, payment_id, refund_id, kind, idempotency_key, amount
    )
    VALUES (
        %(id)s, %(payment_id)s, %(refund_id)s, %(kind)s, %(key)s, %(amount)s::bigint
    )
    ON CONFLICT (idempotency_key) DO NOTHING
"""
ANSWER = """
    UPDATE payments.payment_transactions
    SET outcome = %(outcome)s, code = %(code)s, gateway_reference = %(reference)s,
        answered_at = clock_timestamp()
    WHERE idempotency_key = %(key)s AND outcome IN ('sent', 'unknown')
"""
ANSWER_OPEN = """
    UPDATE payments.payment_transactions
    SET outcome = %(outcome)s, code = %(code)s, gateway_reference = %(reference)s,
        answered_at = clock_timestamp()
    WHERE payment_id = %(payment_id)s AND kind = ANY(%(kinds)s) AND outcome IN ('sent', 'unknown')
"""
UNANSWERED = """
    UPDATE payments.payment_transactions
    SET outcome = 'unknown'
    WHERE idempotency_key = %(key)s AND outcome = 'sent'
"""
UNKNOWN = """
    UPDATE payments.payments
    SET status = 'unknown', version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status = 'pending'
"""
HAS_OPEN = """
    SELECT true
    FROM payments.payment_transactions
    WHERE payment_id = %(payment_id)s AND kind = %(kind)s AND outcome IN ('sent', 'unknown')
    LIMIT 1
"""
# Each move names the statuses that it may leave: whoever comes second changes nothing.
AUTHORISED = """
    UPDATE payments.payments
    SET status = 'authorized', authorized_amount = amount, gateway_id = %(gateway_id)s,
        version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status IN ('pending', 'unknown', 'requires_action')
"""
REQUIRES_ACTION = """
    UPDATE payments.payments
    SET status = 'requires_action', gateway_id = %(gateway_id)s,
        confirm_until = clock_timestamp() + %(window)s,
        version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status IN ('pending', 'unknown')
"""
FAILED = """
    UPDATE payments.payments
    SET status = 'failed', decline_code = %(decline_code)s,
        gateway_id = coalesce(%(gateway_id)s, gateway_id),
        version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status IN ('pending', 'unknown', 'requires_action')
"""
CAPTURED = """
    UPDATE payments.payments
    SET status = 'captured', captured_amount = %(amount)s::bigint,
        version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status = 'authorized'
"""
VOIDED = """
    UPDATE payments.payments
    SET status = 'voided', version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status IN ('pending', 'unknown', 'requires_action', 'authorized')
"""
OPEN_BEFORE = """
    SELECT DISTINCT ON (t.payment_id) p.order_id, t.kind
    FROM payments.payment_transactions AS t
    JOIN payments.payments AS p ON p.id = t.payment_id
    WHERE t.outcome IN ('sent', 'unknown') AND t.sent_at < now() - %(age)s
    ORDER BY t.payment_id, t.sent_at
    LIMIT %(limit)s
"""
UNSETTLED_BEFORE = """
    SELECT order_id
    FROM payments.payments
    WHERE status IN ('pending', 'unknown', 'requires_action', 'authorized')
        AND updated_at < now() - %(age)s
    ORDER BY updated_at
    LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class OpenConversation:
    """The oldest thing about an order's payment that the gateway has not answered."""

    order_id: UUID
    kind: TransactionKind


async def open_account(tx: Transaction, order_id: UUID, order: Fulfilment) -> None:
    """See to it that the order has a payment."""
    await tx.execute(
        OPEN,
        {
            "id": uuid7(),
            "order_id": order_id,
            "customer_id": order.customer_id,
            "currency": order.currency,
            "amount": order.gross_total,
            "payment_method": order.payment_method,
        },
    )


async def locked(tx: Transaction, order_id: UUID) -> Account | None:
    """The order's payment, held until `tx` ends; None if it has none."""
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        return await (await cursor.execute(LOCKED, {"order_id": order_id})).fetchone()


async def locked_by_id(tx: Transaction, payment_id: UUID) -> Account | None:
    """The payment, held until `tx` ends; None if there is none."""
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        return await (await cursor.execute(LOCKED_BY_ID, {"id": payment_id})).fetchone()


async def send(
    tx: Transaction,
    payment_id: UUID,
    kind: TransactionKind,
    key: str,
    amount: int,
    *,
    refund_id: UUID | None = None,
) -> None:
    """Write down that the gateway is about to be asked under `key`."""
    await tx.execute(
        SEND,
        {
            "id": uuid7(),
            "payment_id": payment_id,
            "refund_id": refund_id,
            "kind": kind,
            "key": key,
            "amount": amount,
        },
    )


async def answer(
    tx: Transaction, key: str, outcome: Outcome, *, reference: str | None = None, code: str | None
) -> None:
    """Write down what the gateway said under `key`, unless that is known already."""
    await tx.execute(ANSWER, {"key": key, "outcome": outcome, "code": code, "reference": reference})


async def answer_open(
    tx: Transaction,
    payment_id: UUID,
    kinds: Sequence[TransactionKind],
    outcome: Outcome,
    *,
    reference: str | None = None,
    code: str | None = None,
) -> None:
    """The same for every question of these kinds that is still open."""
    await tx.execute(
        ANSWER_OPEN,
        {
            "payment_id": payment_id,
            "kinds": list(kinds),
            "outcome": outcome,
            "code": code,
            "reference": reference,
        },
    )


async def note_unanswered(tx: Transaction, payment_id: UUID, key: str) -> None:
    """Write down that no answer came; a payment that was not known to exist is `unknown` now."""
    await tx.execute(UNANSWERED, {"key": key})
    await tx.execute(UNKNOWN, {"id": payment_id})


async def has_open(tx: Transaction, payment_id: UUID, kind: TransactionKind) -> bool:
    """Whether the gateway was asked this and the answer is not known."""
    cursor = await tx.execute(HAS_OPEN, {"payment_id": payment_id, "kind": kind})
    return await cursor.fetchone() is not None


async def authorised(tx: Transaction, payment_id: UUID, gateway_id: str) -> bool:
    """Whether this made the payment `authorized`."""
    done = await tx.execute(AUTHORISED, {"id": payment_id, "gateway_id": gateway_id})
    return done.rowcount == 1


async def requires_action(
    tx: Transaction, payment_id: UUID, gateway_id: str, window: timedelta
) -> bool:
    """Whether this made the payment wait for its customer, for `window` from now."""
    names = {"id": payment_id, "gateway_id": gateway_id, "window": window}
    return (await tx.execute(REQUIRES_ACTION, names)).rowcount == 1


async def failed(
    tx: Transaction, payment_id: UUID, decline_code: str, gateway_id: str | None
) -> bool:
    """Whether this made the payment `failed`."""
    names = {"id": payment_id, "decline_code": decline_code, "gateway_id": gateway_id}
    return (await tx.execute(FAILED, names)).rowcount == 1


async def captured(tx: Transaction, payment_id: UUID, amount: int) -> bool:
    """Whether this made the payment `captured`."""
    done = await tx.execute(CAPTURED, {"id": payment_id, "amount": amount})
    return done.rowcount == 1


async def voided(tx: Transaction, payment_id: UUID) -> bool:
    """Whether this made the payment `voided`."""
    return (await tx.execute(VOIDED, {"id": payment_id})).rowcount == 1


async def open_before(tx: Transaction, *, age: timedelta, limit: int) -> Sequence[OpenConversation]:
    """What has been waiting for an answer longer than `age`: one per payment."""
    async with tx.cursor(row_factory=class_row(OpenConversation)) as cursor:
        await cursor.execute(OPEN_BEFORE, {"age": age, "limit": limit})
        return await cursor.fetchall()


async def unsettled_before(tx: Transaction, *, age: timedelta, limit: int) -> Sequence[UUID]:
    """Orders whose money has been in between for longer than `age`, longest first."""
    cursor = await tx.execute(UNSETTLED_BEFORE, {"age": age, "limit": limit})
    return [row[0] for row in await cursor.fetchall()]


async def now(tx: Transaction) -> datetime:
    """The database's clock, which the deadlines are written by."""
    row = await (await tx.execute("SELECT clock_timestamp()")).fetchone()
    assert row is not None
    instant: datetime = row[0]
    return instant
