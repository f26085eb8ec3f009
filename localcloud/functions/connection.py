"""The HTTP protocol of the host's connections: it bounds requests, and ties itself to the guard.

It is on the way of every request, so it does little, and calls its base class by name.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from localcloud.functions.bounds import COUNT_LIMIT, LINE_LIMIT, refusal_of
from localcloud.functions.lifelines import UNTIED, Lifelines

# A head that has not ended by then never will. More than what may be read at once.
_ENDLESS = 1 << 19
# Who connected before the listener closed has sent its request by then.
_ON_ITS_WAY_S = 0.1


class _TooLarge(Exception):
    """Ends the parsing of a request."""


class Protocol(HttpToolsProtocol):
    """Answers 414 and 431 where Kestrel does, and 400 to what is no HTTP; then hangs up.

    With `lifelines` the connection is the guard's too, and marked while a request waits for its
    answer.
    """

    lifelines: Lifelines | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # At most so many bytes belong to the head that is being read.
        self._head = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._last = False
        self._slot = UNTIED
        self._marks = bytearray(1) if self.lifelines is None else self.lifelines.marks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.lifelines is not None:
            self._slot = self.lifelines.tie(transport.get_extra_info("socket").fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.lifelines is not None:
            self.lifelines.cut(self._slot)
            self._slot = UNTIED

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        HttpToolsProtocol.data_received(self, data)
        if self._head > LINE_LIMIT:
            self._look()

    def _look(self) -> None:
        """What came may be a body, which counts elsewhere, or a head without end."""
        if self.scope is not None and "method" in self.scope:
            self._head = 0
        elif self._head > _ENDLESS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        # Few heads are so large that they need to be measured.
        if self._head > LINE_LIMIT or len(self.headers) > COUNT_LIMIT:
            status = refusal_of(self.parser.get_method(), self.url, self.headers)
            if status is not None:
                self._refusal = status
                raise _TooLarge
        self._head = 0
        HttpToolsProtocol.on_headers_complete(self)
        self._marks[self._slot] = 1
        if self._last:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        self._marks[self._slot] = 0
        HttpToolsProtocol.on_response_complete(self)
        if not self.cycle.response_complete:  # the next one came before this was answered
            self._marks[self._slot] = 1

    def shutdown(self) -> None:
        """Answer what is under way, and what its caller sends just now, and then hang up."""
        self._last = True
        if self._is_idle():
            self.loop.call_later(_ON_ITS_WAY_S, self._hang_up)
        else:
            self.cycle.keep_alive = False

    def _hang_up(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - Kestrel tells no reason either
        """Answer with the refusal instead, and hang up."""
        self.transport.write(
            f"HTTP/1.1 {self._refusal.value} {self._refusal.phrase}\r\n"
            "content-length: 0\r\nconnection: close\r\n\r\n".encode("ascii")
        )
        self.transport.close()


def protocol_with(lifelines: Lifelines | None) -> type[Protocol]:
    """The protocol for a server whose callers are answered through `lifelines`, if any."""
    return type("TiedProtocol", (Protocol,), {"lifelines": lifelines})
