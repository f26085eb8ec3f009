"""A gateway under test, as the process that it is."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from redis.exceptions import RedisError

from localcloud import valkey as server
from localcloud.process import PREFIX, bind
from localcloud.tests.gateway.backend import Backend

WITHIN_S = 30.0


@dataclass(frozen=True)
class Process:
    """A gateway that serves."""

    process: subprocess.Popen[str]
    port: int
    internal_port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """Ask it to drain; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)

    def logged(self, text: str) -> str:
        """The line of the log that holds `text`, once it is there."""
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            for line in self.log.read_text("utf-8").splitlines():
                if text in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{text!r} is not in\n{self.log.read_text('utf-8')}")


@dataclass(frozen=True)
class Rig:
    """A gateway with a client and the backend behind it."""

    gateway: Process
    http: httpx.AsyncClient
    backend: Backend
    folder: Path

    async def raw(self, request: bytes, *, until_closed: bool = True) -> bytes:
        """What comes back for these bytes; up to the end of the connection, or of one answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        try:
            writer.write(request)
            async with asyncio.timeout(WITHIN_S):
                if until_closed:
                    return await reader.read()
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                return head + await reader.readexactly(int(length or b"0"))
        finally:
            writer.close()
            await writer.wait_closed()


def command(folder: Path, backend: str, redis_url: str, *options: str) -> list[str]:
    """A gateway on free ports."""
    given = {
        "--external-port": "0",
        "--internal-port": "0",
        "--apim": str(folder),
        "--functions-url": backend,
        "--notifier-url": backend,
        "--identity-url": backend,
        "--redis-url": redis_url,
    }
    words = [word for option in given.items() for word in option]
    return [sys.executable, "-m", "localcloud.gateway", *words, *options]


@contextmanager
def running(
    folder: Path, backend: str, redis_url: str, *options: str, log_beside: Path | None = None
) -> Iterator[Process]:
    """A gateway for the length of a block, gone for certain afterwards."""
    log = (log_beside or folder).parent / f"gateway-{time.monotonic_ns()}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command(folder, backend, redis_url, *options),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(PREFIX), log.read_text("utf-8")
        facts: dict[str, Any] = json.loads(line.removeprefix(PREFIX))
        yield Process(process, facts["port"], facts["internal_port"], log)
    finally:
        process.kill()
        process.wait(WITHIN_S)
        process.stdout.close()


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """A Valkey server; its URL."""
    listener = bind("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    listener.close()
    with (folder / "valkey.log").open("w") as log:
        process = subprocess.Popen(server.command(folder, port), stdout=log, stderr=log)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        until(lambda: answers(url))
        yield url
    finally:
        process.kill()
        process.wait(WITHIN_S)


def answers(url: str) -> bool:
    """Whether Valkey is there."""
    with Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except (RedisError, OSError):
            return False


def until(good: Callable[[], bool]) -> None:
    """Return once `good` says so. AssertionError when it does not in time."""
    deadline = time.monotonic() + WITHIN_S
    while not good():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
