"""The floor: the rows that a placed order writes, as one plain transaction of single statements."""

import asyncio
import json
import uuid
from typing import Any

import psycopg
from uuid_utils.compat import uuid7

from bench.load import Measured, closed_loop

STATEMENTS: tuple[tuple[str, str], ...] = (
    (
        "price",
        """
        SELECT p.net_price, t.rate_bp FROM products.products p
        JOIN products.tax_rates t ON t.tax_class = p.tax_class AND t.country = 'DE'
        WHERE p.id = %(product_id)s
        """,
    ),
    ("customer", "SELECT status FROM customers.customers WHERE id = %(customer_id)s"),
    (
        "key",
        """
        INSERT INTO messaging.idempotency_keys (caller_id, operation, key, fingerprint)
        VALUES (%(customer_id)s, 'place_order', %(key)s, 'bench')
        """,
    ),
    (
        "order",
        """
        INSERT INTO orders.orders (
            id, customer_id, placed_by, currency, net_total, shipping_net, shipping_tax_rate_bp,
            shipping_tax, tax_total, gross_total, weight_g, payment_method, shipping_service,
            ship_name, ship_line1, ship_city, ship_postal_code, ship_country, search
        ) VALUES (
            %(id)s, %(customer_id)s, %(customer_id)s, 'EUR', 1000, 0, 0, 0, 0, 1000, 250,
            'tok_success', 'standard', 'Alice Example', 'Lindenallee 5', 'Berlin', '10115', 'DE',
            to_tsvector('simple', 'one product of the bench')
        )
        """,
    ),
    (
        "line",
        """
        INSERT INTO orders.order_items (
            order_id, line_no, product_id, sku, name, quantity, unit_net, tax_class, tax_rate_bp,
            unit_weight_g, net, tax, gross
        ) VALUES (
            %(id)s, 1, %(product_id)s, 'BENCH', 'One product', 1, 1000, 'zero', 0, 250,
            1000, 0, 1000
        )
        """,
    ),
    (
        "history",
        """
        INSERT INTO orders.order_status_history (order_id, to_status, actor_kind, actor_id)
        VALUES (%(id)s, 'placed', 'client', %(customer_id)s)
        """,
    ),
    (
        "event",
        """
        INSERT INTO messaging.outbox (event_id, topic, type, aggregate_id, envelope,
            correlation_id, sent_at)
        VALUES (%(event_id)s, 'order-events', 'order.placed.v1', %(id)s, %(envelope)s, 'bench',
            now())
        """,
    ),
    (
        "answer",
        """
        UPDATE messaging.idempotency_keys SET answer = %(answer)s
        WHERE caller_id = %(customer_id)s AND operation = 'place_order' AND key = %(key)s
        """,
    ),
)


async def measure(
    url: str, customer_id: str, product_id: str, *, clients: int, seconds: float
) -> Measured:
    """Transactions per second of a client that does nothing else, `clients` connections."""
    connections = [await psycopg.AsyncConnection.connect(url) for _ in range(clients)]

    async def place(number: int) -> bool:
        order_id = uuid7()
        values: dict[str, Any] = {
            "id": order_id,
            "event_id": uuid7(),
            "customer_id": uuid.UUID(customer_id),
            "product_id": uuid.UUID(product_id),
            "key": str(order_id),
            "envelope": json.dumps({"id": str(order_id), "data": {"order_id": str(order_id)}}),
            "answer": json.dumps({"order_id": str(order_id)}),
        }
        async with connections[number].transaction():
            for _, statement in STATEMENTS:
                await connections[number].execute(statement, values, prepare=True)
        return True

    try:
        return await closed_loop(place, clients=clients, seconds=seconds)
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))
