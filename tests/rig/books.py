"""Our books against the partners' ledgers: money to the cent, shipments and stock to the piece."""

from collections import Counter
from typing import Any

from tests.rig.platform import Platform


async def captured_and_refunded(platform: Platform, order_id: str) -> tuple[int, int]:
    """What the payment gateway took and gave back for the order, in minor units."""
    entries = await platform.payment.entries(order_id)
    captured = sum(e["amount"] for e in entries if e["operation"] == "capture")
    refunded = sum(e["amount"] for e in entries if e["operation"] == "refund")
    return captured, refunded


async def effects(platform: Platform, order_id: str) -> Counter[str]:
    """How often each operation took effect for the order, at the gateway and at the carrier."""
    entries = await platform.payment.entries(order_id) + await platform.shipping.entries(order_id)
    return Counter(entry["operation"] for entry in entries)


async def open_authorisations(platform: Platform, order_id: str) -> int:
    """Authorisations at the gateway that were neither captured nor voided."""
    answer = await platform.payment.http.get("/control/payments", params={"reference": order_id})
    payments: list[dict[str, Any]] = answer.json()["payments"]
    return len([p for p in payments if p["status"] in {"authorized", "requires_action"}])


async def live_shipments(platform: Platform, order_id: str) -> int:
    """Shipments booked and not cancelled at the provider."""
    entries = await platform.shipping.entries(order_id)
    booked = sum(e["operation"] == "book" for e in entries)
    cancelled = sum(e["operation"] == "cancel" for e in entries)
    return int(booked - cancelled)


COUNTERS = """
    SELECT i.product_id, i.reserved, coalesce(sum(r.quantity), 0) AS ledger
    FROM products.inventory i
    LEFT JOIN products.reservations r
        ON r.product_id = i.product_id AND r.status IN ('held', 'committed')
    GROUP BY i.product_id, i.reserved
    HAVING i.reserved <> coalesce(sum(r.quantity), 0)
"""


async def assert_stock_adds_up(platform: Platform) -> None:
    """Every counter of reserved units equals the sum of its open reservations."""
    assert await platform.rows(COUNTERS) == []


async def assert_sold(platform: Platform, order: dict[str, Any]) -> None:
    """A confirmed order: paid once in full, one shipment, its stock committed."""
    assert order["status"] == "confirmed", order
    order_id = order["id"]
    took = await effects(platform, order_id)
    assert (took["authorize"], took["capture"], took["book"]) == (1, 1, 1)
    assert await captured_and_refunded(platform, order_id) == (order["gross_total"], 0)
    assert await open_authorisations(platform, order_id) == 0
    assert await live_shipments(platform, order_id) == 1
    ours = await platform.row(
        "SELECT status, captured_amount, refunded_amount FROM payments.payments"
        " WHERE order_id = %s",
        order_id,
    )
    assert ours == {
        "status": "captured",
        "captured_amount": order["gross_total"],
        "refunded_amount": 0,
    }
    reservations = await platform.rows(
        "SELECT DISTINCT status FROM products.reservations WHERE order_id = %s", order_id
    )
    assert [r["status"] for r in reservations] == ["committed"]
    await assert_stock_adds_up(platform)


async def assert_undone(platform: Platform, order: dict[str, Any]) -> None:
    """A cancelled order: no money kept, no shipment, no stock."""
    assert order["status"] == "cancelled", order
    await assert_nothing_kept(platform, order["id"])


async def assert_nothing_kept(platform: Platform, order_id: str) -> None:
    """No money of the order is kept, no shipment comes, no stock is held."""
    captured, refunded = await captured_and_refunded(platform, order_id)
    assert captured == refunded
    assert await open_authorisations(platform, order_id) == 0
    assert await live_shipments(platform, order_id) == 0
    kept = await platform.rows(
        "SELECT captured_amount, refunded_amount FROM payments.payments WHERE order_id = %s",
        order_id,
    )
    assert all(p["captured_amount"] == p["refunded_amount"] == captured for p in kept), kept
    held = await platform.rows(
        "SELECT status FROM products.reservations"
        " WHERE order_id = %s AND status IN ('held', 'committed')",
        order_id,
    )
    assert held == []
    await assert_stock_adds_up(platform)
