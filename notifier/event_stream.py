"""A response that goes on: what a client is sent, as `text/event-stream`."""

import asyncio
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from notifier.client import Client

HEADERS = [
    (b"content-type", b"text/event-stream"),
    # A proxy that stores or transforms a stream holds it up.
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]


def line_cutter(scope: Scope) -> Callable[[], None]:
    """What drops the line of this request at once, whatever waits to be written to it.

    Our own server supplies it; under another one such a line is left to TCP's patience.
    """
    extension = scope.get("extensions", {}).get("notifier.abort", {})
    cut: Callable[[], None] = extension.get("call", lambda: None)
    return cut


class EventStream(Response):
    """Everything in the client's outbox until its end, or until the client is gone.

    `framed` turns the client's texts into events; `ended` is called when it is over.
    """

    def __init__(
        self, client: Client, *, framed: Callable[[str], str], ended: Callable[[], None]
    ) -> None:
        super().__init__()
        self._client, self._framed, self._ended = client, framed, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        self._client.abort = line_cutter(scope)
        writer = asyncio.create_task(self._write(send))
        watcher = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((writer, watcher), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, watcher):
                task.cancel()
            await asyncio.gather(writer, watcher, return_exceptions=True)
            self._ended()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        # A first line makes proxies, and browsers, pass the headers on.
        await self._send(send, ":\n\n")
        while (text := await self._client.outbox.take()) is not None:
            await self._send(send, self._framed(text))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, text: str) -> None:
        self._client.writing_since = time.monotonic()
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        self._client.writing_since = None


async def _gone(receive: Receive) -> None:
    """Returns when the client has closed the line."""
    while (await receive())["type"] != "http.disconnect":
        pass
