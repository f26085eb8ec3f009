"""Confirmed orders per second, and how long an order takes from placement to confirmation."""

import asyncio
import time
from typing import Any

import psycopg

from bench import cpu
from bench.cpu import Meter
from bench.load import closed_loop, percentile
from bench.target import Target
from localcloud.cloud import LocalCloud

SETTLE_S = 240.0

SETTLED = """
    SELECT count(*) FILTER (WHERE status IN ('placed', 'cancelling')) AS open, count(*) AS placed
    FROM orders.orders
    WHERE placed_at >= %s
"""

TIMES = """
    SELECT extract(epoch FROM o.placed_at), extract(epoch FROM h.at)
    FROM orders.orders o
    JOIN orders.order_status_history h ON h.order_id = o.id AND h.to_status = 'confirmed'
    WHERE o.placed_at >= %s
    ORDER BY h.at
"""

type Db = psycopg.AsyncConnection[Any]


async def confirmed(target: Target, cloud: LocalCloud, seconds: float) -> dict[str, Any]:
    """The rate with 8 clients placing without pause, and latencies at half of that rate."""
    url = cloud.database_url("platform")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        began = await _now(db)
        await closed_loop(target.place_order, clients=1, seconds=1.0)
        await _settle(db, began)
        began = await _now(db)
        meter = Meter(cpu.processes(cloud))
        await closed_loop(target.place_order, clients=8, seconds=seconds)
        await _settle(db, began)
        saturated = await _times(db, began)
        used = meter.ms_per(len(saturated))
        rate = len(saturated) / (saturated[-1][1] - saturated[0][0])

        began = await _now(db)
        await _paced(target, rate / 2, seconds)
        await _settle(db, began)
        relaxed = await _times(db, began)
    return {
        "per_second": round(rate, 1),
        "count": len(saturated),
        "cpu_ms": used,
        "at_saturation": _latencies(saturated),
        "at_half": {"per_second": round(rate / 2, 1)} | _latencies(relaxed),
    }


async def _paced(target: Target, per_second: float, seconds: float) -> None:
    """Place `per_second` orders a second, evenly, whatever the answers take."""
    under_way: set[asyncio.Task[bool]] = set()
    start = time.perf_counter()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, start + number / per_second - time.perf_counter()))
        task = asyncio.create_task(target.place_order(0))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


async def _settle(db: Db, began: Any) -> None:
    """Wait until every order since `began` has come to an end. TimeoutError if it does not."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        row = await (await db.execute(SETTLED, (began,))).fetchone()
        assert row is not None
        if row[0] == 0:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{row[0]} of {row[1]} orders did not settle in {SETTLE_S:g} s")
        await asyncio.sleep(0.25)


async def _now(db: Db) -> Any:
    row = await (await db.execute("SELECT now()")).fetchone()
    assert row is not None
    return row[0]


async def _times(db: Db, began: Any) -> list[tuple[float, float]]:
    rows = await (await db.execute(TIMES, (began,))).fetchall()
    return [(float(placed), float(done)) for placed, done in rows]


def _latencies(times: list[tuple[float, float]]) -> dict[str, float]:
    waits = [(done - placed) * 1000 for placed, done in times]
    return {
        "p50_ms": round(percentile(waits, 50), 1),
        "p95_ms": round(percentile(waits, 95), 1),
        "p99_ms": round(percentile(waits, 99), 1),
    }
