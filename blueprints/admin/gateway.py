"""Whether something listens where a partner or an Azure service should."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6380, "sb": 5671, "amqps": 5671}


def listens(url: str) -> Callable[[], Awaitable[None]]:
    """A probe of the host and port in `url`: raises OSError while nothing listens there."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]

    async def probe() -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    return probe
