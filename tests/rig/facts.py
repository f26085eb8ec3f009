"""Everything that the books, the partners and the queues say about a platform, read at one time."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.rig.messages import waiting_messages
from tests.rig.platform import Platform
from tests.rig.postgres import connected

type Row = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """The state of all orders at rest; ids are text, amounts minor units.

    `inventory` has beside each counter the sums that it must equal. `waiting` counts what has not
    been worked off, by the name of the place where it lies; places where nothing lies are absent.
    """

    orders: Sequence[Row] = ()
    moves: Sequence[Row] = ()
    events: Sequence[Row] = ()
    placements: Sequence[Row] = ()
    payments: Sequence[Row] = ()
    refunds: Sequence[Row] = ()
    shipments: Sequence[Row] = ()
    inventory: Sequence[Row] = ()
    reservations: Sequence[Row] = ()
    gateway: Sequence[Row] = ()
    carrier: Sequence[Row] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)


ORDERS = """
    SELECT o.id::text, o.status, o.gross_total, o.currency, o.cancel_reason,
        coalesce(o.stuck_undos, '{}') AS stuck_undos,
        (SELECT jsonb_object_agg(i.product_id, i.quantity)
         FROM orders.order_items AS i
         WHERE i.order_id = o.id) AS lines
    FROM orders.orders AS o
    ORDER BY o.id
"""
MOVES = """
    SELECT order_id::text, from_status, to_status, count(*) AS times
    FROM orders.order_status_history
    GROUP BY order_id, from_status, to_status
    ORDER BY order_id, to_status
"""
EVENTS = """
    SELECT aggregate_id::text AS order_id, type, count(*) AS times
    FROM messaging.outbox
    WHERE topic IN ('order-events', 'payment-events')
    GROUP BY aggregate_id, type
    ORDER BY aggregate_id, type
"""
PLACEMENTS = """
    SELECT caller_id::text, key, answer::jsonb ->> 'order_id' AS order_id
    FROM messaging.idempotency_keys
    WHERE answer::jsonb ? 'order_id'
    ORDER BY caller_id, key
"""
PAYMENTS = """
    SELECT order_id::text, status, amount, currency, captured_amount, refunded_amount,
        refunding_amount, gateway_id
    FROM payments.payments
    ORDER BY order_id
"""
REFUNDS = """
    SELECT p.order_id::text, r.status, count(*) AS times
    FROM payments.refunds AS r
    JOIN payments.payments AS p ON p.id = r.payment_id
    GROUP BY p.order_id, r.status
    ORDER BY p.order_id, r.status
"""
SHIPMENTS = """
    SELECT order_id::text, status, provider_id
    FROM orders.shipments
    ORDER BY order_id
"""
INVENTORY = """
    SELECT i.product_id::text, i.on_hand, i.reserved,
        (SELECT coalesce(sum(r.quantity), 0)
         FROM products.reservations AS r
         WHERE r.product_id = i.product_id AND r.status IN ('held', 'committed')) AS promised,
        (SELECT coalesce(sum(m.on_hand_change), 0)
         FROM products.stock_movements AS m
         WHERE m.product_id = i.product_id) AS on_hand_moved,
        (SELECT coalesce(sum(m.reserved_change), 0)
         FROM products.stock_movements AS m
         WHERE m.product_id = i.product_id) AS reserved_moved
    FROM products.inventory AS i
    ORDER BY i.product_id
"""
RESERVATIONS = """
    SELECT order_id::text, product_id::text, quantity, status
    FROM products.reservations
    ORDER BY order_id, product_id
"""
WAITING = {
    "outbox": "SELECT count(*) AS left FROM messaging.outbox WHERE sent_at IS NULL",
    "publications": (
        "SELECT count(*) AS left FROM messaging.publications WHERE published_at IS NULL"
    ),
    # What a killed host had in hand waits for its lease to end.
    "deliveries": (
        "SELECT count(*) AS left FROM notifications.deliveries"
        " WHERE status = 'pending' AND coalesce(claimed_until, '-infinity') < now()"
    ),
    "rejections": "SELECT count(*) AS left FROM messaging.rejections WHERE resolved_at IS NULL",
    "questions to the gateway": (
        "SELECT count(*) AS left FROM payments.payment_transactions"
        " WHERE outcome IN ('sent', 'unknown')"
    ),
}
WAITING_IN_DURABLE = {
    "durable instances": (
        "SELECT count(*) AS left FROM durable.instances WHERE status <> 'Completed'"
    ),
    "durable tasks": "SELECT count(*) AS left FROM durable.tasks",
    "durable inbox": "SELECT count(*) AS left FROM durable.inbox",
}


async def gathered(platform: Platform) -> Facts:
    """What everybody says now. Meaningful once the platform is at rest."""
    gateway, carrier, messages = await asyncio.gather(
        platform.payment.ledger(),
        platform.shipping.ledger(),
        waiting_messages(platform.cloud),
    )
    waiting = dict(messages)
    async with connected(platform.durable_url) as durable:
        for place, query in WAITING_IN_DURABLE.items():
            row = await (await durable.execute(query)).fetchone()
            waiting[place] = int((row or {"left": 0})["left"])
    for place, query in WAITING.items():
        waiting[place] = int((await platform.row(query))["left"])
    return Facts(
        orders=[{**o, "lines": _whole(o["lines"])} for o in await platform.rows(ORDERS)],
        moves=await platform.rows(MOVES),
        events=await platform.rows(EVENTS),
        placements=await platform.rows(PLACEMENTS),
        payments=await platform.rows(PAYMENTS),
        refunds=await platform.rows(REFUNDS),
        shipments=await platform.rows(SHIPMENTS),
        inventory=await platform.rows(INVENTORY),
        reservations=await platform.rows(RESERVATIONS),
        gateway=gateway,
        carrier=carrier,
        waiting={place: count for place, count in waiting.items() if count},
    )


def _whole(lines: Any) -> dict[str, int]:
    return dict(json.loads(lines) if isinstance(lines, str) else lines)
