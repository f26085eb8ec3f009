"""Every sample app as its author would start it: by the command line, with its own database."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from localcloud.process import PREFIX
from localcloud.tests.durable.conftest import postgres as postgres  # noqa: PLC0414 - a fixture

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "localcloud" / "samples"
PATIENCE_S = 20.0


@dataclass
class Started:
    """An app that `functions start` runs."""

    process: subprocess.Popen[str]
    http: httpx.Client
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def start(
    script_root: Path, state: Path, *options: str, env: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """`functions start` on a free port, stopped at the end of the block.

    AssertionError with what it said when it does not serve.
    """
    log_file = state / "start.log"
    command = [sys.executable, "-m", "localcloud", "functions", "start", "--port", "0"]
    command += ["--script-root", str(script_root), "--state", str(state / "state"), *options]
    with log_file.open("a") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=os.environ | dict(env or {}),
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(PREFIX), log_file.read_text("utf-8")
        port = int(line.partition('"port": ')[2].partition(",")[0])
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            yield Started(process, client, log_file)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)
        process.stdout.close()


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that the database's own user can enter, unlike pytest's."""
    made = Path(tempfile.mkdtemp(prefix="samples-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def sample(
    postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Started]]:
    """Starts a sample, once per module, on a database of its own."""
    running: dict[str, Started] = {}
    with contextlib.ExitStack() as stack:

        def started(name: str, **settings: str) -> Started:
            if name not in running:
                with psycopg.connect(f"{postgres}/postgres", autocommit=True) as session:
                    session.execute(f"CREATE DATABASE sample_{name}".encode())
                env = {"LOCALCLOUD_DURABLE_PG_URL": f"{postgres}/sample_{name}", **settings}
                state = tmp_path_factory.mktemp(name)
                running[name] = stack.enter_context(
                    start(SAMPLES / name, state, "--no-reload", env=env)
                )
            return running[name]

        yield started


def eventually(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Return once `condition` holds. AssertionError when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def ended(links: Mapping[str, str]) -> dict[str, Any]:
    """The status of an orchestration once it is over."""
    eventually(lambda: httpx.get(links["statusQueryGetUri"]).status_code == 200)
    status: dict[str, Any] = httpx.get(links["statusQueryGetUri"]).json()
    return status
