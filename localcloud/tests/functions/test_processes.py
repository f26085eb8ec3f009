"""One app in several processes, as FUNCTIONS_WORKER_PROCESS_COUNT has it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from localcloud.functions.errors import StartRefused
from localcloud.functions.settings import worker_processes
from localcloud.tests.functions.running_host import (
    APPS,
    RunningHost,
    eventually,
    refusal,
    running,
)
from localcloud.tests.functions.test_timers import runs, settings

COUNT = "FUNCTIONS_WORKER_PROCESS_COUNT"
SETTING = "learn:azure/azure-functions/functions-app-settings"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def pair(
    postgres: str, evidence: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningHost]:
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as session:
        session.execute("CREATE DATABASE pair")
    env = {
        "EVIDENCE": str(evidence),
        "Bus": "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=k;SharedAccessKey=a2V5;"
        "UseDevelopmentEmulator=true;",
        "LOCALCLOUD_DURABLE_PG_URL": f"{postgres}/pair",
        "AzureWebJobs.take.Disabled": "1",
        COUNT: "2",
    }
    with running(APPS / "fragile", tmp_path_factory.mktemp("pair"), env=env) as host:
        yield host


def pids(host: RunningHost) -> set[int]:
    return {child.pid for child in psutil.Process(host.process.pid).children()}


def answering(host: RunningHost, path: str = "/api/pid") -> int:
    """Which process answers on a connection of its own."""
    answer = httpx.get(f"{host.http.base_url}{path}", timeout=20)
    return int(answer.text.removeprefix("pid "))


@pytest.mark.conforms(
    "Worker process",
    "FUNCTIONS_WORKER_PROCESS_COUNT processes run the app; requests come to all of them",
    source=SETTING,
)
def test_each_process_answers_requests(pair: RunningHost) -> None:
    both = pids(pair)
    for pid in both:
        eventually(lambda wanted=pid: answering(pair) == wanted)  # type: ignore[misc]

    assert len(both) == 2
    assert pair.log.count("Functions:") == 1


def test_one_dies_and_is_replaced_while_the_other_goes_on(pair: RunningHost) -> None:
    before = pids(pair)
    victim = min(before)
    (other,) = before - {victim}

    psutil.Process(victim).send_signal(signal.SIGKILL)
    eventually(lambda: len(pids(pair) - {victim}) == 2)

    (successor,) = pids(pair) - before
    assert psutil.pid_exists(other)
    eventually(lambda: answering(pair) == successor, within_s=30)
    assert pair.log.count("The app's process was ended by SIGKILL: this is a new one") == 1


def test_an_orchestration_goes_on_in_whichever_process(pair: RunningHost, evidence: Path) -> None:
    answer = httpx.post(f"{pair.http.base_url}/api/start/errand-2", timeout=20)
    url = answer.json()["statusQueryGetUri"]

    def status() -> int:
        try:
            return httpx.get(url, timeout=20).status_code
        except httpx.TransportError:
            return 0  # the process that answered was just dying

    eventually(lambda: status() == 200, within_s=30)
    assert httpx.get(url).json()["output"] == ["before", "deadly", "after"]
    assert len((evidence / "step_deadly").read_text().split()) == 2
    assert len((evidence / "step_after").read_text().split()) == 1


def test_timers_fire_in_one_of_them(tmp_path: Path) -> None:
    """Azure's timers are singletons: one instance of the app fires them."""
    env = settings(tmp_path) | {COUNT: "2"}
    with running(APPS / "clock", tmp_path / "state", env=env):
        eventually(lambda: len(runs(tmp_path, "every_second")) >= 4)

    assert len({run["pid"] for run in runs(tmp_path, "every_second")}) == 1


def test_all_of_them_drain(tmp_path: Path) -> None:
    with running(APPS / "web", tmp_path, env={COUNT: "3"}) as host:
        assert len(pids(host)) == 3

        assert host.stop() == 0

        assert host.log.count(" drained") == 3


def test_what_cannot_start_once_is_not_started_twice(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text("raise OSError('out of order')\n")

    said = refusal(tmp_path, tmp_path / "state", {COUNT: "3"})

    assert said.count("out of order") >= 1
    assert said.count("the app cannot be indexed") == 1


@pytest.mark.parametrize(("text", "count"), [(None, 1), ("", 1), ("1", 1), ("10", 10)])
def test_the_setting_counts_from_one_to_ten(text: str | None, count: int) -> None:
    assert worker_processes({} if text is None else {COUNT: text}) == count


@pytest.mark.parametrize("text", ["0", "11", "-1", "two", "1.5", "²"])
def test_any_other_count_is_refused(text: str) -> None:
    with pytest.raises(StartRefused) as refused:
        worker_processes({COUNT: text})

    assert str(refused.value) == f"{COUNT} is a number from 1 to 10, not {text!r}"
