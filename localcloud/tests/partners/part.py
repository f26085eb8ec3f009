"""Runs one part of the local cloud as the process that it is, for the tests of that part."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.process import PREFIX

STOP_WITHIN_S = 15.0


@dataclass(frozen=True)
class Part:
    """A part that serves."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(STOP_WITHIN_S)

    def stop(self) -> int:
        """Ask it to drain; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_WITHIN_S)


def start(module: str, state: Path, *options: str, port: int = 0) -> Part:
    """The part, once it says that it serves. RuntimeError with its log when it ends instead."""
    state.mkdir(parents=True, exist_ok=True)
    log = state / f"{module}.log"
    command = [sys.executable, "-m", module, "--port", str(port), "--state", str(state), *options]
    with log.open("a") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ)
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(PREFIX):
        process.kill()
        process.wait(STOP_WITHIN_S)
        raise RuntimeError(f"{module} said {line!r}\n{log.read_text()}")
    return Part(process, json.loads(line.removeprefix(PREFIX))["port"], log)


@contextmanager
def running(module: str, state: Path, *options: str) -> Iterator[Part]:
    """The part for the length of a block, gone for certain afterwards."""
    part = start(module, state, *options)
    try:
        yield part
    finally:
        if part.process.poll() is None:
            part.kill()
        assert part.process.stdout is not None
        part.process.stdout.close()
