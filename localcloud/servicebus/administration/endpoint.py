"""Serves the administration API in the broker's own process and event loop.

There it sees entities as they are, and no second process has to be kept alive, fed and in step.
A request only reads and changes descriptions; what it stores goes through the broker's one writer.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette

GRACE_S: Final = 1
_LARGEST_HEAD: Final = 32 * 1024


class _Server(uvicorn.Server):
    """The broker handles the signals, for both of its ports."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Endpoint:
    """One HTTPS port. `close` lets the requests in flight end."""

    def __init__(self, app: Starlette, listener: socket.socket, context: ssl.SSLContext) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE_S,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            ssl_context_factory=lambda _config, _default: context,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def close(self) -> None:
        self._server.should_exit = True
        await self._task
