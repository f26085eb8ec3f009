"""Confirmed orders per second, and how long an order takes from placement to confirmation."""

import asyncio
import time
import uuid
from typing import Any

import psycopg

from bench import cpu
from bench.cpu import Meter
from bench.load import closed_loop, percentile
from bench.target import Target
from localcloud.cloud import LocalCloud

SETTLE_S = 240.0
LOOK_S = 0.02
IN_FLIGHT = 16
BURST_S = 3.0

SETTLED = """
    SELECT count(*) FILTER (WHERE status IN ('placed', 'cancelling')) AS open, count(*) AS placed
    FROM orders.orders
    WHERE placed_at >= %s
"""

ENDED = """
    SELECT id
    FROM orders.orders
    WHERE id = ANY(%s)
      AND status NOT IN ('placed', 'cancelling')
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
    """What the whole saga sustains, how it works off a burst, and latencies at half the rate.

    Sustained means that 16 buyers each place an order, wait until it is confirmed, and place the
    next. In a burst 8 clients place without waiting, far faster than orders are confirmed.
    """
    url = cloud.database_url("platform")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        buyers = _Buyers(target, db)
        await buyers.buy(seconds=2.0)
        began = await _now(db)
        meter = Meter(cpu.processes(cloud))
        await buyers.buy(seconds=seconds)
        sustained = await _times(db, began)
        used = meter.ms_per(len(sustained))
        rate = _rate(sustained)

        began = await _now(db)
        await closed_loop(target.place_order, clients=8, seconds=BURST_S)
        await _settle(db, began)
        burst = await _times(db, began)

        began = await _now(db)
        await _paced(target, rate / 2, seconds)
        await _settle(db, began)
        relaxed = await _times(db, began)
    return {
        "per_second": round(rate, 1),
        "in_flight": IN_FLIGHT,
        "count": len(sustained),
        "cpu_ms": used,
        "at_saturation": _latencies(sustained),
        "burst": {"placed": len(burst), "per_second": round(_rate(burst), 1)} | _latencies(burst),
        "at_half": {"per_second": round(rate / 2, 1)} | _latencies(relaxed),
    }


class _Buyers:
    """Clients that wait for their order's end. One look into the database serves all of them."""

    def __init__(self, target: Target, db: Db) -> None:
        self._target, self._db = target, db
        self._waiting: dict[uuid.UUID, asyncio.Event] = {}

    async def buy(self, *, seconds: float) -> None:
        """Order again and again for so long; returns when the last order has ended."""
        end = time.perf_counter() + seconds
        watch = asyncio.create_task(self._watch())
        await asyncio.gather(*(self._one(end) for _ in range(IN_FLIGHT)))
        watch.cancel()

    async def _one(self, end: float) -> None:
        while time.perf_counter() < end:
            placed = await self._target.placed()
            ended = self._waiting[uuid.UUID(placed)] = asyncio.Event()
            async with asyncio.timeout(SETTLE_S):
                await ended.wait()

    async def _watch(self) -> None:
        while True:
            rows = await (await self._db.execute(ENDED, (list(self._waiting),))).fetchall()
            for (order_id,) in rows:
                self._waiting.pop(order_id).set()
            await asyncio.sleep(LOOK_S)


def _rate(times: list[tuple[float, float]]) -> float:
    return (len(times) - 1) / (times[-1][1] - times[0][1])


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
