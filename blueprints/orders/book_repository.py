"""What others may know of an order: schema `orders`, read only."""

from collections.abc import Collection, Mapping
from uuid import UUID

from psycopg.rows import dict_row

from blueprints.orders.fulfilment_models import Fulfilment, OrderNotice
from shared.db import Pending, Transaction

FULFILMENT = """
    SELECT
        o.id, o.customer_id, o.status, o.cancelled_from, o.gross_total, o.currency,
        o.payment_method,
        (
            SELECT jsonb_agg(jsonb_build_array(i.product_id, i.quantity) ORDER BY i.line_no)
            FROM orders.order_items AS i
            WHERE i.order_id = o.id
        ) AS lines
    FROM orders.orders AS o
    WHERE o.id = %(id)s
"""
NOTICE = """
    SELECT
        o.number, o.customer_id, o.status, o.currency, o.gross_total, o.cancel_reason,
        (
            SELECT s.tracking_number
            FROM orders.shipments AS s
            WHERE s.order_id = o.id AND s.status = 'booked'
        ) AS tracking_number,
        (
            SELECT jsonb_agg(jsonb_build_array(i.name, i.quantity) ORDER BY i.line_no)
            FROM orders.order_items AS i
            WHERE i.order_id = o.id
        ) AS lines
    FROM orders.orders AS o
    WHERE o.id = %(id)s
"""
STATUSES = """
    SELECT id, status
    FROM orders.orders
    WHERE id = ANY(%(ids)s)
"""


async def fulfilment(tx: Transaction, order_id: UUID) -> Fulfilment | None:
    """What the saga's steps need to know of the order; None if there is none."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(FULFILMENT, {"id": order_id})).fetchone()
    if row is None:
        return None
    return Fulfilment(
        order_id=row["id"],
        customer_id=row["customer_id"],
        status=row["status"],
        cancel_requested=row["status"] == "cancelling" and row["cancelled_from"] == "placed",
        lines=[(UUID(product_id), quantity) for product_id, quantity in row["lines"]],
        gross_total=row["gross_total"],
        currency=row["currency"],
        payment_method=row["payment_method"],
    )


async def notice(tx: Transaction, order_id: UUID) -> OrderNotice | None:
    """What may be told to the customer of the order; None if there is none."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(NOTICE, {"id": order_id})).fetchone()
    if row is None:
        return None
    lines = [(name, quantity) for name, quantity in row.pop("lines")]
    return OrderNotice(**row, lines=lines)


async def ask_statuses(tx: Transaction, order_ids: Collection[UUID]) -> Pending[Mapping[UUID, str]]:
    """The status of each of these orders; one that does not exist is absent."""
    cursor = await tx.execute(STATUSES, {"ids": list(order_ids)})

    async def told() -> Mapping[UUID, str]:
        return {row[0]: row[1] for row in await cursor.fetchall()}

    return told
