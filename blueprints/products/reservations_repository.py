"""All SQL that reserves stock and gives it back.

Every change of a counter locks the inventory rows first, then the order's reservations, each in
product order, so no two changes can wait for each other.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Literal
from uuid import UUID

from psycopg.rows import scalar_row, tuple_row

from shared.db import Transaction

type ReservationStatus = Literal["held", "committed", "fulfilled", "released", "expired"]

# One round trip. A statement that waited for a lock still looks for rows as they were when it
# started, and sees them as they are now only through what it locked: so whether there is enough is
# decided by `locked` alone, and a condition on the counters in `taken` would wrongly be held
# against the old ones. `claimed` takes nothing if a line is short or the order has reservations
# already, unless they expired.
HOLD = """
    WITH wanted AS (
        SELECT
            w.product_id,
            w.quantity
        FROM unnest(%(product_ids)s::uuid[], %(quantities)s::bigint[]) AS w (product_id, quantity)
    ),
    locked AS MATERIALIZED (
        SELECT
            w.product_id,
            w.quantity,
            i.on_hand - i.reserved AS available
        FROM wanted AS w
        JOIN products.inventory AS i ON i.product_id = w.product_id
        ORDER BY i.product_id
        FOR NO KEY UPDATE OF i
    ),
    covered AS (
        SELECT count(*) = cardinality(%(product_ids)s::uuid[]) AS every_line
        FROM locked
        WHERE available >= quantity
    ),
    claimed AS (
        INSERT INTO products.reservations AS r (
            order_id, product_id, quantity, status, expires_at
        )
        SELECT
            %(order_id)s,
            l.product_id,
            l.quantity,
            'held',
            now() + %(ttl)s::interval
        FROM locked AS l
        CROSS JOIN covered
        WHERE covered.every_line
        ON CONFLICT (order_id, product_id) DO UPDATE
            SET status = 'held',
                quantity = excluded.quantity,
                expires_at = excluded.expires_at,
                updated_at = now()
            WHERE r.status = 'expired'
        RETURNING r.product_id, r.quantity
    ),
    taken AS (
        UPDATE products.inventory AS i
        SET reserved = i.reserved + c.quantity,
            updated_at = now()
        FROM claimed AS c
        WHERE i.product_id = c.product_id
        RETURNING i.product_id, c.quantity
    ),
    noted AS (
        INSERT INTO products.stock_movements (
            product_id, kind, order_id, quantity, on_hand_change, reserved_change
        )
        SELECT product_id, 'reserved', %(order_id)s, quantity, 0, quantity
        FROM taken
    )
    SELECT
        (SELECT count(*) FROM claimed) AS claimed,
        (SELECT count(*) FROM taken) AS taken
"""


async def hold(
    tx: Transaction, order_id: UUID, quantities: Mapping[UUID, int], ttl: timedelta
) -> int:
    """Reserve every line or none; returns the number of lines reserved now, all or 0.

    0 also if the order has reservations already: `statuses` tells. The inventory rows stay locked
    until the transaction ends.
    """
    parameters = {
        "order_id": order_id,
        "product_ids": list(quantities.keys()),
        "quantities": list(quantities.values()),
        "ttl": ttl,
    }
    async with tx.cursor(row_factory=tuple_row) as cursor:
        claimed, taken = await (await cursor.execute(HOLD, parameters)).fetchone() or (0, 0)
    assert claimed == taken, "a reservation without its stock, or stock without its reservation"
    assert taken in (0, len(quantities)), "a reservation took some lines of an order only"
    return int(taken)


STATUSES = """
    SELECT DISTINCT r.status
    FROM products.reservations AS r
    WHERE r.order_id = %(order_id)s
    ORDER BY r.status
    LIMIT 5
"""


async def statuses(tx: Transaction, order_id: UUID) -> frozenset[ReservationStatus]:
    """The statuses of the order's reservations: one, or none if it never had any."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        rows = await (await cursor.execute(STATUSES, {"order_id": order_id})).fetchall()
    return frozenset(rows)


LOCKED = """
    SELECT i.product_id
    FROM products.inventory AS i
    WHERE i.product_id = ANY (%(product_ids)s::uuid[])
        OR i.product_id IN (
            SELECT r.product_id
            FROM products.reservations AS r
            WHERE r.order_id = %(order_id)s
        )
    ORDER BY i.product_id
    FOR NO KEY UPDATE OF i
"""

CLOSED = """
    WITH open AS MATERIALIZED (
        SELECT r.product_id
        FROM products.reservations AS r
        WHERE r.order_id = %(order_id)s
            AND r.status = ANY (%(open_statuses)s)
            AND (r.expires_at <= now() OR NOT %(only_due)s)
        ORDER BY r.product_id
        FOR NO KEY UPDATE OF r
    ),
    closed AS (
        UPDATE products.reservations AS r
        SET status = %(status)s,
            expires_at = NULL,
            updated_at = now()
        FROM open AS o
        WHERE r.order_id = %(order_id)s
            AND r.product_id = o.product_id
        RETURNING r.product_id, r.quantity
    ),
    freed AS (
        UPDATE products.inventory AS i
        SET reserved = i.reserved - c.quantity,
            updated_at = now()
        FROM closed AS c
        WHERE i.product_id = c.product_id
        RETURNING i.product_id, c.quantity
    ),
    noted AS (
        INSERT INTO products.stock_movements (
            product_id, kind, order_id, quantity, on_hand_change, reserved_change
        )
        SELECT product_id, %(status)s, %(order_id)s, quantity, 0, -quantity
        FROM freed
    )
    SELECT count(*)
    FROM freed
"""


async def release(tx: Transaction, order_id: UUID, product_ids: Collection[UUID]) -> int:
    """Give back what the order holds; returns the number of lines.

    Waits for a reservation of `product_ids` that is under way, so that it is given back too.
    """
    return await _close(tx, order_id, product_ids, "released", ["held", "committed"])


async def expire(tx: Transaction, order_id: UUID) -> int:
    """Give back what the order holds beyond its time; returns the number of lines."""
    return await _close(tx, order_id, [], "expired", ["held"])


async def _close(
    tx: Transaction,
    order_id: UUID,
    product_ids: Collection[UUID],
    status: ReservationStatus,
    open_statuses: Sequence[ReservationStatus],
) -> int:
    parameters = {
        "order_id": order_id,
        "product_ids": list(product_ids),
        "status": status,
        "open_statuses": list(open_statuses),
        "only_due": status == "expired",
    }
    async with tx.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(LOCKED, parameters)
        return int(await (await cursor.execute(CLOSED, parameters)).fetchone() or 0)


BARRED = """
    INSERT INTO products.reservations AS r (order_id, product_id, quantity, status)
    SELECT
        %(order_id)s,
        w.product_id,
        w.quantity,
        'released'
    FROM unnest(%(product_ids)s::uuid[], %(quantities)s::bigint[]) AS w (product_id, quantity)
    JOIN products.inventory AS i ON i.product_id = w.product_id
    ORDER BY w.product_id
    ON CONFLICT (order_id, product_id) DO UPDATE
        SET status = 'released',
            updated_at = now()
        WHERE r.status = 'expired'
"""


async def bar(tx: Transaction, order_id: UUID, quantities: Mapping[UUID, int]) -> None:
    """Mark the lines as released, so that a late repeat of the reservation takes nothing.

    Call it after `release`, in its transaction.
    """
    parameters = {
        "order_id": order_id,
        "product_ids": list(quantities.keys()),
        "quantities": list(quantities.values()),
    }
    await tx.execute(BARRED, parameters)


DUE = """
    SELECT r.order_id
    FROM products.reservations AS r
    WHERE r.status = 'held'
        AND r.expires_at <= now()
    GROUP BY r.order_id
    ORDER BY min(r.expires_at), r.order_id
    LIMIT %(limit)s
"""


async def due(tx: Transaction, *, limit: int) -> list[UUID]:
    """Orders that hold stock beyond their time, longest first."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        return await (await cursor.execute(DUE, {"limit": limit})).fetchall()
