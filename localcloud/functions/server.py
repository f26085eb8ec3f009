"""An HTTP server in a running loop, without a say about signals."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from localcloud.functions.connection import protocol_with
from localcloud.functions.http import AsgiApp
from localcloud.functions.lifelines import Lifelines


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Serves one ASGI application on one listening socket."""

    def __init__(
        self, app: AsgiApp, listener: socket.socket, lifelines: Lifelines | None = None
    ) -> None:
        """`lifelines` for a server whose callers are to be answered whatever happens."""
        self._listener = listener
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=protocol_with(lifelines),
                lifespan="off",
                ws="none",
                loop="none",
                log_config=None,
                proxy_headers=False,
                access_log=False,
                server_header=False,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; returns once connections are taken."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.005)

    def stop_accepting(self) -> None:
        """Take no new connection, close the idle ones; requests in flight go on."""
        self._server.should_exit = True

    async def closed(self, within_s: float) -> None:
        """Wait for the requests in flight, then drop what is left."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(within_s):
                await asyncio.shield(self._task)
        except TimeoutError:
            self._server.force_exit = True
            await self._task
