"""The body of a request: read as a whole for a policy, or passed on as it comes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from localcloud.gateway.policy.faults import Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BUFFERED_MAX = 2 * 1024 * 1024
PAYLOAD_MAX = 1024 * 1024 * 1024
"""Azure's own bounds (learn.microsoft.com, "API Management gateway runtime limits"), in bytes."""
PATIENCE_S = 30.0
"""How long the next part of a body may take."""


class RequestBody:
    """One request's body. `length` is what Content-Length says, None if the body is chunked."""

    def __init__(self, receive: Receive, length: int | None) -> None:
        self._receive = receive
        self.length = length
        self._whole: bytes | None = b"" if length == 0 else None
        self.begun = False
        """Whether the client has been asked for any of it."""
        self.fault: Refusal | None = None
        """Why passing it on came to an end before the body did."""

    @property
    def whole(self) -> bytes | None:
        """All of it once it has been read; None before."""
        return self._whole

    async def read(self, limit: int) -> bytes:
        """All of it, the same at every call. Raises Refusal 413 above `limit` bytes, 408, 499."""
        if self._whole is None:
            if self.length is not None and self.length > min(limit, BUFFERED_MAX):
                raise _too_large()
            self._whole = await self._gather(min(limit, BUFFERED_MAX))
        if len(self._whole) > limit:
            raise _too_large()
        return self._whole

    async def stream(self) -> AsyncIterator[bytes]:
        """The parts as they come. Raises Refusal 413 beyond a gibibyte, 408, 499."""
        size, more = 0, True
        try:
            while more:
                part, more = await self._part()
                size += len(part)
                if size > PAYLOAD_MAX:
                    raise _too_large()
                if part:
                    yield part
        except Refusal as refusal:
            self.fault = refusal
            raise

    async def _gather(self, limit: int) -> bytes:
        part, more = await self._part()
        if not more and len(part) <= limit:
            return part
        parts, size = [part], len(part)
        while more:
            if size > limit:
                raise _too_large()
            part, more = await self._part()
            parts.append(part)
            size += len(part)
        if size > limit:
            raise _too_large()
        return b"".join(parts)

    async def _part(self) -> tuple[bytes, bool]:
        """The next part, and whether more follow."""
        self.begun = True
        try:
            async with asyncio.timeout(PATIENCE_S):
                message = await self._receive()
        except TimeoutError as fault:
            raise Refusal(
                source="request", reason="BadRequest", message="the body stopped", status=408
            ) from fault
        if message["type"] == "http.disconnect":
            raise Refusal(source="client", reason="ClientConnectionFailure", status=499)
        return message.get("body", b""), bool(message.get("more_body"))


def _too_large() -> Refusal:
    return Refusal(source="request", reason="BodyTooLarge", status=413)
