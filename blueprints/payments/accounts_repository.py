"""Payments and their conversations with the gateway, as the steps write them: schema `payments`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row
from uuid_utils.compat import uuid7

from blueprints.payments.models import Account, Fulfilment
from shared.db import Transaction

OPEN = """
    INSERT INTO payments.payments (id, order_id, customer_id, currency, amount, payment_method)
    VALUES (
        %(id)s, %(order_id)s, %(customer_id)s, %(currency)s, %(amount)s::bigint,
        %(payment_method)s
    )
    ON CONFLICT (order_id) DO NOTHING
"""
# The usual case in one round trip: a new payment and the question about it.
OPEN_AND_ASK = """
    WITH opened AS (
        INSERT INTO payments.payments (id, order_id, customer_id, currency, amount, payment_method)
        VALUES (
            %(id)s, %(order_id)s, %(customer_id)s, %(currency)s, %(amount)s::bigint,
            %(payment_method)s
        )
        ON CONFLICT (order_id) DO NOTHING
        RETURNING id, order_id, customer_id, status, currency, amount, authorized_amount,
            captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
            decline_code, confirm_until
    ), asked AS (
        INSERT INTO payments.payment_transactions (id, payment_id, kind, idempotency_key, amount)
        SELECT %(transaction_id)s, id, 'authorize', %(key)s, amount
        FROM opened
    )
    SELECT id, order_id, customer_id, status, currency, amount, authorized_amount,
        captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
        decline_code, confirm_until
    FROM opened
"""
# The same for a capture. No lock: whoever lets the money go at the same time asks the gateway too,
# and the gateway knows who came first.
ASK_TO_CAPTURE = """
    WITH account AS (
        SELECT id, order_id, customer_id, status, currency, amount, authorized_amount,
            captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
            decline_code, confirm_until
        FROM payments.payments
        WHERE order_id = %(order_id)s
    ), asked AS (
        INSERT INTO payments.payment_transactions (id, payment_id, kind, idempotency_key, amount)
        SELECT %(transaction_id)s, id, 'capture', %(key)s, authorized_amount
        FROM account
        WHERE status = 'authorized'
        ON CONFLICT (idempotency_key) DO NOTHING
    )
    SELECT id, order_id, customer_id, status, currency, amount, authorized_amount,
        captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
        decline_code, confirm_until
    FROM account
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
UNKNOWN = """
    UPDATE payments.payments
    SET status = 'unknown', version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status = 'pending'
"""
# Each move names the statuses that it may leave: whoever comes second changes nothing.
# The conversation is closed with the move, and after it: the payment's row is locked first, always.
AUTHORISED = """
    WITH moved AS (
        UPDATE payments.payments
        SET status = 'authorized', authorized_amount = amount, gateway_id = %(gateway_id)s,
            version = version + 1, updated_at = clock_timestamp()
        WHERE id = %(id)s AND status IN ('pending', 'unknown', 'requires_action')
        RETURNING id, order_id, customer_id, status, currency, amount, authorized_amount,
            captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
            decline_code, confirm_until
    ), answered AS (
        UPDATE payments.payment_transactions
        SET outcome = 'succeeded', gateway_reference = %(gateway_id)s,
            answered_at = clock_timestamp()
        WHERE payment_id = %(id)s
            AND kind IN ('authorize', 'confirm')
            AND outcome IN ('sent', 'unknown')
            AND (SELECT count(*) FROM moved) >= 0
    )
    SELECT id, order_id, customer_id, status, currency, amount, authorized_amount,
        captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
        decline_code, confirm_until
    FROM moved
"""
REQUIRES_ACTION = """
    UPDATE payments.payments
    SET status = 'requires_action', gateway_id = %(gateway_id)s,
        confirm_until = clock_timestamp() + %(window)s,
        version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status IN ('pending', 'unknown')
    RETURNING true
"""
FAILED = """
    UPDATE payments.payments
    SET status = 'failed', decline_code = %(decline_code)s,
        gateway_id = coalesce(%(gateway_id)s, gateway_id),
        version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status IN ('pending', 'unknown', 'requires_action')
    RETURNING true
"""
CAPTURED = """
    WITH moved AS (
        UPDATE payments.payments
        SET status = 'captured', captured_amount = %(amount)s::bigint,
            version = version + 1, updated_at = clock_timestamp()
        WHERE id = %(id)s AND status = 'authorized'
        RETURNING id, order_id, customer_id, status, currency, amount, authorized_amount,
            captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
            decline_code, confirm_until
    ), answered AS (
        UPDATE payments.payment_transactions
        SET outcome = 'succeeded', gateway_reference = %(gateway_id)s,
            answered_at = clock_timestamp()
        WHERE payment_id = %(id)s
            AND kind = 'capture'
            AND outcome IN ('sent', 'unknown')
            AND (SELECT count(*) FROM moved) >= 0
    )
    SELECT id, order_id, customer_id, status, currency, amount, authorized_amount,
        captured_amount, refunded_amount, refunding_amount, payment_method, gateway_id,
        decline_code, confirm_until
    FROM moved
"""
VOIDED = """
    UPDATE payments.payments
    SET status = 'voided', version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(id)s AND status IN ('pending', 'unknown', 'requires_action', 'authorized')
    RETURNING true
"""
UNSETTLED_BEFORE = """
    SELECT order_id
    FROM payments.payments
    WHERE status IN ('pending', 'unknown', 'requires_action', 'authorized')
        AND updated_at < now() - %(age)s
    ORDER BY updated_at
    LIMIT %(limit)s
"""


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


async def open_and_ask(
    tx: Transaction, order_id: UUID, order: Fulfilment, key: str
) -> Account | None:
    """The order's new payment, about to be authorised under `key`; None if it has one already."""
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(
            OPEN_AND_ASK,
            {
                "id": uuid7(),
                "order_id": order_id,
                "customer_id": order.customer_id,
                "currency": order.currency,
                "amount": order.gross_total,
                "payment_method": order.payment_method,
                "transaction_id": uuid7(),
                "key": key,
            },
        )
        return await cursor.fetchone()


async def ask_to_capture(tx: Transaction, order_id: UUID, key: str) -> Account | None:
    """The order's payment, about to be captured under `key` if it is authorized; None if none."""
    names = {"order_id": order_id, "transaction_id": uuid7(), "key": key}
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(ASK_TO_CAPTURE, names)
        return await cursor.fetchone()


async def locked(tx: Transaction, order_id: UUID) -> Account | None:
    """The order's payment, held until `tx` ends; None if it has none."""
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        return await (await cursor.execute(LOCKED, {"order_id": order_id})).fetchone()


async def locked_by_id(tx: Transaction, payment_id: UUID) -> Account | None:
    """The payment, held until `tx` ends; None if there is none."""
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        return await (await cursor.execute(LOCKED_BY_ID, {"id": payment_id})).fetchone()


async def unknown(tx: Transaction, payment_id: UUID) -> None:
    """Nobody knows whether the payment exists at the gateway; changes nothing if that is known."""
    await tx.execute(UNKNOWN, {"id": payment_id})


async def authorised(tx: Transaction, payment_id: UUID, gateway_id: str) -> Account | None:
    """The payment if this made it `authorized`; open questions about that are answered anyway."""
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(AUTHORISED, {"id": payment_id, "gateway_id": gateway_id})
        return await cursor.fetchone()


async def requires_action(
    tx: Transaction, payment_id: UUID, gateway_id: str, window: timedelta
) -> bool:
    """Whether this made the payment wait for its customer, for `window` from now."""
    names = {"id": payment_id, "gateway_id": gateway_id, "window": window}
    return await (await tx.execute(REQUIRES_ACTION, names)).fetchone() is not None


async def failed(
    tx: Transaction, payment_id: UUID, decline_code: str, gateway_id: str | None
) -> bool:
    """Whether this made the payment `failed`."""
    names = {"id": payment_id, "decline_code": decline_code, "gateway_id": gateway_id}
    return await (await tx.execute(FAILED, names)).fetchone() is not None


async def captured(
    tx: Transaction, payment_id: UUID, gateway_id: str, amount: int
) -> Account | None:
    """The payment if this made it `captured`; open questions about that are answered anyway."""
    names = {"id": payment_id, "gateway_id": gateway_id, "amount": amount}
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(CAPTURED, names)
        return await cursor.fetchone()


async def voided(tx: Transaction, payment_id: UUID) -> bool:
    """Whether this made the payment `voided`."""
    return await (await tx.execute(VOIDED, {"id": payment_id})).fetchone() is not None


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
