"""Moving an order from status to status, and the history of its moves: schema `orders`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from blueprints.orders.fulfilment_models import Standing
from blueprints.orders.models import CancelCause, Status
from shared.db import Transaction

LOCKED = """
    SELECT id, customer_id, status, version, cancelled_from
    FROM orders.orders
    WHERE id = %(id)s
    FOR NO KEY UPDATE
"""
STANDING = """
    SELECT id, customer_id, status, version, cancelled_from
    FROM orders.orders
    WHERE id = %(id)s
"""
# Each move is one statement with its entry in the history; a move whose order was not in
# `from_status` any more changes nothing and returns no row.
MOVE = """
    WITH moved AS (
        UPDATE orders.orders
        SET status = %(to_status)s, version = version + 1, updated_at = clock_timestamp()
        WHERE id = %(id)s AND status = %(from_status)s
        RETURNING id, version
    ), noted AS (
        INSERT INTO orders.order_status_history (
            order_id, from_status, to_status, actor_kind, actor_id, reason
        )
        SELECT id, %(from_status)s, %(to_status)s, %(actor_kind)s, %(actor_id)s, %(reason)s
        FROM moved
    )
    SELECT version FROM moved
"""
INTEND_TO_CANCEL = """
    UPDATE orders.orders
    SET cancelled_from = %(from_status)s, cancel_requested_at = clock_timestamp(),
        cancel_requested_by = %(actor_id)s, cancel_reason = 'cancel_requested',
        cancel_cause = %(cause)s
    WHERE id = %(id)s
"""
# A person's intent outlives the saga's own reason: it came first, or it is why the saga stopped.
CANCELLED = """
    UPDATE orders.orders
    SET cancelled_at = clock_timestamp(), cancel_reason = coalesce(cancel_reason, %(reason)s)
    WHERE id = %(id)s
"""
STUCK = """
    UPDATE orders.orders
    SET stuck_undos = %(undos)s
    WHERE id = %(id)s
"""
HISTORY = """
    SELECT at, from_status, to_status, actor_kind, reason
    FROM orders.order_status_history
    WHERE order_id = %(id)s
    ORDER BY id
    LIMIT 1000
"""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who moves an order; the saga has no id."""

    kind: Literal["client", "employee", "saga"]
    id: UUID | None = None


SAGA = Actor("saga")


@dataclass(frozen=True, slots=True)
class Move:
    """An entry of the history; the first one comes from nowhere."""

    at: datetime
    from_status: Status | None
    to_status: Status
    actor_kind: Literal["client", "employee", "saga"]
    reason: str | None


async def locked(tx: Transaction, order_id: UUID) -> Standing | None:
    """Where the order is, held until `tx` ends: no move happens beside ours. None if unknown."""
    async with tx.cursor(row_factory=class_row(Standing)) as cursor:
        return await (await cursor.execute(LOCKED, {"id": order_id})).fetchone()


async def standing(tx: Transaction, order_id: UUID) -> Standing | None:
    """Where the order was a moment ago. None if unknown."""
    async with tx.cursor(row_factory=class_row(Standing)) as cursor:
        return await (await cursor.execute(STANDING, {"id": order_id})).fetchone()


async def move(
    tx: Transaction,
    order_id: UUID,
    *,
    from_status: Status,
    to_status: Status,
    actor: Actor,
    reason: str | None,
) -> int | None:
    """The order's new version, or None if it was not in `from_status` (then nothing changed)."""
    moved = await tx.execute(
        MOVE,
        {
            "id": order_id,
            "from_status": from_status,
            "to_status": to_status,
            "actor_kind": actor.kind,
            "actor_id": actor.id,
            "reason": reason,
        },
    )
    row = await moved.fetchone()
    return None if row is None else row[0]


async def intend_to_cancel(
    tx: Transaction, order_id: UUID, *, from_status: Status, by: UUID, cause: CancelCause
) -> None:
    """Write down who wants the order called off and why. Comes before the move to cancelling."""
    await tx.execute(
        INTEND_TO_CANCEL,
        {"id": order_id, "from_status": from_status, "actor_id": by, "cause": cause},
    )


async def note_cancelled(tx: Transaction, order_id: UUID, *, reason: str) -> None:
    """Write down when and why it was over. Comes before the move to cancelled."""
    await tx.execute(CANCELLED, {"id": order_id, "reason": reason})


async def note_stuck(tx: Transaction, order_id: UUID, *, undos: Sequence[str]) -> None:
    """Write down what could not be undone. Comes before the move to stuck."""
    await tx.execute(STUCK, {"id": order_id, "undos": list(undos)})


async def history(tx: Transaction, order_id: UUID) -> Sequence[Move]:
    """The order's moves, oldest first."""
    async with tx.cursor(row_factory=class_row(Move)) as cursor:
        await cursor.execute(HISTORY, {"id": order_id})
        return await cursor.fetchall()
