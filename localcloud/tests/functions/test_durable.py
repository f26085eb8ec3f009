"""Durable Functions through the host: the SDK's client, the worker and the engine together."""

import concurrent.futures
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running

Environment = Callable[[str, Path], dict[str, str]]


@pytest.fixture(scope="module")
def environment(postgres: str) -> Environment:
    """Makes a database of that name, and the settings that lead to it."""

    def make(database: str, evidence: Path) -> dict[str, str]:
        with psycopg.connect(f"{postgres}/postgres", autocommit=True) as session:
            session.execute(f"CREATE DATABASE {database}".encode())
        return {
            "EVIDENCE": str(evidence),
            "LOCALCLOUD_DURABLE_PG_URL": f"{postgres}/{database}",
        }

    return make


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def saga(
    environment: Environment, evidence: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningHost]:
    env = environment("saga", evidence)
    with running(APPS / "saga", tmp_path_factory.mktemp("saga"), env=env) as host:
        yield host


def started(host: RunningHost, name: str, instance_id: str, given: Any) -> dict[str, str]:
    """Start an orchestration; its management links."""
    answer = host.http.post(f"/api/start/{name}/{instance_id}", json=given)
    assert answer.status_code == 202, answer.text
    links: dict[str, str] = answer.json()
    assert links["id"] == instance_id
    return links


def ended(links: dict[str, str]) -> dict[str, Any]:
    """The status of the orchestration once it is over."""
    eventually(lambda: httpx.get(links["statusQueryGetUri"]).status_code == 200)
    status: dict[str, Any] = httpx.get(links["statusQueryGetUri"]).json()
    return status


def test_steps_follow_each_other(saga: RunningHost) -> None:
    status = ended(started(saga, "chain", "chain-1", 5))

    assert (status["runtimeStatus"], status["output"]) == ("Completed", 8)
    assert status["name"] == "chain"


def test_steps_run_at_once_under_their_durable_names(saga: RunningHost) -> None:
    status = ended(started(saga, "Fan Out", "fan-1", 20))

    assert (status["runtimeStatus"], status["output"]) == ("Completed", 210)


def test_an_event_reaches_the_waiting_orchestration(saga: RunningHost) -> None:
    links = started(saga, "wait", "wait-1", {})
    assert saga.http.post("/api/raise/wait-1/answer", json={"by": "ann"}).status_code == 202

    assert ended(links)["output"] == {"by": "ann"}


def test_a_failing_step_is_tried_again_and_then_fails_the_orchestration(
    saga: RunningHost, evidence: Path
) -> None:
    status = ended(started(saga, "fail", "fail-1", {}))

    assert status["runtimeStatus"] == "Failed"
    assert "gave up: Activity function 'refuse' failed: ValueError: no step" in status["output"]
    assert (evidence / "refusals").read_text() == "step\nstep\n"


def test_the_links_point_at_the_address_that_the_caller_used(saga: RunningHost) -> None:
    with httpx.Client(base_url=f"http://localhost:{saga.port}") as client:
        links = client.post("/api/start/chain/links-1", json=1).json()

    for link in links.values():
        if link != "links-1":
            assert link.startswith(f"http://localhost:{saga.port}/runtime/webhooks/durabletask/")
    assert (
        f"code={saga.keys['system']['durabletask_extension'].partition('=')[0]}"
        in (links["terminatePostUri"])
    )


def test_the_public_management_api_wants_the_system_key(saga: RunningHost) -> None:
    ended(started(saga, "chain", "guarded-1", 1))
    path = "/runtime/webhooks/durabletask/instances/guarded-1"

    assert saga.http.get(path).status_code == 401
    key = saga.keys["system"]["durabletask_extension"]
    assert saga.http.get(path, params={"code": key}).status_code == 200


def test_the_rpc_api_of_the_host_itself_is_open_on_loopback(saga: RunningHost) -> None:
    ended(started(saga, "chain", "rpc-1", 1))

    url = f"http://127.0.0.1:{saga.durable_port}/durabletask/instances/rpc-1"
    assert httpx.get(url).json()["output"] == 4


def test_draining_waits_for_a_step_and_keeps_the_rest_for_the_next_host(
    environment: Environment, tmp_path: Path
) -> None:
    env = environment("draining", tmp_path)
    with (
        running(APPS / "saga", tmp_path / "state", env=env) as host,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        started(host, "slow", "slow-1", "go")
        late = pool.submit(host.http.post, "/api/late/late-1")
        eventually((tmp_path / "go_begun").exists)
        eventually((tmp_path / "late_begun").exists)
        host.ask_to_stop()
        eventually(lambda: "draining" in host.log)
        (tmp_path / "late_go").touch()
        (tmp_path / "go").touch()

        assert late.result().text == "started"
        assert host.process.wait(15) == 0

    with running(APPS / "saga", tmp_path / "state", env=env) as host:
        base = f"http://127.0.0.1:{host.durable_port}/durabletask/instances"
        assert ended({"statusQueryGetUri": f"{base}/slow-1"})["output"] == "seen"
        assert ended({"statusQueryGetUri": f"{base}/late-1"})["output"] == 4


def test_a_killed_host_leaves_its_work_to_the_next(
    environment: Environment, tmp_path: Path
) -> None:
    env = environment("killed", tmp_path)
    with running(APPS / "saga", tmp_path / "state", env=env) as host:
        started(host, "slow", "slow-1", "go")
        eventually((tmp_path / "go_begun").exists)
        host.kill()
    (tmp_path / "go").touch()

    with running(APPS / "saga", tmp_path / "state", env=env) as host:
        url = f"http://127.0.0.1:{host.durable_port}/durabletask/instances/slow-1"
        assert ended({"statusQueryGetUri": url})["output"] == "seen"
