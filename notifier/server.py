"""Serves the application with uvicorn: limits before the application, and an orderly end."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from notifier.door import BODY_LIMIT
from notifier.registry import Registry
from notifier.settings import Settings
from shared import telemetry

HEAD_LIMIT = 64 * 1024
KEEP_ALIVE_S = 65
"""Longer than a gateway keeps an idle line, so that it is the gateway who ends it."""
SEND_BUFFER = 64 * 1024
"""The kernel's, for each line: left alone it grows to megabytes for whoever does not read."""
GRACE_S = 5

_log = telemetry.logger(__name__)


class _Http(HttpToolsProtocol):
    """Bounds a request's head in time and size, and gives the application a way to cut the line."""

    head_within_s = 15.0
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self.head_within_s, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        # The head of a request that has begun and is not complete: all that came since then.
        if self._head_timer is not None and self._head_bytes > HEAD_LIMIT:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_within_s, self.transport.abort)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self.scope["extensions"] = {"notifier.abort": {"call": self.transport.abort}}
        super().on_headers_complete()

    def _stop_timer(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _WebSocket(WebSocketsSansIOProtocol):
    """Gives the application a way to cut the line, and cuts it for who pings and does not read."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The application's task was made just now and has not run yet.
            cut: dict[object, object] = {"call": self.transport.abort}
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), "notifier.abort": cut}

    def handle_ping(self) -> None:
        # Pongs bypass the application's queue and its bounds.
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn raises a captured signal again once it is down; a drained server exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. OSError when the port is taken."""
    bound = socket.create_server((host, port), backlog=2048, reuse_port=False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # lines inherit it
    bound.setblocking(False)
    return bound


async def serve(app: ASGIApp, registry: Registry, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, send every client elsewhere, and return.

    A second signal cuts all lines at once. OSError when the port is taken.
    """
    bound = listener(settings.notifier_host, settings.notifier_port)
    server = _Server(_config(app, settings))
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            server.should_exit = server.force_exit = True
        # Readiness says no from this moment on, and nobody new is let in.
        registry.draining = True
        stopping.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    _log.info("serving on %s:%d", *bound.getsockname()[:2])
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not serving.done():
        draining = asyncio.create_task(registry.drain())
        await asyncio.wait({serving, draining}, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        server.should_exit = True
    await serving
    _log.info("stopped")


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    # uvicorn writes the whole URL of a WebSocket into its log, query string and all.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Config(
        app,
        http=type("Http", (_Http,), {"head_within_s": settings.notifier_handshake_s}),
        ws=_WebSocket,
        ws_max_size=BODY_LIMIT,
        ws_per_message_deflate=False,  # costs more memory per client than all the rest
        ws_ping_interval=None,  # the hub protocol has pings of its own
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
