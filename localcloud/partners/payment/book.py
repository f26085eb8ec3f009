"""The gateway's book: every payment, the moves it may still make, and the money in each state."""

import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any

from localcloud.partners.payment.models import (
    CONFIRMATION_CODE,
    METHODS,
    Authorize,
    Capture,
    Confirm,
    Refund,
    Status,
    Void,
)
from localcloud.partners.store import Answer, JsonObject, Store, now, once, record
from localcloud.partners.web import Refused, fingerprint
from localcloud.partners.webhooks import Webhooks

SCHEMA = """
    CREATE TABLE IF NOT EXISTS payments (
        id TEXT PRIMARY KEY,
        reference TEXT NOT NULL,
        status TEXT NOT NULL CHECK (
            status IN ('authorized', 'declined', 'requires_action', 'captured', 'voided')
        ),
        amount INTEGER NOT NULL CHECK (amount > 0),
        currency TEXT NOT NULL,
        payment_method TEXT NOT NULL,
        captured_amount INTEGER NOT NULL DEFAULT 0
            CHECK (captured_amount BETWEEN 0 AND amount),
        refunded_amount INTEGER NOT NULL DEFAULT 0
            CHECK (refunded_amount BETWEEN 0 AND captured_amount),
        decline_code TEXT,
        created_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS payments_by_reference ON payments (reference, created_at);
    CREATE TABLE IF NOT EXISTS refunds (
        id TEXT PRIMARY KEY,
        payment_id TEXT NOT NULL REFERENCES payments (id),
        amount INTEGER NOT NULL CHECK (amount > 0),
        reason TEXT,
        created_at TEXT NOT NULL
    ) STRICT;
"""
INSERT = """
    INSERT INTO payments (
        id, reference, status, amount, currency, payment_method, decline_code, created_at
    )
    VALUES (
        :id, :reference, :status, :amount, :currency, :payment_method, :decline_code, :created_at
    )
"""
BY_ID = """
    SELECT id, reference, status, amount, currency, payment_method, captured_amount,
        refunded_amount, decline_code
    FROM payments
    WHERE id = :id
"""
BY_REFERENCE = """
    SELECT id, reference, status, amount, currency, payment_method, captured_amount,
        refunded_amount, decline_code
    FROM payments
    WHERE reference = :reference
    ORDER BY created_at, id
    LIMIT 100
"""
MOVE = """
    UPDATE payments
    SET status = :status,
        decline_code = :decline_code,
        captured_amount = captured_amount + :captured
    WHERE id = :id
"""
ADD_REFUNDED = """
    UPDATE payments
    SET refunded_amount = refunded_amount + :amount
    WHERE id = :id
"""
INSERT_REFUND = """
    INSERT INTO refunds (id, payment_id, amount, reason, created_at)
    VALUES (:id, :payment_id, :amount, :reason, :created_at)
"""

LEGAL_FROM: Mapping[str, frozenset[Status]] = {
    "confirm": frozenset({"requires_action"}),
    "capture": frozenset({"authorized"}),
    "void": frozenset({"authorized", "requires_action"}),
    "refund": frozenset({"captured"}),
}


def described(row: sqlite3.Row) -> JsonObject:
    """A payment as the gateway shows it."""
    payment: JsonObject = {
        "id": row["id"],
        "reference": row["reference"],
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "captured_amount": row["captured_amount"],
        "refunded_amount": row["refunded_amount"],
    }
    if row["decline_code"] is not None:
        payment["decline_code"] = row["decline_code"]
    if row["status"] == "requires_action":
        payment["confirmation"] = {"kind": "one_time_code"}
    return payment


class Book:
    """Each move is one transaction: payment, ledger entry and the answer kept under its key.

    Every move takes the idempotency key of its request and answers a repetition as the first
    time. Raises Refused (404, or 409 naming the state) and KeyReused; a refusal changes nothing.
    """

    def __init__(self, store: Store, webhooks: Webhooks) -> None:
        self._store, self._webhooks = store, webhooks

    def find(self, payment_id: str) -> sqlite3.Row:
        rows = self._store.rows(BY_ID, {"id": payment_id})
        if not rows:
            raise Refused(404, "not_found", "no such payment")
        return rows[0]

    def of_reference(self, reference: str) -> list[JsonObject]:
        """The payments of one reference, oldest first."""
        return [described(row) for row in self._store.rows(BY_REFERENCE, {"reference": reference})]

    def authorize(self, order: Authorize, key: str) -> Answer:
        """Hold the amount: authorized, declined or waiting for the customer's confirmation."""
        with self._store.transaction() as tx:

            def effect() -> tuple[int, JsonObject]:
                outcome = METHODS[order.payment_method]
                payment = {
                    "id": f"pay_{secrets.token_hex(12)}",
                    **order.model_dump(),
                    "status": outcome.status,
                    "decline_code": outcome.decline_code,
                    "created_at": now(),
                }
                tx.execute(INSERT, payment)
                row = _row(tx, payment["id"])
                self._enter(tx, "authorize", row, key, amount=order.amount)
                return 201, described(row)

            return once(tx, key, fingerprint("authorize", "", order), effect)

    def confirm(self, payment_id: str, order: Confirm, key: str) -> Answer:
        """Take the customer's code: the right one authorises, any other declines for good."""
        with self._store.transaction() as tx:

            def effect() -> tuple[int, JsonObject]:
                _legal(_row(tx, payment_id), "confirm")
                right = secrets.compare_digest(order.code.encode(), CONFIRMATION_CODE.encode())
                row = _move(
                    tx,
                    payment_id,
                    status="authorized" if right else "declined",
                    decline_code=None if right else "confirmation_failed",
                )
                self._enter(tx, "confirm", row, key, amount=row["amount"])
                return 200, described(row)

            return once(tx, key, fingerprint("confirm", payment_id, order), effect)

    def capture(self, payment_id: str, order: Capture, key: str) -> Answer:
        """Take the money, once, up to what is authorised; the rest is let go."""
        with self._store.transaction() as tx:

            def effect() -> tuple[int, JsonObject]:
                payment = _row(tx, payment_id)
                _legal(payment, "capture")
                if order.amount > payment["amount"]:
                    raise _too_much("authorized", payment["amount"], payment)
                row = _move(tx, payment_id, status="captured", captured=order.amount)
                self._enter(tx, "capture", row, key, amount=order.amount)
                return 200, described(row)

            return once(tx, key, fingerprint("capture", payment_id, order), effect)

    def void(self, payment_id: str, order: Void, key: str) -> Answer:
        """Let the held amount go; no money has moved."""
        with self._store.transaction() as tx:

            def effect() -> tuple[int, JsonObject]:
                _legal(_row(tx, payment_id), "void")
                row = _move(tx, payment_id, status="voided")
                self._enter(tx, "void", row, key, amount=row["amount"])
                return 200, described(row)

            return once(tx, key, fingerprint("void", payment_id, order), effect)

    def refund(self, payment_id: str, order: Refund, key: str) -> Answer:
        """Give back some of what was captured; all refunds together never more than that."""
        with self._store.transaction() as tx:

            def effect() -> tuple[int, JsonObject]:
                payment = _row(tx, payment_id)
                _legal(payment, "refund")
                left = payment["captured_amount"] - payment["refunded_amount"]
                if order.amount > left:
                    raise _too_much("captured", left, payment)
                refund = {
                    "id": f"ref_{secrets.token_hex(12)}",
                    "payment_id": payment_id,
                    **order.model_dump(),
                    "created_at": now(),
                }
                tx.execute(INSERT_REFUND, refund)
                tx.execute(ADD_REFUNDED, {"id": payment_id, "amount": order.amount})
                row = _row(tx, payment_id)
                self._enter(tx, "refund", row, key, amount=order.amount, refund_id=refund["id"])
                return 201, {
                    "id": refund["id"],
                    "payment_id": payment_id,
                    "amount": order.amount,
                    "status": "succeeded",
                }

            return once(tx, key, fingerprint("refund", payment_id, order), effect)

    def _enter(
        self,
        tx: sqlite3.Connection,
        operation: str,
        payment: sqlite3.Row,
        key: str,
        **facts: Any,
    ) -> None:
        """Enter the effect into the ledger, and tell of it."""
        if payment["decline_code"] is not None:
            facts["decline_code"] = payment["decline_code"]
        record(
            tx,
            operation,
            payment["reference"],
            payment_id=payment["id"],
            currency=payment["currency"],
            status=payment["status"],
            payment_method=payment["payment_method"],
            idempotency_key=key,
            **facts,
        )
        happened = "refunded" if operation == "refund" else payment["status"]
        self._webhooks.note(
            tx,
            f"payment.{happened}",
            payment["reference"],
            key,
            payment_id=payment["id"],
            amount=facts["amount"],
            currency=payment["currency"],
        )


def _row(tx: sqlite3.Connection, payment_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = tx.execute(BY_ID, {"id": payment_id}).fetchone()
    if row is None:
        raise Refused(404, "not_found", "no such payment")
    return row


def _legal(payment: sqlite3.Row, move: str) -> None:
    if payment["status"] not in LEGAL_FROM[move]:
        raise Refused(
            409,
            "illegal_state",
            f"cannot {move} a payment that is {payment['status']}",
            facts={"status": payment["status"]},
        )


def _too_much(of_what: str, limit: int, payment: sqlite3.Row) -> Refused:
    return Refused(
        409,
        f"amount_exceeds_{of_what}",
        f"at most {limit} {payment['currency']} minor units are left",
        facts={"status": payment["status"], "available": limit},
    )


def _move(
    tx: sqlite3.Connection,
    payment_id: str,
    *,
    status: Status,
    decline_code: str | None = None,
    captured: int = 0,
) -> sqlite3.Row:
    tx.execute(
        MOVE,
        {"id": payment_id, "status": status, "decline_code": decline_code, "captured": captured},
    )
    return _row(tx, payment_id)
