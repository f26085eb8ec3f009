"""What a person sees who starts an app in a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.tests.samples.conftest import ROOT

SOURCE = """
import logging
import azure.functions as func
app = func.FunctionApp()
logging.warning("mind the gap")

@app.route("hello", methods=["GET"])
async def hello(req: func.HttpRequest) -> str:
    return "hello"
"""
Terminal = Callable[..., str]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Starts an app whose standard error is a terminal; what that shows once all is listed."""
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(SOURCE)
    master, slave = pty.openpty()
    processes: list[subprocess.Popen[bytes]] = []

    def shown(**environment: str) -> str:
        command = [sys.executable, "-m", "localcloud", "functions", "start", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--script-root", str(tmp_path), "--state", str(tmp_path / "state")],
            stdout=subprocess.DEVNULL,
            stderr=slave,
            cwd=ROOT,
            env=os.environ | environment,
        )
        processes.append(process)
        return _read_until(master, "not asked for")

    yield shown
    for process in processes:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    os.close(master)
    os.close(slave)


def _read_until(descriptor: int, text: str) -> str:
    said, deadline = "", time.monotonic() + 30
    while text not in said:
        assert time.monotonic() < deadline, said
        if select.select([descriptor], [], [], 1)[0]:
            said += os.read(descriptor, 65_536).decode()
    return said.replace("\r\n", "\n")


def test_names_urls_and_warnings_are_coloured(terminal: Terminal) -> None:
    said = terminal()

    assert re.search(
        r"\x1b\[33mhello\x1b\[0m: \[GET\] \x1b\[32mhttp://127.0.0.1:\d+/api/hello\x1b\[0m", said
    )
    assert re.search(r"\x1b\[33mmind the gap\x1b\[0m", said)


def test_no_colour_if_none_is_wanted(terminal: Terminal) -> None:
    said = terminal(NO_COLOR="1")

    assert "mind the gap" in said
    assert "\x1b" not in said
