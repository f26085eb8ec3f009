"""One connection to Valkey for all requests: what is asked at the same time shares a round trip.

A client with a pool opens a connection for each request that waits, which costs more than the
questions. Replies come in the order of the commands, so a queue of futures is all there is to it.
"""

import asyncio
import hashlib
from collections import deque
from typing import Any, cast
from urllib.parse import unquote, urlsplit


class ValkeyFault(Exception):
    """Valkey answered with an error, or its connection broke."""


class Script:
    """A Lua script, known to Valkey by its digest once it was evaluated."""

    def __init__(self, text: str) -> None:
        self.text = text.encode("utf-8")
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode("ascii")


class ValkeyLine:
    """Asks the server at `url` (`redis[s]://[user:password@]host:port/number`).

    It connects when it is first asked, and anew when the connection was lost.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "127.0.0.1", parts.port or 6379
        self._tls = True if parts.scheme == "rediss" else None
        self._greeting: list[tuple[bytes, ...]] = []
        if parts.password is not None:
            user = (unquote(parts.username or "default").encode(), unquote(parts.password).encode())
            self._greeting.append((b"AUTH", *user))
        if number := parts.path.strip("/"):
            self._greeting.append((b"SELECT", number.encode("ascii")))
        self._replies: _Replies | None = None
        self._connecting = asyncio.Lock()

    async def evaluate(self, script: Script, key: bytes, *arguments: bytes) -> Any:
        """What `script` returns. Raises ValkeyFault, OSError."""
        replies = self._replies
        if replies is None or replies.lost:
            replies = await self._connected()
        try:
            return await replies.ask(b"EVALSHA", script.digest, b"1", key, *arguments)
        except ValkeyFault as fault:
            if not str(fault).startswith("NOSCRIPT"):
                raise
        return await replies.ask(b"EVAL", script.text, b"1", key, *arguments)

    def close(self) -> None:
        """Hang up."""
        if self._replies is not None:
            self._replies.hang_up()

    async def _connected(self) -> "_Replies":
        async with self._connecting:
            if self._replies is None or self._replies.lost:
                loop = asyncio.get_running_loop()
                _, replies = await loop.create_connection(_Replies, *self._address, ssl=self._tls)
                for command in self._greeting:
                    await replies.ask(*command)
                self._replies = replies
            return self._replies


class _Replies(asyncio.Protocol):
    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unread = b""
        self._transport: asyncio.Transport | None = None
        self.lost = False

    def ask(self, *words: bytes) -> asyncio.Future[Any]:
        """The reply to one command."""
        assert self._transport is not None, "it is connected"
        future = asyncio.get_running_loop().create_future()
        if self.lost:
            future.set_exception(ValkeyFault("the connection is lost"))
            return future
        self._waiting.append(future)
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        self._transport.write(b"".join(parts))
        return future

    def hang_up(self) -> None:
        """Close the connection; whoever waits gets a ValkeyFault."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is of no such class

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(ValkeyFault(f"the connection is lost: {exc or 'closed'}"))
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        data = self._unread + data
        at = 0
        while (found := _reply(data, at)) is not None:
            value, at = found
            future = self._waiting.popleft()
            if future.done():  # whoever asked has lost patience
                continue
            if isinstance(value, ValkeyFault):
                future.set_exception(value)
            else:
                future.set_result(value)
        self._unread = data[at:]


def _reply(data: bytes, at: int) -> tuple[Any, int] | None:
    """The reply (RESP2) that begins at `at` and where it ends; None when it is not complete."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, text, after = data[at : at + 1], data[at + 1 : end], end + 2
    match kind:
        case b":":
            return int(text), after
        case b"-":
            return ValkeyFault(text.decode("utf-8", "replace")), after
        case b"*":
            return _array(data, int(text), after)
        case b"$":
            length = int(text)
            if length < 0:
                return None, after
            whole = after + length + 2
            return (data[after : whole - 2], whole) if len(data) >= whole else None
        case _:
            return text, after


def _array(data: bytes, count: int, at: int) -> tuple[Any, int] | None:
    values = []
    for _ in range(count):
        found = _reply(data, at)
        if found is None:
            return None
        value, at = found
        values.append(value)
    return values, at
