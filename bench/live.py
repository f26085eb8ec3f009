"""From an order's commit to the event in the customer's browser, on an otherwise idle platform."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
from playwright.async_api import Page

from bench.load import percentile
from bench.target import Target
from localcloud.cloud import LocalCloud
from tests.rig.browser import chromium

WARM_UP, ORDERS = 20, 80
"""A host that has just started opens its connections to the broker one by one."""
PAUSE_S = 0.25
ARRIVES_WITHIN_S = 10.0

LISTEN = """
ticket => new Promise((opened, failed) => {
    window.arrived = {}
    const source = new EventSource('/notifications/stream?ticket=' + ticket)
    source.addEventListener('notification', event => {
        const told = JSON.parse(event.data)
        const key = told.order_id + ' ' + told.type
        window.arrived[key] ??= performance.timeOrigin + performance.now()
    })
    source.onopen = () => opened()
    source.onerror = () => failed(new Error('the stream did not open'))
})
"""

# A transaction's now() is its beginning: what is measured from it is never too short.
HAPPENED = """
    SELECT order_id::text, extract(epoch FROM at) * 1000
    FROM orders.order_status_history
    WHERE to_status = %s AND order_id = ANY(%s::uuid[])
"""


async def live(target: Target, cloud: LocalCloud) -> dict[str, Any]:
    """Milliseconds until the browser knows that an order was placed, and that it was confirmed."""
    async with _browser() as page:
        # A page of the notifier's own origin, as behind the gateway.
        await page.goto(f"{cloud.url('notifier')}/health/live")
        await page.evaluate(LISTEN, await _ticket(target, cloud))
        orders = []
        for _ in range(WARM_UP + ORDERS):
            orders.append(await target.placed(target.person))
            await asyncio.sleep(PAUSE_S)
        arrived = await _arrived(page, [f"{order} order_confirmed" for order in orders])
    url = cloud.database_url("platform")
    async with await psycopg.AsyncConnection.connect(url) as db:
        return {
            f"to_{status}": _latencies(
                [
                    arrived[f"{order} order_{status}"] - float(at)
                    for order, at in await _happened(db, status, orders[WARM_UP:])
                ]
            )
            for status in ("placed", "confirmed")
        }


async def _happened(
    db: psycopg.AsyncConnection[Any], status: str, orders: list[str]
) -> list[tuple[Any, ...]]:
    return await (await db.execute(HAPPENED, (status, orders))).fetchall()


@asynccontextmanager
async def _browser() -> AsyncIterator[Page]:
    async with chromium() as browser:
        yield await browser.new_page()


async def _ticket(target: Target, cloud: LocalCloud) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{cloud.url('notifier')}/notifications/ticket", headers=target.person.headers
        )
    return str(answer.raise_for_status().json()["ticket"])


async def _arrived(page: Page, keys: list[str]) -> dict[str, float]:
    """When what arrived in the browser, once all of `keys` have. TimeoutError if some do not."""
    async with asyncio.timeout(ARRIVES_WITHIN_S):
        while True:
            arrived: dict[str, float] = await page.evaluate("() => window.arrived")
            if arrived.keys() >= set(keys):
                return arrived
            await asyncio.sleep(0.1)


def _latencies(ms: list[float]) -> dict[str, float]:
    return {"count": len(ms)} | {f"p{p}_ms": round(percentile(ms, p), 1) for p in (50, 95, 99)}
