"""Runs the Functions host as the process that it is, for its tests."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from localcloud.process import PREFIX

APPS = Path(__file__).parent / "apps"
_ROOT = Path(__file__).parents[3]
_PATIENCE_S = 20.0


@dataclass
class RunningHost:
    """A host that serves an app."""

    process: subprocess.Popen[str]
    port: int
    durable_port: int
    state: Path
    log_file: Path
    http: httpx.Client

    @property
    def app(self) -> psutil.Process:
        """The process that runs the app; `process` is the guard that starts it anew."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8")

    @property
    def keys(self) -> dict[str, Any]:
        keys: dict[str, Any] = json.loads((self.state / "keys.json").read_text("utf-8"))
        return keys

    def fire(self, function: str, given: str = "") -> None:
        """Run a timer or Service Bus function now; returns before it ends."""
        answer = self.http.post(
            f"/admin/functions/{function}",
            json={"input": given},
            headers={"x-functions-key": self.keys["master"]},
        )
        assert answer.status_code == 202

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Drain it; its exit code."""
        self.ask_to_stop()
        return self.process.wait(_PATIENCE_S)

    def kill(self) -> None:
        """End it as a power cut would."""
        app = self.app
        self.process.kill()
        app.wait(_PATIENCE_S)
        self.process.wait(_PATIENCE_S)


@contextlib.contextmanager
def running(
    script_root: Path, state: Path, *options: str, env: Mapping[str, str] | None = None
) -> Iterator[RunningHost]:
    """The host with the app of `script_root`, killed at the end of the block.

    AssertionError with what it said when it does not start.
    """
    state.mkdir(parents=True, exist_ok=True)
    log_file = state / "host.log"
    process = _started(script_root, state, log_file, options, env or {})
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(PREFIX), log_file.read_text("utf-8")
        facts = json.loads(line.removeprefix(PREFIX))
        with httpx.Client(base_url=f"http://127.0.0.1:{facts['port']}", timeout=20) as client:
            yield RunningHost(
                process, facts["port"], facts["durable_port"], state, log_file, client
            )
    finally:
        process.kill()
        process.wait(_PATIENCE_S)
        process.stdout.close()


def refusal(script_root: Path, state: Path, env: Mapping[str, str] | None = None) -> str:
    """What a host that declines to start says; AssertionError when it starts."""
    state.mkdir(parents=True, exist_ok=True)
    log_file = state / "host.log"
    process = _started(script_root, state, log_file, (), env or {})
    out, _ = process.communicate(timeout=_PATIENCE_S)
    assert out == ""
    assert process.returncode == 1
    return log_file.read_text("utf-8")


def _started(
    script_root: Path, state: Path, log_file: Path, options: tuple[str, ...], env: Mapping[str, str]
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "localcloud.functions", "--script-root", str(script_root)]
    command += ["--port", "0", "--durable-port", "0", "--state", str(state), *options]
    with log_file.open("a") as errors:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=_ROOT,
            env=os.environ | {"PYTHONPATH": str(_ROOT)} | dict(env),
        )


def eventually(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    """Return once `condition` holds. AssertionError when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)
