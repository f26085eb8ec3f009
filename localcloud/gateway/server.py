"""Serves both ports in one process, and stops in order."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn

from localcloud.gateway.connection import Socket, http_protocol
from localcloud.gateway.front import Front, Gateway
from localcloud.gateway.sockets import MESSAGE_MAX, PING_S
from localcloud.process import ready

GRACE_S = 10
"""How long requests may go on after SIGTERM."""
KEEP_ALIVE_S = 75

_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Two of them share the process: neither has a say about signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(gateway: Gateway, external: socket.socket, internal: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way; a second signal cuts it off.

    Event streams end at once and in order, WebSockets with 1012: their clients come again.
    """
    sockets = {"external": external, "internal": internal}
    servers = [_server(Front(gateway, port)) for port in sockets]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True
        _log.info("stopping: what is under way may take %d s", GRACE_S)
        gateway.drain()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    pairs = zip(servers, sockets.values(), strict=True)
    tasks = [asyncio.create_task(server.serve(sockets=[bound])) for server, bound in pairs]
    while not all(server.started for server in servers):
        if any(task.done() for task in tasks):
            break
        await asyncio.sleep(0.005)
    else:
        ports = {port: bound.getsockname()[1] for port, bound in sockets.items()}
        ready(port=ports["external"], internal_port=ports["internal"])
    await asyncio.gather(*tasks)
    _log.info("stopped")


def _server(front: Front) -> _Server:
    return _Server(
        uvicorn.Config(
            front,
            http=http_protocol(front.is_socket),
            ws=Socket,
            ws_max_size=MESSAGE_MAX,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
