"""Placing orders without sagas, beside the floor, in turns: so they meet the same load."""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from bench import cpu, raw_sql
from bench.cpu import Meter
from bench.load import Measured, closed_loop
from bench.target import Target
from localcloud import ports
from localcloud.cloud import ROOT, LocalCloud

ROUNDS = 4
FLOOR_READY_S = 20.0


async def placing(target: Target, cloud: LocalCloud, seconds: float) -> dict[str, Any]:
    """Rates and CPU per order of the platform, the floor both ways, and the rows as plain SQL.

    The ratios are medians over rounds in which each had its turn.
    """
    async with contextlib.AsyncExitStack() as stack:
        service, by_statements = await stack.enter_async_context(_floor(target, cloud))
        single, as_one = await stack.enter_async_context(_floor(target, cloud, "--one-statement"))
        pids = cpu.processes(cloud) | {"floor": service, "floor_as_one": single}
        series = {
            "order_place_8": _Series(target, pids),
            "floor_statements_8": _Series(by_statements, pids),
            "floor_as_one_8": _Series(as_one, pids),
        }
        for one in series.values():
            await one.warm_up()
        for _ in range(ROUNDS):
            for one in series.values():
                await one.round(seconds / 2)
    ours, floor, least = series.values()
    many = await target.loop(target.place_order, clients=32, seconds=seconds)
    plain = await raw_sql.measure(
        cloud.environment["PG_URL"],
        target.person.id,
        target.product_ids[0],
        clients=8,
        seconds=seconds,
    )
    return {
        **{name: one.as_json() for name, one in series.items()},
        "order_place_32": many.as_json(),
        "raw_sql_8": plain.as_json(),
        "order_place_to_floor": _ratio(ours, floor),
        "order_place_to_floor_as_one": _ratio(ours, least),
        "order_place_to_raw_sql": round(ours.total.per_second / plain.per_second, 3),
    }


class _Series:
    """The turns of one service."""

    def __init__(self, target: Target, pids: dict[str, int]) -> None:
        self._target, self._pids = target, pids
        self.total = Measured(0.0, 8, [], 0)
        self.rates: list[float] = []
        self._cpu: list[dict[str, float]] = []

    async def warm_up(self) -> None:
        await closed_loop(self._target.place_order, clients=8, seconds=1.5)

    async def round(self, seconds: float) -> None:
        meter = Meter(self._pids)
        got = await closed_loop(self._target.place_order, clients=8, seconds=seconds)
        self._cpu.append(meter.ms_per(len(got.latencies_ms)))
        self.rates.append(got.per_second)
        self.total.seconds += got.seconds
        self.total.latencies_ms += got.latencies_ms
        self.total.failures += got.failures

    def as_json(self) -> dict[str, Any]:
        names = sorted({name for turn in self._cpu for name in turn})
        cpu_ms = {
            name: round(statistics.median(turn.get(name, 0.0) for turn in self._cpu), 3)
            for name in names
        }
        return self.total.as_json() | {"cpu_ms": cpu_ms}


def _ratio(ours: _Series, other: _Series) -> float:
    pairs = zip(ours.rates, other.rates, strict=True)
    return round(statistics.median(mine / theirs for mine, theirs in pairs), 3)


@contextlib.asynccontextmanager
async def _floor(
    target: Target, cloud: LocalCloud, *options: str
) -> AsyncIterator[tuple[int, Target]]:
    """The floor on the cloud's database, as a process and as a target for the same requests."""
    port = ports.assign(["floor"], 0)["floor"]
    settings = {
        "FLOOR_PG_URL": cloud.environment["PG_URL"],
        "FLOOR_TOKEN": target.person.token,
        "FLOOR_CUSTOMER": target.person.id,
    }
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter and source, at once
        [sys.executable, "-m", "bench.floor", "--port", str(port), *options],
        cwd=ROOT,
        env=os.environ | settings,
    )
    try:
        api = f"http://127.0.0.1:{port}"
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(headers=target.person.headers, timeout=timeout) as session:
            await _answers(session, api)
            yield process.pid, Target(session, api, [target.person], target.product_ids)
    finally:
        process.terminate()
        process.wait()


async def _answers(session: aiohttp.ClientSession, api: str) -> None:
    """Return once the service listens. TimeoutError if it does not in time."""
    async with asyncio.timeout(FLOOR_READY_S):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{api}/openapi.json") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
