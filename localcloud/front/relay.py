"""Two connections that are one from now on: what comes in here goes out there, both ways."""

import asyncio
import contextlib
from typing import Final

CHUNK: Final = 64 * 1024
FAREWELL_S: Final = 1.0


type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def relay(here: Streams, there: Streams) -> None:
    """Pass on bytes until either side ends."""
    async with asyncio.TaskGroup() as group:
        both = [
            group.create_task(pump(here[0], there[1])),
            group.create_task(pump(there[0], here[1])),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for one in both:
            one.cancel()


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on bytes one way, as fast as the target takes them, until either side ends."""
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Send what is written, and close; never raises, never waits long."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            await writer.wait_closed()
