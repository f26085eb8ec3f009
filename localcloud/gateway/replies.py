"""Writes an answer to the client as ASGI wants it."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any

from localcloud.gateway.bodies import RequestBody
from localcloud.gateway.policy import Context, Response

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_BODILESS = frozenset({204, 304})


class Replies:
    """The one answer to one request. `status` is 0 until it has begun."""

    def __init__(self, context: Context, scope: MutableMapping[str, Any], send: Send) -> None:
        self._context, self._send = context, send
        self.is_socket = scope["type"] == "websocket"
        self.status = self.size = 0
        self.started = False

    async def send(self, response: Response) -> None:
        """Relay `response`; a body in parts as they come. Lets go of it, however that ends."""
        try:
            await self._begin(response)
            if isinstance(response.body, bytes):
                self.size = len(response.body)
                await self._send({"type": "http.response.body", "body": response.body})
                return
            async for part in response.body:
                self.size += len(part)
                await self._send({"type": "http.response.body", "body": part, "more_body": True})
            await self.end()
        finally:
            await response.discard()

    async def end(self) -> None:
        """Nothing more follows. RuntimeError when the length that was told is not reached."""
        await self._send({"type": "http.response.body", "body": b""})

    async def deny(self, response: Response) -> None:
        """Answer a WebSocket's handshake with something else than a connection."""
        body = response.body if isinstance(response.body, bytes) else b""
        self.started, self.status, self.size = True, response.status, len(body)
        response.headers.set("Content-Length", str(len(body)))
        start = "websocket.http.response.start"
        headers = response.headers.to_asgi()
        await self._send({"type": start, "status": response.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def _begin(self, response: Response) -> None:
        self.started, self.status = True, response.status
        headers = response.headers
        if isinstance(response.body, bytes):
            if response.status in _BODILESS:
                response.body = b""
                headers.remove("Content-Length")
            elif self._context.request.method != "HEAD":
                headers.set("Content-Length", str(len(response.body)))
        if "Date" not in headers:
            headers.set("Date", _now())
        if self._unsent():
            headers.set("Connection", "close")
        await self._send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": headers.to_asgi(),
            }
        )

    def _unsent(self) -> bool:
        """RFC 9110 §10.1.1: who waits for 100 Continue may send the body after all, or not."""
        body = self._context.request.body
        waits = "Expect" in self._context.request.headers
        return waits and isinstance(body, RequestBody) and not body.begun


_date = (0, "")


def _now() -> str:
    """The time as HTTP writes it; made once a second."""
    global _date  # noqa: PLW0603 - every answer needs it
    second = int(time.time())
    if _date[0] != second:
        _date = second, formatdate(second, usegmt=True)
    return _date[1]
