"""How the host ends."""

import concurrent.futures
import os
import signal
from pathlib import Path

import httpx
import pytest

from localcloud.tests.functions.running_host import APPS, eventually, running

UNLIMITED = {"AzureFunctionsJobHost__functionTimeout": "-1"}


def test_a_running_function_finishes_after_sigterm(tmp_path: Path) -> None:
    with (
        running(APPS / "web", tmp_path / "state", env=UNLIMITED) as host,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        path = f"/api/sleep/0.7?evidence={tmp_path}"
        answer = pool.submit(host.http.get, path)
        eventually((tmp_path / "begun").exists)

        host.ask_to_stop()

        assert answer.result().text == "slept"
        assert host.process.wait(10) == 0
        assert (tmp_path / "done").exists()
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{host.port}/health")


def test_a_function_that_outlives_the_grace_period_is_ended(tmp_path: Path) -> None:
    with (
        running(APPS / "web", tmp_path / "state", "--grace-s", "0.3", env=UNLIMITED) as host,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(host.http.get, f"/api/sleep/60?evidence={tmp_path}")
        eventually((tmp_path / "begun").exists)

        assert host.stop() == 0

        assert answer.result().status_code == 500
        assert "ended while running: sleep" in host.log
        assert not (tmp_path / "done").exists()


def test_a_blocked_thread_does_not_keep_the_host_alive(tmp_path: Path) -> None:
    with (
        running(APPS / "web", tmp_path, "--grace-s", "0.3", env=UNLIMITED) as host,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(host.http.get, "/api/block/60")
        eventually(lambda: "Executing 'Functions.block'" in host.log)

        assert host.stop() == 0

        assert answer.result().status_code == 500


def test_a_second_signal_ends_the_host_at_once(tmp_path: Path) -> None:
    with (
        running(APPS / "web", tmp_path / "state", env=UNLIMITED) as host,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(host.http.get, f"/api/sleep/1.9?evidence={tmp_path}")
        eventually((tmp_path / "begun").exists)
        host.ask_to_stop()
        eventually(lambda: "draining" in host.log)

        os.kill(host.process.pid, signal.SIGINT)

        assert host.process.wait(5) == 1
        assert answer.result().status_code == 500


def test_an_idle_host_drains_quickly_and_says_so(tmp_path: Path) -> None:
    with running(APPS / "web", tmp_path) as host:
        assert host.stop() == 0
        assert host.log.rstrip().endswith("drained")
