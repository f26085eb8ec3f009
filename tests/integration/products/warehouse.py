"""A warehouse to test against: products with stock, a book of orders, the account of both."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from psycopg.rows import tuple_row
from uuid_utils.compat import uuid7

from blueprints.products.models import StockEvent
from shared.db import Database


@dataclass(frozen=True)
class Order:
    """What the book of orders says of one order."""

    lines: Sequence[tuple[UUID, int]]
    status: str = "placed"
    cancel_requested: bool = False


class Orders:
    """A book of orders kept in memory."""

    def __init__(self) -> None:
        self.placed: dict[UUID, Order] = {}

    async def fulfilment(self, order_id: UUID) -> Order | None:
        return self.placed.get(order_id)

    def place(self, *lines: tuple[UUID, int]) -> UUID:
        order_id = uuid7()
        self.placed[order_id] = Order(lines)
        return order_id

    def move(self, order_id: UUID, status: str) -> None:
        self.placed[order_id] = replace(self.placed[order_id], status=status)

    def ask_to_cancel(self, order_id: UUID) -> None:
        self.placed[order_id] = replace(
            self.placed[order_id], status="cancelling", cancel_requested=True
        )


@dataclass(frozen=True)
class Warehouse:
    """The tables of stock, read and set up directly."""

    database: Database

    async def product(self, on_hand: int, **facts: object) -> UUID:
        """A new product on sale with this many pieces."""
        product_id = uuid7()
        row = {
            "id": product_id,
            "sku": f"SKU-{product_id}",
            "name": "Kettle",
            "description": "",
            "category": "kitchen",
            "net_price": 1999,
            "tax_class": "standard",
            "active": True,
            "on_hand": on_hand,
        } | facts
        async with self.database.transaction() as tx:
            await tx.execute(
                """
                INSERT INTO products.product_categories (code, name)
                VALUES (%(category)s, initcap(%(category)s))
                ON CONFLICT (code) DO NOTHING
                """,
                row,
            )
            await tx.execute(
                """
                INSERT INTO products.products (
                    id, sku, name, description, category_code, net_price, currency, tax_class,
                    weight_g, active
                )
                VALUES (
                    %(id)s, %(sku)s, %(name)s, %(description)s, %(category)s, %(net_price)s, 'EUR',
                    %(tax_class)s, 500, %(active)s
                )
                """,
                row,
            )
            await tx.execute(
                """
                INSERT INTO products.inventory (product_id, on_hand)
                VALUES (%(id)s, %(on_hand)s)
                """,
                row,
            )
            await tx.execute(
                """
                INSERT INTO products.stock_movements (
                    product_id, kind, quantity, on_hand_change, reserved_change
                )
                VALUES (%(id)s, 'counted', %(on_hand)s, %(on_hand)s, 0)
                """,
                row,
            )
        return product_id

    async def counters(self, product_id: UUID) -> tuple[int, int]:
        """(on hand, reserved)."""
        async with self.database.reading() as tx, tx.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(
                "SELECT on_hand, reserved FROM products.inventory WHERE product_id = %s",
                (product_id,),
            )
            row = await cursor.fetchone()
            assert row is not None
            return row[0], row[1]

    async def statuses(self, order_id: UUID) -> dict[UUID, tuple[str, int]]:
        """Status and quantity of the order's reservations by product."""
        async with self.database.reading() as tx, tx.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(
                """
                SELECT product_id, status, quantity
                FROM products.reservations
                WHERE order_id = %s
                ORDER BY product_id
                """,
                (order_id,),
            )
            return {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}

    async def let_time_run_out(self, order_id: UUID) -> None:
        """The order's reservations are due now."""
        async with self.database.transaction() as tx:
            await tx.execute(
                """
                WITH held AS (
                    SELECT order_id, product_id
                    FROM products.reservations
                    WHERE order_id = %s AND status = 'held'
                    ORDER BY product_id
                    FOR UPDATE
                )
                UPDATE products.reservations AS r
                SET expires_at = now()
                FROM held
                WHERE (r.order_id, r.product_id) = (held.order_id, held.product_id)
                """,
                (order_id,),
            )

    async def check_books(self, *products: UUID) -> None:
        """Every counter (or those of `products`) is what the movements add up to and what open
        reservations hold.
        """
        async with self.database.reading() as tx, tx.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(
                """
                SELECT
                    i.product_id,
                    i.on_hand,
                    i.reserved,
                    (
                        SELECT COALESCE(sum(m.on_hand_change), 0)
                        FROM products.stock_movements AS m
                        WHERE m.product_id = i.product_id
                    ),
                    (
                        SELECT COALESCE(sum(m.reserved_change), 0)
                        FROM products.stock_movements AS m
                        WHERE m.product_id = i.product_id
                    ),
                    (
                        SELECT COALESCE(sum(r.quantity), 0)
                        FROM products.reservations AS r
                        WHERE r.product_id = i.product_id
                            AND r.status IN ('held', 'committed')
                    )
                FROM products.inventory AS i
                WHERE i.product_id = ANY (%(products)s) OR cardinality(%(products)s::uuid[]) = 0
                ORDER BY i.product_id
                """,
                {"products": list(products)},
            )
            for product_id, on_hand, reserved, counted, moved, held in await cursor.fetchall():
                assert (product_id, on_hand, reserved, reserved) == (
                    product_id,
                    counted,
                    moved,
                    held,
                )

    async def somebody_waits(self) -> None:
        """Return once a transaction waits for another's lock."""
        give_up_at = time.monotonic() + 10
        while True:
            async with self.database.reading() as tx, tx.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(
                    """
                    SELECT count(*)
                    FROM pg_locks AS l
                    JOIN pg_stat_activity AS a ON a.pid = l.pid
                    WHERE NOT l.granted
                        AND a.datname = current_database()
                    """
                )
                if await cursor.fetchone() != (0,):
                    return
            assert time.monotonic() < give_up_at, "nobody waits for a lock"
            await asyncio.sleep(0.01)

    async def movements(self, order_id: UUID) -> int:
        """How many movements there are of the order."""
        async with self.database.reading() as tx, tx.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(
                "SELECT count(*) FROM products.stock_movements WHERE order_id = %s", (order_id,)
            )
            row = await cursor.fetchone()
            assert row is not None
            return int(row[0])


def told(history: Sequence[StockEvent]) -> list[tuple[str, dict[UUID, int]]]:
    """The history without its times."""
    return [(event.kind, dict(event.quantities)) for event in history]
