"""The cache without Redis."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from shared.cache import Cache


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A port that accepts and never answers."""

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_without_redis_everything_is_a_miss() -> None:
    cache = Cache("redis://127.0.0.1:1/0")
    assert await cache.get("key") is None
    await cache.set("key", "value", 60.0)
    await cache.delete("key")
    await cache.close()


async def test_a_redis_that_hangs_costs_its_callers_almost_nothing(silent_port: int) -> None:
    cache = Cache(f"redis://127.0.0.1:{silent_port}/0")
    await cache.get("import the client first")
    cache._rests_until = 0.0
    started = time.monotonic()
    for _ in range(1000):
        assert await cache.get("key") is None
    assert time.monotonic() - started < 0.5
    await cache.close()
