"""`python -m bench.notifier`: 2,000 connected clients, what they cost, how soon they are told.

The notifier runs as it is deployed, with its default limits, beside a Valkey and an identity
provider of its own. The clients share the machine with it, so all times hold their share too.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import httpx
import psutil
import uvloop
from uuid_utils.compat import uuid7

from bench import machine
from bench.load import percentile
from bench.notifier_clients import CONNECTIONS_EACH, STREAMS_EACH, Clients, Receipts
from localcloud import valkey
from localcloud.identity import directory
from localcloud.ports import HOST
from localcloud.process import PREFIX, bind
from shared.live import Feed, LiveMessage

PEOPLE = 200
BROADCASTS, DIRECTED = 10, 500
DIRECTED_EVERY_S = 0.01
IDLE_S = 10.0
WAIT_S = 60.0
TEXT = "Your order 2026-000123 was shipped. " * 3


async def run(base: str, redis_url: str, pid: int, tokens: dict[UUID, str]) -> dict[str, Any]:
    """All measurements; the notifier is process `pid`."""
    receipts = Receipts()
    clients, feed = Clients(base, receipts), Feed(redis_url)
    empty = machine.memory_mib([pid])
    began = time.perf_counter()
    await asyncio.gather(*map(clients.connect, tokens.values()))
    connected_s = time.perf_counter() - began
    process = psutil.Process(pid)
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(IDLE_S)
    idle = (sum(process.cpu_times()[:2]) - before) / IDLE_S
    idle_memory = machine.memory_mib([pid])
    broadcasts = [await _broadcast(feed, receipts) for _ in range(BROADCASTS)]
    directed = await _directed(feed, receipts, list(tokens))
    after = machine.memory_mib([pid])
    await clients.close()
    await feed.close()
    return {
        "clients": PEOPLE * CONNECTIONS_EACH,
        "streams": PEOPLE * STREAMS_EACH,
        "connected_s": round(connected_s, 2),
        "empty": empty,
        "idle": idle_memory | {"cores": round(idle, 3)},
        "after": after,
        "broadcast": _figures([ms for times in broadcasts for ms in times])
        | {
            "to_all_median_ms": round(statistics.median(map(max, broadcasts)), 1),
            "to_all_slowest_ms": round(max(map(max, broadcasts)), 1),
        },
        "directed": _figures(directed) | {"per_second": round(1 / DIRECTED_EVERY_S)},
    }


async def _broadcast(feed: Feed, receipts: Receipts) -> list[float]:
    """Milliseconds until each connection had a message to everyone."""
    message = LiveMessage(("everyone",), "notification", str(uuid7()), {"text": TEXT})
    complete = receipts.expect(message.id, PEOPLE * CONNECTIONS_EACH)
    began = time.perf_counter()
    assert await feed.publish([message])
    async with asyncio.timeout(WAIT_S):
        await complete.wait()
    return receipts.since(message.id, began)


async def _directed(feed: Feed, receipts: Receipts, people: list[UUID]) -> list[float]:
    """Milliseconds until the connections of one person had a message, one person after another."""
    times, waiting = {}, []
    for number in range(DIRECTED):
        person = people[number % len(people)]
        message = LiveMessage((f"user:{person}",), "notification", str(uuid7()), {"text": TEXT})
        waiting.append(receipts.expect(message.id, CONNECTIONS_EACH))
        times[message.id] = time.perf_counter()
        assert await feed.publish([message])
        await asyncio.sleep(DIRECTED_EVERY_S)
    async with asyncio.timeout(WAIT_S):
        for complete in waiting:
            await complete.wait()
    return [ms for identifier, began in times.items() for ms in receipts.since(identifier, began)]


def _figures(times: list[float]) -> dict[str, float | int]:
    return {"count": len(times)} | {
        f"p{p}_ms": round(percentile(times, p), 2) for p in (50, 95, 99)
    }


def free_port() -> int:
    """A port that was free just now."""
    with bind(HOST, 0) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(*command: str, settings: dict[str, str] | None = None) -> Iterator[Any]:
    """A process that ends with the block."""
    with subprocess.Popen(  # noqa: S603 - our own commands
        command,
        env={**os.environ, **(settings or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def issuer_settings(identity: str) -> dict[str, str]:
    """What the notifier must know of the identity provider."""
    found = {}
    for name, tenant in (("CLIENTS", directory.CLIENTS), ("EMPLOYEES", directory.EMPLOYEES)):
        found[f"AUTH_{name}_ISSUER"] = f"{identity}/{tenant.id}/v2.0"
        found[f"AUTH_{name}_AUDIENCE"] = directory.PORTAL_APIS[tenant.kind].audience
        found[f"AUTH_{name}_JWKS_URL"] = f"{identity}/{tenant.id}/discovery/v2.0/keys"
    return found


def people(identity: str) -> dict[UUID, str]:
    """Customers with their access tokens."""
    found = {}
    with httpx.Client() as http:
        for _ in range(PEOPLE):
            person = uuid7()
            claims = {
                "oid": str(person),
                "scp": "notifications.readwrite",
                "aud": directory.CLIENTS_API.audience,
            }
            answer = http.post(
                f"{identity}/control/tokens", json={"tenant": "clients", "claims": claims}
            )
            answer.raise_for_status()
            found[person] = answer.json()["access_token"]
    return found


@contextlib.asynccontextmanager
async def _ready(base: str) -> AsyncIterator[None]:
    """The notifier at `base` is ready in the block."""
    give_up_at = time.monotonic() + WAIT_S
    async with httpx.AsyncClient() as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(f"{base}/health/ready")).status_code == 200:
                    break
            if time.monotonic() > give_up_at:
                raise TimeoutError("the notifier did not get ready")
            await asyncio.sleep(0.05)
    yield


def measure() -> dict[str, Any]:
    """The figures of a notifier of its own. Takes about half a minute."""
    port, redis_port = free_port(), free_port()
    redis_url, base = f"redis://{HOST}:{redis_port}/0", f"http://{HOST}:{port}"
    with tempfile.TemporaryDirectory(prefix="bench-notifier-") as folder:
        state = Path(folder)
        with (
            running(*valkey.command(state, redis_port)),
            running(
                *(sys.executable, "-m", "localcloud.identity"),
                *("--port", "0", "--state", str(state)),
            ) as provider,
        ):
            line = provider.stdout.readline().decode()
            identity = f"http://{HOST}:{json.loads(line.removeprefix(PREFIX))['port']}"
            settings = {"REDIS_URL": redis_url, "NOTIFIER_PORT": str(port)}
            settings |= issuer_settings(identity)
            with running(sys.executable, "-m", "notifier", settings=settings) as notifier:

                async def whole() -> dict[str, Any]:
                    async with _ready(base):
                        return await run(base, redis_url, notifier.pid, people(identity))

                return uvloop.run(whole())


@click.command()
def main() -> None:
    """Measure and print JSON."""
    before = machine.state()
    click.echo(json.dumps({"machine": before, "notifier": measure()}, indent=2))


if __name__ == "__main__":
    main()
