"""Our conversations with the gateway, one row per idempotency key: schema `payments`."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from blueprints.payments.models import Outcome, TransactionKind
from shared.db import Transaction

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
HAS_OPEN = """
    SELECT true
    FROM payments.payment_transactions
    WHERE payment_id = %(payment_id)s AND kind = %(kind)s AND outcome IN ('sent', 'unknown')
    LIMIT 1
"""
IS_ASKING = """
    SELECT true
    FROM payments.payment_transactions
    WHERE payment_id = %(payment_id)s AND outcome = 'sent' AND sent_at >= now() - %(patience)s
    LIMIT 1
"""
OPEN_BEFORE = """
    SELECT p.order_id
    FROM payments.payment_transactions AS t
    JOIN payments.payments AS p ON p.id = t.payment_id
    WHERE t.outcome IN ('sent', 'unknown') AND t.sent_at < now() - %(age)s
    ORDER BY t.sent_at
    LIMIT %(limit)s
"""


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


async def unanswered(tx: Transaction, key: str) -> None:
    """Write down that no answer came."""
    await tx.execute(UNANSWERED, {"key": key})


async def has_open(tx: Transaction, payment_id: UUID, kind: TransactionKind) -> bool:
    """Whether the gateway was asked this and the answer is not known."""
    cursor = await tx.execute(HAS_OPEN, {"payment_id": payment_id, "kind": kind})
    return await cursor.fetchone() is not None


async def is_asking(tx: Transaction, payment_id: UUID, patience: timedelta) -> bool:
    """Whether the gateway was asked something at most that long ago and may still answer."""
    cursor = await tx.execute(IS_ASKING, {"payment_id": payment_id, "patience": patience})
    return await cursor.fetchone() is not None


async def open_before(tx: Transaction, *, age: timedelta, limit: int) -> Sequence[UUID]:
    """Orders about whose money a question has been open for longer than `age`, oldest first."""
    cursor = await tx.execute(OPEN_BEFORE, {"age": age, "limit": limit})
    return [row[0] for row in await cursor.fetchall()]
