"""How every part of the local cloud starts, logs, reports readiness and drains."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import uvicorn

if TYPE_CHECKING:
    from localcloud.pki import Certificate

PREFIX = "READY "
"""Starts the one line that a part writes to standard output once it serves."""


class _UtcFormatter(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002 - the base class names it so
        base = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{base}.{int(record.msecs):03d}Z"


def configure_logging(part: str, level: str = "INFO") -> None:
    """Send every log record to standard error as `<UTC time> <LEVEL> <part> <message>`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_UtcFormatter(f"%(asctime)s %(levelname)s {part} %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def ready(**facts: Any) -> None:
    """Tell whoever started this part that it serves, and where."""
    sys.stdout.write(PREFIX + json.dumps(facts) + "\n")
    sys.stdout.flush()


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(1024)
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """uvicorn raises a captured signal again once it is down; a drained part must exit with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_asgi(
    app: Any,
    *,
    host: str,
    port: int,
    ready_facts: Callable[[int], Mapping[str, Any]] | None = None,
    grace_s: float = 5.0,
    tls: "Certificate | None" = None,
    tls_port: int | None = None,
) -> None:
    """Serve `app` until SIGTERM or SIGINT, then finish the requests in flight.

    Over TLS with a certificate `tls`; with a `tls_port` too, in the clear on `port` and over TLS
    on that one.

    Reports readiness once the application's start-up is over. OSError when the port is taken;
    RuntimeError when the application refuses to start.
    """
    listener = bind(host, port)
    bound: int = listener.getsockname()[1]
    server = _server(app, grace_s, None if tls_port is not None else tls)
    servers = [server]
    tasks = [await _started(server, listener)]
    facts = dict(ready_facts(bound)) if ready_facts else {}
    if tls_port is not None:
        encrypted = bind(host, tls_port)
        servers.append(_server(app, grace_s, tls, lifespan="off"))
        tasks.append(await _started(servers[-1], encrypted))
        facts["tls_port"] = encrypted.getsockname()[1]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for each in servers:
            each.should_exit = True

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    ready(port=bound, **facts)
    # The first one ends the application, which the other one must have left by then.
    for task in reversed(tasks):
        await task


def _server(
    app: Any, grace_s: float, tls: "Certificate | None", lifespan: Literal["auto", "off"] = "auto"
) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(grace_s),
            server_header=False,
            lifespan=lifespan,
            ssl_certfile=tls.file if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
    )


async def _started(server: _Server, listener: socket.socket) -> "asyncio.Task[None]":
    """The server's task, once it serves. RuntimeError when the application refuses to start."""
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        if task.done():
            await task
            raise RuntimeError("the application did not start; its log says why")
        await asyncio.sleep(0.01)
    return task
