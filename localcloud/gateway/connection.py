"""The HTTP and WebSocket protocols of the gateway's ports: what is refused before it is read.

Requests that two HTTP readers could understand differently are answered with 400 and the line is
cut (RFC 9112 §3.2, §6.3, §11.2). The parser (llhttp) refuses ambiguous lengths by itself.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from localcloud.gateway.policy.faults import Refusal

HEADERS_MAX = 24 * 1024
"""All header lines of a request; it leaves a backend with Kestrel's 32 KiB room for our own."""
COUNT_MAX = 90
"""Kestrel takes a hundred."""
HEAD_WITHIN_S = 15.0
"""How long a head may take, from its first byte."""
LINE = "gateway.line"
_ENDLESS = 96 * 1024
_VERSIONS = frozenset({"1.0", "1.1"})

# uvicorn writes the URL of a WebSocket into its log, query string and all.
logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


class Line:
    """A request's connection, as the application sees it."""

    __slots__ = ("_running", "cut", "lost", "refusal")

    def __init__(self, running: set[asyncio.Task[Any]], cut: Callable[[], None]) -> None:
        self._running = running
        self.cut = cut
        """Ends the connection at once."""
        self.refusal: Refusal | None = None
        """Why the request must not be passed on."""
        self.lost = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """The task of the request, cancelled when the client goes away."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            yield
        finally:
            self._running.discard(task)


class Http(HttpToolsProtocol):
    """HTTP/1.1 with bounds; upgrades to WebSockets only where `is_socket` says so of a path."""

    is_socket: Callable[[bytes], bool] = staticmethod(lambda _: False)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._line: Line | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_WITHIN_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        if self._line is not None:
            self._line.lost = True
        for task in self._running:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._timer is not None and self._head > _ENDLESS:
            self._answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_WITHIN_S, self.transport.abort)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        large, self._head = self._head > HEADERS_MAX, 0
        self._line = line = Line(self._running, self.transport.abort)
        self.scope["extensions"] = {LINE: line}  # type: ignore[dict-item] # an object of ours
        if self.parser.get_http_version() not in _VERSIONS:
            raise httptools.HttpParserError  # answered with 400
        if self.url[:1] != b"/":
            self._read_absolute()
        line.refusal = self._refusal(large=large)
        super().on_headers_complete()
        ends = line.refusal is not None or self.parser.should_upgrade()
        if ends and not self._should_upgrade():
            self.cycle.keep_alive = False

    def _read_absolute(self) -> None:
        """RFC 9112 §3.2.2: a target in absolute form names the host, whatever Host says."""
        target = httptools.parse_url(self.url)  # its error is answered with 400
        if not target.host:
            raise httptools.HttpParserInvalidURLError
        port = b":%d" % target.port if target.port else b""
        self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"]
        self.headers.append((b"host", target.host + port))
        self.url = (target.path or b"/") + (b"?" + target.query if target.query else b"")

    def _refusal(self, *, large: bool) -> Refusal | None:
        hosts = bodies = 0
        for name, _ in self.headers:
            if name == b"host":
                hosts += 1
            elif name in {b"content-length", b"transfer-encoding"}:
                bodies += 1
        if len(self.headers) > COUNT_MAX or (large and _size(self.headers) > HEADERS_MAX):
            return Refusal(source="request", reason="HeadersTooLarge", status=431)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            return _bad("a request names one host")
        if bodies > 1 or (bodies and self.parser.get_http_version() == "1.0" and self._chunked()):
            return _bad("the length of the body is given in two ways")
        if bodies and self.parser.should_upgrade():
            return _bad("a request that changes the protocol has no body")
        return None

    def _chunked(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    def _should_upgrade(self) -> bool:
        if self._line is None or self._line.refusal is not None:
            return False
        return super()._should_upgrade() and self.is_socket(self.url.partition(b"?")[0])

    def _unsupported_upgrade_warning(self) -> None:
        """RFC 9110 §7.8: whoever does not know the other protocol ignores the wish."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - what was wrong helps nobody
        self._answer(HTTPStatus.BAD_REQUEST, "bad-request")

    def _answer(self, status: HTTPStatus, code: str) -> None:
        """Answer what never became a request, and hang up."""
        if self.transport.is_closing():
            return
        correlation_id = str(uuid.uuid4())
        problem = {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "code": code,
            "correlation_id": correlation_id,
        }
        body = json.dumps(problem).encode("utf-8")
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nx-correlation-id: {correlation_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Socket(WebSocketsSansIOProtocol):
    """WebSockets; whoever pings and does not read the answers is cut."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The application's task was made just now and has not run yet.
            line: Any = Line(set(), self.transport.abort)
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), LINE: line}

    def handle_ping(self) -> None:
        # Pongs go past the application and its bounds.
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()


def http_protocol(is_socket: Callable[[bytes], bool]) -> type[Http]:
    """The HTTP protocol of a port whose WebSockets are where `is_socket` says."""
    return type("PortHttp", (Http,), {"is_socket": staticmethod(is_socket)})


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _bad(message: str) -> Refusal:
    return Refusal(source="request", reason="BadRequest", message=message, status=400)
