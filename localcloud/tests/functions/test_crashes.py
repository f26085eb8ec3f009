"""Functions that end the app's process: it comes back, and nothing that was promised is lost."""

import concurrent.futures
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running
from localcloud.tests.servicebus.rig import BrokerProcess, subscription, write_topology
from localcloud.tests.servicebus.rig import running as broker_running

RESTART = "host:src/WebJobs.Script/Workers/Rpc/RpcFunctionInvocationDispatcher.cs"
EXIT = "host:src/WebJobs.Script/Workers/ProcessManagement/WorkerProcess.cs"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    topology = write_topology(
        folder / "topology.json", {"work": [subscription(LockDuration="PT2S")]}
    )
    with broker_running(topology, folder / "state") as process:
        yield process


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def fragile(
    postgres: str,
    broker: BrokerProcess,
    evidence: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningHost]:
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as session:
        session.execute("CREATE DATABASE fragile")
    env = {
        "EVIDENCE": str(evidence),
        "Bus": broker.connection_string(),
        "LOCALCLOUD_DURABLE_PG_URL": f"{postgres}/fragile",
    }
    with running(APPS / "fragile", tmp_path_factory.mktemp("fragile"), env=env) as host:
        yield host


@pytest.mark.conforms(
    "Worker process",
    "a worker that dies is started anew, its death told with the exit code, its caller with a 500",
    source=EXIT,
)
@pytest.mark.parametrize("path", ["die", "die_in_thread"])
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exit", "exited with code 7 (0x7)"),
        ("segfault", "was ended by SIGSEGV"),
        ("killed", "was ended by SIGKILL"),
    ],
)
def test_a_process_that_dies_is_replaced(
    fragile: RunningHost, path: str, how: str, told: str
) -> None:
    before, times = fragile.http.get("/api/pid").text, fragile.log.count(told)

    answer = httpx.get(f"{fragile.http.base_url}/api/{path}/{how}", timeout=20)

    assert (answer.status_code, answer.content) == (500, b"")
    assert httpx.get(f"{fragile.http.base_url}/api/pid", timeout=20).text != before
    assert fragile.log.count(f"The app's process {told}: this is a new one") == times + 1


@pytest.mark.conforms(
    "Worker process",
    "an exception of any kind fails its invocation only, even SystemExit and MemoryError",
    source="worker:",
)
@pytest.mark.parametrize("path", ["die", "die_in_thread"])
@pytest.mark.parametrize("how", ["sys.exit", "memory"])
def test_what_python_raises_ends_nothing(fragile: RunningHost, path: str, how: str) -> None:
    before = httpx.get(f"{fragile.http.base_url}/api/pid", timeout=20).text

    assert httpx.get(f"{fragile.http.base_url}/api/{path}/{how}", timeout=20).status_code == 500

    assert httpx.get(f"{fragile.http.base_url}/api/pid", timeout=20).text == before


@pytest.mark.conforms(
    "Worker process",
    "all invocations under way fail with their worker: their callers get a 500 too",
    source=EXIT,
)
def test_other_requests_under_way_fail_with_the_process(
    fragile: RunningHost, evidence: Path
) -> None:
    base = fragile.http.base_url
    with concurrent.futures.ThreadPoolExecutor() as pool:
        others = [pool.submit(httpx.get, f"{base}/api/wait/{n}", timeout=30) for n in range(5)]
        eventually(lambda: all((evidence / f"waiting_{n}").exists() for n in range(5)))
        assert httpx.get(f"{base}/api/die/exit", timeout=20).status_code == 500

        assert [other.result().status_code for other in others] == [500] * 5


def test_requests_that_come_while_it_is_replaced_wait(fragile: RunningHost) -> None:
    base = fragile.http.base_url
    before = httpx.get(f"{base}/api/pid", timeout=20).text
    assert httpx.get(f"{base}/api/die/killed", timeout=20).status_code == 500

    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = [pool.submit(httpx.get, f"{base}/api/pid", timeout=20) for _ in range(20)]
        (now,) = {answer.result().text for answer in asked}

    assert now != before


def test_connections_end_for_both_sides(fragile: RunningHost) -> None:
    """The guard's copy of a connection must not keep it open."""
    for wish in (b"close", b"keep-alive"):
        with socket.create_connection(("127.0.0.1", fragile.port), timeout=20) as connection:
            request = b"GET /api/pid HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n" % wish
            connection.sendall(request)
            said = b""
            while part := connection.recv(65_536):
                said += part
        assert said.startswith(b"HTTP/1.1 200 OK")
        assert said.count(b"HTTP/1.1") == 1


def test_who_sent_much_is_answered_too(fragile: RunningHost) -> None:
    head = b"POST /api/die/exit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", fragile.port), timeout=20) as connection:
        connection.sendall(head + b"x" * 1_000_000)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")


@pytest.mark.conforms(
    "Worker process",
    "a message whose function dies with its process is delivered again",
    source="learn:azure/service-bus-messaging/message-transfers-locks-settlement",
)
def test_a_message_comes_again(fragile: RunningHost, broker: BrokerProcess, evidence: Path) -> None:
    """Once its lock has run out. Azure's host, which outlives its worker, abandons it at once."""
    with ServiceBusClient.from_connection_string(broker.connection_string()) as client:
        client.get_topic_sender("work").send_messages(ServiceBusMessage("deadly"))

        eventually((evidence / "delivery_2").exists, within_s=60)
        watcher = client.get_subscription_receiver("work", "all")
        eventually(lambda: not watcher.peek_messages(1, sequence_number=1))
    assert len((evidence / "delivered").read_text().split()) == 2
    assert "was ended by SIGKILL" in fragile.log


@pytest.mark.conforms(
    "Worker process",
    "an orchestration goes on after its process died; a finished step does not run again",
    source="learn:azure/azure-functions/durable/durable-functions-orchestrations",
)
def test_an_orchestration_goes_on(fragile: RunningHost, evidence: Path) -> None:
    answer = httpx.post(f"{fragile.http.base_url}/api/start/errand-1", timeout=20)
    url = answer.json()["statusQueryGetUri"]

    def status() -> int:
        try:
            return httpx.get(url, timeout=20).status_code
        except httpx.TransportError:
            return 0  # the process was just dying

    eventually(lambda: status() == 200, within_s=30)
    assert httpx.get(url).json()["output"] == ["before", "deadly", "after"]
    runs = {step: (evidence / f"step_{step}").read_text().split() for step in ("before", "deadly")}
    assert len(runs["before"]) == 1
    assert len(set(runs["deadly"])) == 2


def test_a_host_whose_process_dies_at_its_start_ends(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text("import os; os._exit(9)")

    with pytest.raises(AssertionError), running(tmp_path, tmp_path / "state"):
        pass
