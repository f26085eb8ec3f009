"""`functionTimeout` of host.json, over the wire."""

import concurrent.futures
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from localcloud.functions.settings import load_host_options
from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running

TEXTS = "webjobs:src/Microsoft.Azure.WebJobs.Host/Executors/FunctionExecutor.cs"
RESTART = "host:src/WebJobs.Script.WebHost/WebScriptHostExceptionHandler.cs"


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[RunningHost]:
    """A host that ends functions after a second and waits for none at its end."""
    env = {"AzureFunctionsJobHost__functionTimeout": "00:00:01"}
    with running(APPS / "web", tmp_path / "host", "--grace-s", "0.3", env=env) as host:
        yield host


def pid_of(host: RunningHost) -> str:
    """Its app's process now; waits while that is being replaced."""
    return httpx.get(f"{host.http.base_url}/api/pid", timeout=20).text


@pytest.mark.conforms(
    "functionTimeout",
    "without functionTimeout the limit is 30 minutes, as on every plan but Consumption (5)",
    source="learn:azure/azure-functions/functions-scale#timeout",
)
def test_the_limit_is_half_an_hour_by_default(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')

    assert load_host_options(tmp_path, {}).function_timeout_s == 1800


@pytest.mark.conforms(
    "functionTimeout",
    '"A value of -1 indicates unbounded execution"',
    source="learn:azure/azure-functions/functions-host-json#functiontimeout",
)
def test_minus_one_is_no_limit(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0", "functionTimeout": "-1"}')

    assert load_host_options(tmp_path, {}).function_timeout_s is None


@pytest.mark.conforms(
    "functionTimeout",
    "an async function is cancelled, its caller gets a 500, and the log has Azure's two sentences",
    source=TEXTS,
)
def test_an_async_function_is_cancelled(hasty: RunningHost, tmp_path: Path) -> None:
    before = pid_of(hasty)

    answer = hasty.http.get("/api/sleep/60", params={"evidence": str(tmp_path)})

    assert (answer.status_code, answer.content) == (500, b"")
    eventually(lambda: "Timeout value of 00:00:01 was exceeded by function" in hasty.log)
    assert "Timeout value of 00:00:01 exceeded by function 'Functions.sleep' (Id: '" in hasty.log
    assert "'). Initiating cancellation." in hasty.log
    assert "Timeout value of 00:00:01 was exceeded by function: Functions.sleep" in hasty.log
    assert not (tmp_path / "done").exists()
    assert pid_of(hasty) == before


@pytest.mark.conforms(
    "functionTimeout",
    "a function whose thread cannot be ended is abandoned with a 500, and its worker restarted",
    source=RESTART,
)
def test_a_blocked_thread_is_left_behind_with_its_process(hasty: RunningHost) -> None:
    before = pid_of(hasty)

    assert hasty.http.get("/api/block/60").status_code == 500

    eventually(lambda: pid_of(hasty) != before)
    assert "A function timeout has occurred. Restarting the process that executes" in hasty.log
    assert "The app's process was recycled: this is a new one" in hasty.log


def test_requests_wait_while_the_process_is_replaced(hasty: RunningHost) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        blocked = pool.submit(hasty.http.get, "/api/block/60")
        answers = []
        while not blocked.done() or "this is a new one" not in hasty.log:
            answers.append(httpx.get(f"{hasty.http.base_url}/api/text", timeout=20).status_code)

    assert blocked.result().status_code == 500
    assert set(answers) == {200}


def test_an_async_function_that_ignores_its_end_takes_the_process_with_it(
    hasty: RunningHost,
) -> None:
    before = pid_of(hasty)

    assert hasty.http.get("/api/obstinate", timeout=30).status_code == 500

    assert pid_of(hasty) != before


@pytest.mark.conforms(
    "functionTimeout",
    "an activity that times out is aborted and tried again, not failed (before 2024 it failed)",
    source="durable:src/WebJobs.Extensions.DurableTask/OutOfProcMiddleware.cs",
)
def test_an_activity_that_times_out_is_tried_again(postgres: str, tmp_path: Path) -> None:
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as session:
        session.execute("CREATE DATABASE overdue")
    env = {
        "EVIDENCE": str(tmp_path),
        "LOCALCLOUD_DURABLE_PG_URL": f"{postgres}/overdue",
        "AzureFunctionsJobHost__functionTimeout": "00:00:01",
    }
    with running(APPS / "saga", tmp_path / "host", env=env) as host:
        links = host.http.post("/api/start/slow/slow-1", json="go").json()
        eventually(lambda: "was exceeded by function: Functions.wait_for_file" in host.log)
        os.mknod(tmp_path / "go")

        eventually(lambda: httpx.get(links["statusQueryGetUri"]).status_code == 200)
        assert httpx.get(links["statusQueryGetUri"]).json()["output"] == "seen"
