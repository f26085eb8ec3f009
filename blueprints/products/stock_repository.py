"""All SQL that keeps reserved stock for good, hands it over, and tells what happened to it."""

from datetime import datetime
from uuid import UUID

from psycopg.rows import scalar_row, tuple_row

from blueprints.products.models import MovementKind, StockEvent
from shared.db import Transaction

# Whether a line was held is asked of `locked`, which has it as it is now: the reservation may have
# been expired when the statement started, and taken anew while it waited.
COMMITTED = """
    WITH locked AS MATERIALIZED (
        SELECT
            r.product_id,
            r.status
        FROM products.reservations AS r
        WHERE r.order_id = %(order_id)s
        ORDER BY r.product_id
        FOR NO KEY UPDATE OF r
    ),
    committed AS (
        UPDATE products.reservations AS r
        SET status = 'committed',
            expires_at = NULL,
            updated_at = now()
        FROM locked AS l
        WHERE r.order_id = %(order_id)s
            AND r.product_id = l.product_id
            AND l.status = 'held'
        RETURNING r.product_id, r.quantity
    ),
    noted AS (
        INSERT INTO products.stock_movements (
            product_id, kind, order_id, quantity, on_hand_change, reserved_change
        )
        SELECT product_id, 'committed', %(order_id)s, quantity, 0, 0
        FROM committed
    )
    SELECT count(*) > 0 AND bool_and(l.status IN ('held', 'committed', 'fulfilled'))
    FROM locked AS l
"""


async def commit(tx: Transaction, order_id: UUID) -> bool:
    """Keep what the order holds for good; whether the order has its stock."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        return bool(await (await cursor.execute(COMMITTED, {"order_id": order_id})).fetchone())


LOCKED = """
    SELECT i.product_id
    FROM products.inventory AS i
    JOIN products.reservations AS r ON r.product_id = i.product_id
    WHERE r.order_id = %(order_id)s
    ORDER BY i.product_id
    FOR NO KEY UPDATE OF i
"""

# The ERP may have counted the goods as gone before this platform hears of it: on_hand stops at 0
# and the next count corrects it.
FULFILLED = """
    WITH open AS MATERIALIZED (
        SELECT r.product_id
        FROM products.reservations AS r
        WHERE r.order_id = %(order_id)s
            AND r.status = 'committed'
        ORDER BY r.product_id
        FOR NO KEY UPDATE OF r
    ),
    gone AS (
        UPDATE products.reservations AS r
        SET status = 'fulfilled',
            updated_at = now()
        FROM open AS o
        WHERE r.order_id = %(order_id)s
            AND r.product_id = o.product_id
        RETURNING r.product_id, r.quantity
    ),
    before AS MATERIALIZED (
        SELECT
            i.product_id,
            i.on_hand,
            g.quantity
        FROM products.inventory AS i
        JOIN gone AS g ON g.product_id = i.product_id
    ),
    counted AS (
        UPDATE products.inventory AS i
        SET on_hand = GREATEST(i.on_hand - b.quantity, 0),
            reserved = i.reserved - b.quantity,
            updated_at = now()
        FROM before AS b
        WHERE i.product_id = b.product_id
        RETURNING i.product_id, b.quantity, i.on_hand - b.on_hand AS on_hand_change
    )
    INSERT INTO products.stock_movements (
        product_id, kind, order_id, quantity, on_hand_change, reserved_change
    )
    SELECT product_id, 'fulfilled', %(order_id)s, quantity, on_hand_change, -quantity
    FROM counted
"""


async def fulfil(tx: Transaction, order_id: UUID) -> None:
    """The committed goods have left the warehouse; nothing if none are committed."""
    async with tx.cursor() as cursor:
        await cursor.execute(LOCKED, {"order_id": order_id})
        await cursor.execute(FULFILLED, {"order_id": order_id})


HISTORY = """
    SELECT
        m.at,
        m.kind,
        m.product_id,
        m.quantity
    FROM products.stock_movements AS m
    WHERE m.order_id = %(order_id)s
    ORDER BY m.id
    LIMIT 1000
"""


async def history(tx: Transaction, order_id: UUID) -> list[StockEvent]:
    """What happened to the order's stock, oldest first, one event for lines that moved together."""
    async with tx.cursor(row_factory=tuple_row) as cursor:
        rows = await (await cursor.execute(HISTORY, {"order_id": order_id})).fetchall()
    events: dict[tuple[datetime, MovementKind], dict[UUID, int]] = {}
    for at, kind, product_id, quantity in rows:
        events.setdefault((at, kind), {})[product_id] = quantity
    return [StockEvent(at, kind, quantities) for (at, kind), quantities in events.items()]
