"""Batches that wait until they are large enough, and rounds whose broker dies, over AMQP."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from localcloud.functions.errors import StartRefused
from localcloud.functions.settings import load_host_options
from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running
from localcloud.tests.servicebus.rig import BrokerProcess, subscription, write_topology
from localcloud.tests.servicebus.rig import running as broker_running

QUEUES: dict[str, dict[str, Any]] = {
    "parcels": {},
    "talks": {"RequiresSession": True},
    "tours": {"RequiresSession": True},
    "in": {},
    "out": {},
    "orders": {},
}
DOCS = "learn:azure/azure-functions/functions-bindings-service-bus#hostjson-settings"
OVERRIDE = "AzureFunctionsJobHost__extensions__serviceBus__"


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("topology") / "topology.json"
    return write_topology(file, {"news": [subscription()]}, QUEUES)


@pytest.fixture(scope="module")
def broker(topology: Path) -> Iterator[BrokerProcess]:
    with broker_running(topology, topology.parent / "broker") as process:
        yield process


@contextmanager
def host_of(broker: BrokerProcess, folder: Path, *, wait: str) -> Iterator[RunningHost]:
    """A host whose batches are of three messages or more, after `wait` of fewer."""
    env = {
        "EVIDENCE": str(folder),
        "Bus": broker.connection_string(),
        "ORDERS": "orders",
        f"{OVERRIDE}minMessageBatchSize": "3",
        f"{OVERRIDE}maxBatchWaitTime": wait,
    }
    with running(APPS / "rounds", folder / "host", env=env) as host:
        yield host


def _has_said(host: RunningHost, text: str) -> bool:
    return text in host.log


def send(broker: BrokerProcess, queue: str, *bodies: str, **options: Any) -> None:
    with (
        ServiceBusClient.from_connection_string(broker.connection_string()) as client,
        client.get_queue_sender(queue) as sender,
    ):
        sender.send_messages([ServiceBusMessage(body, **options) for body in bodies])


def noted(folder: Path, name: str) -> list[dict[str, Any]]:
    file = folder / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def batches(folder: Path, name: str) -> list[list[str]]:
    return [note["bodies"] for note in noted(folder, name)]


@pytest.mark.conforms(
    "Service Bus triggers",
    'minMessageBatchSize: "The minimum number of messages desired in a batch"',
    source=DOCS,
)
def test_a_batch_waits_until_it_is_large_enough(broker: BrokerProcess, tmp_path: Path) -> None:
    with host_of(broker, tmp_path, wait="00:02:00"):
        for body in ("one", "two", "three"):
            send(broker, "parcels", body)

        eventually(lambda: batches(tmp_path, "parcels") == [["one", "two", "three"]])


@pytest.mark.conforms(
    "Service Bus triggers",
    'maxBatchWaitTime: "If less than minMessageBatchSize messages were available before the wait'
    ' time elapses, the function is invoked with a partial batch"',
    source=DOCS,
)
def test_a_batch_goes_when_it_has_waited_long_enough(broker: BrokerProcess, tmp_path: Path) -> None:
    with host_of(broker, tmp_path, wait="00:00:01"):
        send(broker, "parcels", "one", "two")

        eventually(lambda: batches(tmp_path, "parcels") == [["one", "two"]])


@pytest.mark.conforms(
    "Service Bus triggers",
    "a session that is idle sends what is left, however few they are",
    source="net-sdk:sdk/servicebus/Microsoft.Azure.WebJobs.Extensions.ServiceBus/src/Listeners/ServiceBusListener.cs",
)
def test_an_idle_session_sends_what_it_has(broker: BrokerProcess, tmp_path: Path) -> None:
    with host_of(broker, tmp_path, wait="00:02:00"):
        send(broker, "tours", "one", "two", session_id="north")

        eventually(lambda: batches(tmp_path, "tours") == [["one", "two"]])


def test_a_host_that_ends_gives_a_waiting_batch_back(broker: BrokerProcess, tmp_path: Path) -> None:
    with (
        ServiceBusClient.from_connection_string(broker.connection_string()) as client,
        client.get_queue_receiver("parcels", max_wait_time=20) as receiver,
    ):
        with host_of(broker, tmp_path, wait="00:02:00") as host:
            send(broker, "parcels", "lonely")
            eventually(lambda: len(receiver.peek_messages(1, sequence_number=1)) == 1)
            assert host.stop() == 0
        assert batches(tmp_path, "parcels") == []

        (message,) = receiver.receive_messages(1)
        assert str(message) == "lonely"
        receiver.complete_message(message)


def test_the_least_may_not_be_more_than_the_most(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    environ = {f"{OVERRIDE}minMessageBatchSize": "6", f"{OVERRIDE}maxMessageBatchSize": "5"}

    with pytest.raises(StartRefused, match="minMessageBatchSize is more than maxMessageBatchSize"):
        load_host_options(tmp_path, environ)


def test_rounds_go_on_when_the_broker_comes_back(topology: Path, tmp_path: Path) -> None:
    with (
        broker_running(topology, tmp_path / "broker") as first,
        host_of(first, tmp_path, wait="00:00:01") as host,
    ):
        send(first, "parcels", "before")
        # It may come a second time: what its completion became is lost with the broker.
        eventually(lambda: batches(tmp_path, "parcels") == [["before"]])
        first.kill()
        for entity in ("parcels", "talks", "tours"):
            eventually(partial(_has_said, host, f"{entity} is out of reach"), within_s=60)

        second = BrokerProcess(topology, tmp_path / "broker", port=first.port)
        try:
            send(second, "parcels", "after")
            send(second, "tours", "after", session_id="north")
            send(second, "talks", json.dumps({"n": 1}), session_id="south")

            eventually(lambda: any("after" in b for b in batches(tmp_path, "parcels")), within_s=60)
            eventually(lambda: batches(tmp_path, "tours") == [["after"]], within_s=60)
            eventually(lambda: len(noted(tmp_path, "talk")) == 2, within_s=60)
            assert "connected to parcels again" in host.log
            assert host.stop() == 0
        finally:
            second.kill()
