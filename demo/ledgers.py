"""Compares what the platform says of an order with what its partners have in their books."""

from typing import Any

import httpx


async def differences(
    order: dict[str, Any], urls: dict[str, str], partners: httpx.AsyncClient
) -> list[str]:
    """Every difference in words, none when the books agree.

    A confirmed order was captured once, in full, and has one live shipment; any other has no money
    and no shipment at the partners.
    """
    payment = await _entries(partners, urls["payment"], order["id"])
    shipping = await _entries(partners, urls["shipping"], order["id"])
    kept = _sum(payment, "capture") - _sum(payment, "refund")
    shipments = _count(shipping, "book") - _count(shipping, "cancel")
    sold = order["status"] == "confirmed"
    expected_money, expected_shipments = (order["gross_total"], 1) if sold else (0, 0)
    found = []
    if kept != expected_money:
        found.append(
            f"{order['number']}: the gateway keeps {kept} minor units, not {expected_money}"
        )
    if shipments != expected_shipments:
        found.append(
            f"{order['number']}: the shipper has {shipments} shipments, not {expected_shipments}"
        )
    return found


async def _entries(
    partners: httpx.AsyncClient, partner: str, order_id: str
) -> list[dict[str, Any]]:
    answer = await partners.get(f"{partner}/control/ledger", params={"reference": order_id})
    answer.raise_for_status()
    return list(answer.json()["entries"])


def _sum(entries: list[dict[str, Any]], operation: str) -> int:
    return sum(entry["amount"] for entry in entries if entry["operation"] == operation)


def _count(entries: list[dict[str, Any]], operation: str) -> int:
    return sum(entry["operation"] == operation for entry in entries)
