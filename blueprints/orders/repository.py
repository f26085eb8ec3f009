"""Writing a new order and reading orders: schema `orders`, tables orders and order_items."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg.types.numeric import Int8

from blueprints.orders.models import (
    Address,
    Order,
    OrderLine,
    OrderSummary,
    Service,
    Shipping,
)
from blueprints.orders.pricing import Quote
from shared.db import Pending, Transaction

INSERT = """
    WITH fresh AS MATERIALIZED (
        SELECT orders.next_number() AS number, now() AS at
    ), placed AS (
        INSERT INTO orders.orders (
            id, number, customer_id, placed_at, updated_at, placed_by, on_behalf_reason,
            currency, net_total, shipping_net, shipping_tax_rate_bp, shipping_tax,
            tax_total, gross_total, weight_g, payment_method, shipping_service,
            ship_name, ship_line1, ship_line2, ship_city, ship_postal_code, ship_country, search
        )
        SELECT
            %(id)s, fresh.number, %(customer_id)s, fresh.at, fresh.at, %(placed_by)s,
            %(on_behalf_reason)s, %(currency)s, %(net_total)s, %(shipping_net)s,
            %(shipping_tax_rate_bp)s, %(shipping_tax)s, %(tax_total)s, %(gross_total)s,
            %(weight_g)s, %(payment_method)s, %(shipping_service)s,
            %(ship_name)s, %(ship_line1)s, %(ship_line2)s, %(ship_city)s, %(ship_postal_code)s,
            %(ship_country)s, to_tsvector('simple', fresh.number || ' ' || %(words)s)
        FROM fresh
    ), items AS (
        INSERT INTO orders.order_items (
            order_id, line_no, product_id, sku, name, quantity, unit_net, tax_class,
            tax_rate_bp, unit_weight_g, net, tax, gross
        )
        SELECT
            %(id)s, line_no, product_id, sku, name, quantity, unit_net, tax_class,
            tax_rate_bp, unit_weight_g, net, tax, gross
        FROM jsonb_to_recordset(%(lines)s::jsonb) AS line (
            line_no smallint, product_id uuid, sku text, name text, quantity integer,
            unit_net bigint, tax_class text, tax_rate_bp integer, unit_weight_g integer,
            net bigint, tax bigint, gross bigint
        )
    ), noted AS (
        INSERT INTO orders.order_status_history (
            order_id, at, from_status, to_status, actor_kind, actor_id, reason
        )
        SELECT
            %(id)s, fresh.at, NULL, 'placed', %(actor_kind)s, %(placed_by)s, %(on_behalf_reason)s
        FROM fresh
    )
    SELECT number, at FROM fresh
"""

BY_ID = """
    SELECT
        o.id, o.number, o.customer_id, o.status, o.version, o.currency, o.net_total, o.tax_total,
        o.gross_total, o.shipping_net, o.shipping_tax_rate_bp, o.shipping_tax, o.shipping_service,
        o.ship_name, o.ship_line1, o.ship_line2, o.ship_city, o.ship_postal_code, o.ship_country,
        o.on_behalf_reason, o.cancel_reason, o.cancel_cause, o.cancel_requested_at, o.cancelled_at,
        o.placed_at, o.updated_at,
        (
            SELECT s.tracking_number
            FROM orders.shipments AS s
            WHERE s.order_id = o.id AND s.status = 'booked'
        ) AS tracking_number,
        (
            SELECT jsonb_agg(to_jsonb(i) - 'order_id' ORDER BY i.line_no)
            FROM orders.order_items AS i
            WHERE i.order_id = o.id
        ) AS lines
    FROM orders.orders AS o
    WHERE o.id = %(id)s
"""

LISTED = sql.SQL("""
    SELECT id, number, customer_id, status, currency, gross_total, placed_at, updated_at
    FROM orders.orders
    WHERE {conditions}
    ORDER BY placed_at DESC, id DESC
    LIMIT %(limit)s
""")
EVERY = sql.SQL("true")
CONDITIONS = {
    "status": sql.SQL("status = %(status)s"),
    "customer_id": sql.SQL("customer_id = %(customer_id)s"),
    "placed_from": sql.SQL("placed_at >= %(placed_from)s"),
    "placed_to": sql.SQL("placed_at < %(placed_to)s"),
    "number": sql.SQL("number = %(number)s"),
    "text": sql.SQL("search @@ websearch_to_tsquery('simple', %(text)s)"),
    "before": sql.SQL("(placed_at, id) < (%(before_time)s, %(before_id)s)"),
}


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order about to be written; `placed_by` differs from the customer only with a reason."""

    id: UUID
    customer_id: UUID
    placed_by: UUID
    on_behalf_reason: str | None
    currency: str
    address: Address
    service: Service
    payment_method: str
    quote: Quote


async def insert(tx: Transaction, order: NewOrder) -> Pending[tuple[str, datetime]]:
    """Write the order, its lines and the first entry of its history in one statement.

    Its number and the time of its placement.
    """
    quote, address = order.quote, order.address
    lines = [
        {
            "line_no": number,
            "product_id": str(line.offer.product_id),
            "sku": line.offer.sku,
            "name": line.offer.name,
            "quantity": line.quantity,
            "unit_net": line.offer.net_price,
            "tax_class": line.offer.tax_class,
            "tax_rate_bp": line.offer.tax_rate_bp,
            "unit_weight_g": line.offer.weight_g,
            "net": line.net,
            "tax": line.tax,
            "gross": line.gross,
        }
        for number, line in enumerate(quote.lines, start=1)
    ]
    words: list[str] = []
    for line in quote.lines:
        words += (line.offer.sku, line.offer.name)
    # Int8: the driver would pick a type per value, and PostgreSQL would prepare the statement once
    # for every combination.
    cursor = await tx.execute(
        INSERT,
        {
            "id": order.id,
            "customer_id": order.customer_id,
            "placed_by": order.placed_by,
            "on_behalf_reason": order.on_behalf_reason,
            "actor_kind": "employee" if order.on_behalf_reason else "client",
            "currency": order.currency,
            "net_total": Int8(quote.net_total),
            "shipping_net": Int8(quote.shipping_net),
            "shipping_tax_rate_bp": Int8(quote.shipping_tax_rate_bp),
            "shipping_tax": Int8(quote.shipping_tax),
            "tax_total": Int8(quote.tax_total),
            "gross_total": Int8(quote.gross_total),
            "weight_g": Int8(quote.weight_g),
            "payment_method": order.payment_method,
            "shipping_service": order.service,
            "ship_name": address.name,
            "ship_line1": address.line1,
            "ship_line2": address.line2,
            "ship_city": address.city,
            "ship_postal_code": address.postal_code,
            "ship_country": address.country,
            "words": " ".join(words),
            "lines": json.dumps(lines, separators=(",", ":")),
        },
    )

    async def placed() -> tuple[str, datetime]:
        row = await cursor.fetchone()
        assert row is not None, "the statement always has one row"
        return row[0], row[1]

    return placed


async def by_id(tx: Transaction, order_id: UUID) -> Order | None:
    """The order with its lines in their order; None if there is none."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(BY_ID, {"id": order_id})).fetchone()
    return None if row is None else _order(row)


async def listed(
    tx: Transaction,
    *,
    filters: dict[str, Any],
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[OrderSummary]:
    """Orders that pass every filter that is not None, newest first, from after `before`.

    `filters` takes the names in CONDITIONS.
    """
    given: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    conditions = [CONDITIONS[name] for name in given]
    if before is not None:
        conditions.append(CONDITIONS["before"])
        given["before_time"], given["before_id"] = before
    query = LISTED.format(conditions=sql.SQL(" AND ").join(conditions) if conditions else EVERY)
    async with tx.cursor(row_factory=class_row(OrderSummary)) as cursor:
        await cursor.execute(query, {**given, "limit": limit})
        return await cursor.fetchall()


def _order(row: dict[str, Any]) -> Order:
    return Order(
        id=row["id"],
        number=row["number"],
        customer_id=row["customer_id"],
        status=row["status"],
        version=row["version"],
        currency=row["currency"],
        lines=[OrderLine.model_validate(line) for line in row["lines"]],
        shipping=Shipping(
            service=row["shipping_service"],
            address=Address(
                name=row["ship_name"],
                line1=row["ship_line1"],
                line2=row["ship_line2"],
                city=row["ship_city"],
                postal_code=row["ship_postal_code"],
                country=row["ship_country"],
            ),
            net=row["shipping_net"],
            tax_rate_bp=row["shipping_tax_rate_bp"],
            tax=row["shipping_tax"],
            gross=row["shipping_net"] + row["shipping_tax"],
            tracking_number=row["tracking_number"],
        ),
        net_total=row["net_total"],
        tax_total=row["tax_total"],
        gross_total=row["gross_total"],
        placed_on_behalf=row["on_behalf_reason"] is not None,
        cancel_reason=row["cancel_reason"],
        cancel_cause=row["cancel_cause"],
        cancel_requested_at=row["cancel_requested_at"],
        cancelled_at=row["cancelled_at"],
        placed_at=row["placed_at"],
        updated_at=row["updated_at"],
    )
