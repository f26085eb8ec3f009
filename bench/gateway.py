"""`python -m bench.gateway`: what the gateway adds to a request, through it and straight, in turns.

Moderate load: clients that pause between their requests, so that what is measured is the way and
not a queue. Both ways ask the same service with the same token, a slice of time each in turn, so
that what else the machine does falls on both.
"""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import click
import psutil
import uvloop

from bench import machine
from bench.load import percentile
from bench.target import stranger
from demo.shop import Shop
from localcloud.cloud import LocalCloud

CLIENTS, PAUSE_S = 4, 0.04
"""About a hundred requests a second, below what any one client may send in a minute."""
ROUNDS, SLICE_S = 6, 2.0
Ways = Mapping[str, str]
"""The base addresses by name: `straight` and `gateway`."""


class Clients:
    """A few signed-in people who read."""

    def __init__(self, session: aiohttp.ClientSession, headers: list[dict[str, str]]) -> None:
        self._session, self._headers = session, headers
        self._random = random.Random(7)  # noqa: S311 - when to ask, not a secret

    async def slice_of(self, address: str, seconds: float) -> list[float]:
        """Latencies in ms of `seconds` of everybody's requests. RuntimeError for another answer."""
        end = time.perf_counter() + seconds
        found = await asyncio.gather(
            *(self._one(address, headers, end) for headers in self._headers)
        )
        return [latency for latencies in found for latency in latencies]

    async def _one(self, address: str, headers: dict[str, str], end: float) -> list[float]:
        latencies = []
        while time.perf_counter() < end:
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * PAUSE_S)
            begun = time.perf_counter()
            async with self._session.get(address, headers=headers) as answer:
                body = await answer.read()
            latencies.append((time.perf_counter() - begun) * 1000)
            if answer.status != 200:
                raise RuntimeError(f"{address} answered {answer.status}: {body[:200]!r}")
        return latencies


async def compared(clients: Clients, ways: Ways, path: str) -> dict[str, Any]:
    """p50 and p95 of both ways in ms, and their differences."""
    latencies: dict[str, list[float]] = {name: [] for name in ways}
    for base in ways.values():
        await clients.slice_of(base + path, 1.0)
    for _ in range(ROUNDS):
        for name, base in ways.items():
            latencies[name] += await clients.slice_of(base + path, SLICE_S)
    found: dict[str, Any] = {
        name: {
            "count": len(values),
            "p50_ms": round(percentile(values, 50), 2),
            "p95_ms": round(percentile(values, 95), 2),
        }
        for name, values in latencies.items()
    }
    for p in ("p50_ms", "p95_ms"):
        found[f"adds_{p}"] = round(found["gateway"][p] - found["straight"][p], 2)
    return found


async def measured(cloud: LocalCloud) -> dict[str, Any]:
    """The gateway of a cloud that runs, on the way to a page of products and to one of them."""
    ways = {
        "straight": f"{cloud.url('functions')}/api/v1",
        "gateway": f"{cloud.url('gateway-external')}/external-api/v1",
    }
    identity = cloud.url("identity")
    async with Shop(api=ways["straight"], identity=identity) as shop:
        alice = await shop.sign_in("alice")
        product = (await shop.products(alice, limit=1))[0]["id"]
    people = [await stranger(identity, number) for number in range(CLIENTS)]
    headers = [person.headers for person in people]
    process = psutil.Process(_pid(cloud))
    async with aiohttp.ClientSession() as session:
        clients = Clients(session, headers)
        before = process.cpu_times()
        results = {
            "product_get": await compared(clients, ways, f"/products/{product}"),
            "product_list": await compared(clients, ways, "/products?limit=20"),
        }
        after = process.cpu_times()
    asked = sum(row["gateway"]["count"] for row in results.values())
    used = after.user + after.system - before.user - before.system
    results["cpu_ms_per_request"] = round(used / asked * 1000, 2)
    return results


def _pid(cloud: LocalCloud) -> int:
    (pid,) = [
        part.process.pid
        for part in cloud.record().parts
        if part.name == "gateway" and part.process is not None
    ]
    return pid


def measure() -> dict[str, Any]:
    """The figures on a local cloud of its own, on free ports."""
    state = Path(tempfile.mkdtemp(prefix="bench-"))
    cloud = LocalCloud(state, port_base=0, settings={"USER_LIMIT_CLIENT": "0"})
    cloud.start()
    try:
        return uvloop.run(measured(cloud))
    finally:
        cloud.erase()


@click.command()
def main() -> None:
    """Measure and print JSON."""
    before = machine.state()
    click.echo(json.dumps({"machine": before, "gateway": measure()}, indent=2))


if __name__ == "__main__":
    main()
