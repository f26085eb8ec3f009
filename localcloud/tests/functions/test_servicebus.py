"""Service Bus triggers against the broker, over AMQP."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiver,
    ServiceBusSender,
    ServiceBusSubQueue,
)

from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running
from localcloud.tests.servicebus.rig import (
    BrokerProcess,
    subscription,
    write_topology,
)
from localcloud.tests.servicebus.rig import running as broker_running

TOPICS = {
    "work": [subscription(MaxDeliveryCount=3, LockDuration="PT30S")],
    "notes": [subscription()],
    "hasty": [subscription(LockDuration="PT2S")],
}


@dataclass
class Bus:
    """A broker, a host that listens to it, and a client to talk to them."""

    broker: BrokerProcess
    host: RunningHost
    evidence: Path
    client: ServiceBusClient
    senders: dict[str, ServiceBusSender] = field(default_factory=dict)
    watchers: dict[str, ServiceBusReceiver] = field(default_factory=dict)

    def send(self, topic: str, *bodies: Any, **options: Any) -> None:
        texts = [body if isinstance(body, (str, bytes)) else json.dumps(body) for body in bodies]
        if topic not in self.senders:
            self.senders[topic] = self.client.get_topic_sender(topic)
        messages = [ServiceBusMessage(text, **options) for text in texts]
        self.senders[topic].send_messages(messages)

    def noted(self, name: str) -> list[dict[str, Any]]:
        file = self.evidence / name
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def deliveries(self, message_id: str) -> list[dict[str, Any]]:
        return [note for note in self.noted("work") if note["message_id"] == message_id]

    def done(self, tag: str) -> int:
        return len([note for note in self.noted("work_done") if note["order"].get("tag") == tag])

    def let_go(self, name: str) -> None:
        (self.evidence / name).touch()

    def left(self, topic: str) -> int:
        """How many messages the subscription still holds, locked ones too."""
        if topic not in self.watchers:
            self.watchers[topic] = self.client.get_subscription_receiver(topic, "all")
        return len(self.watchers[topic].peek_messages(100, sequence_number=1))


def environment(broker: BrokerProcess, evidence: Path) -> dict[str, str]:
    return {
        "EVIDENCE": str(evidence),
        "WORK_TOPIC": "work",
        "Bus": broker.connection_string(),
    }


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    folder, evidence = tmp_path_factory.mktemp("bus"), tmp_path_factory.mktemp("evidence")
    topology = write_topology(folder / "topology.json", TOPICS)
    with (
        broker_running(topology, folder / "broker") as broker,
        running(APPS / "bus", folder / "host", env=environment(broker, evidence)) as host,
        ServiceBusClient.from_connection_string(broker.connection_string()) as client,
    ):
        yield Bus(broker, host, evidence, client)


@pytest.mark.conforms(
    "Service Bus triggers",
    "a message arrives with its metadata, and is completed when the function succeeds",
    source="learn:azure/azure-functions/functions-bindings-service-bus-trigger#peeklock-behavior",
)
def test_a_message_arrives_with_its_metadata_and_is_completed(bus: Bus) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    bus.send(
        "work",
        {"do": "nothing", "tag": "metadata"},
        message_id="m-1",
        content_type="application/json",
        correlation_id="c-1",
        subject="subj",
        application_properties={"type": "order.placed.v1", "n": 3, "Diagnostic-Id": trace},
    )

    eventually(lambda: bus.done("metadata") == 1)
    (delivery,) = bus.deliveries("m-1")
    assert delivery["properties"] == {"type": "order.placed.v1", "n": 3, "Diagnostic-Id": trace}
    assert delivery["content_type"] == "application/json"
    assert delivery["correlation_id"] == "c-1"
    assert delivery["subject"] == "subj"
    assert delivery["delivery_count"] == 1
    assert delivery["sequence_number"] >= 1
    assert delivery["enqueued"].startswith("20")
    assert delivery["traceparent"][:35] == trace[:35]
    eventually(lambda: bus.left("work") == 0)


@pytest.mark.conforms(
    "OpenTelemetry context",
    "a message carries its sender's trace in `traceparent`, else in `Diagnostic-Id`",
    source="net-sdk:sdk/core/Azure.Core/src/Shared/MessagingClientDiagnostics.cs",
)
def test_the_senders_trace_goes_on(bus: Bus) -> None:
    """`tracestate` belongs to `traceparent` alone."""
    old, new = "00-" + "a" * 32 + "-b7ad6b7169203331-01", "00-" + "c" * 32 + "-b7ad6b7169203331-01"
    for tag, properties in {
        "newer": {"Diagnostic-Id": old, "traceparent": new, "tracestate": "shop=1"},
        "older": {"Diagnostic-Id": old, "tracestate": "shop=1"},
    }.items():
        order = {"do": "nothing", "tag": tag}
        bus.send("work", order, message_id=tag, application_properties=properties)
        eventually(partial(_is_done, bus, tag))

    (newer,), (older,) = bus.deliveries("newer"), bus.deliveries("older")
    assert (newer["traceparent"][:35], newer["tracestate"]) == (new[:35], "shop=1")
    assert (older["traceparent"][:35], older["tracestate"]) == (old[:35], "")


@pytest.mark.conforms(
    "Service Bus triggers",
    "a message is abandoned when the function fails, and dead-lettered after MaxDeliveryCount",
    source="learn:azure/azure-functions/functions-bindings-service-bus-trigger#poison-messages",
)
def test_a_failing_message_comes_again_and_ends_in_the_dead_letter_queue(bus: Bus) -> None:
    bus.send("work", {"do": "fail"}, message_id="m-fail")

    with bus.client.get_subscription_receiver(
        "work", "all", sub_queue=ServiceBusSubQueue.DEAD_LETTER, max_wait_time=15
    ) as receiver:
        (dead,) = receiver.receive_messages(1)
        receiver.complete_message(dead)
    assert dead.message_id == "m-fail"
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert [d["delivery_count"] for d in bus.deliveries("m-fail")] == [1, 2, 3]
    assert "Executed 'Functions.work' (Failed" in bus.host.log


def test_a_text_parameter_gets_text(bus: Bus) -> None:
    bus.send("notes", "grüße")

    eventually(lambda: bus.noted("text") == [{"text": "grüße"}])


def test_no_more_than_the_allowed_number_run_at_once(bus: Bus) -> None:
    order = {"do": "wait", "for": "crowd", "tag": "crowd"}
    bus.send("work", *[order] * 12)

    def begun() -> int:
        return len([n for n in bus.noted("work") if n["order"].get("tag") == "crowd"])

    eventually(lambda: begun() == 4)
    bus.send("notes", "in between")
    eventually(lambda: {"text": "in between"} in bus.noted("text"))
    assert begun() == 4
    bus.let_go("crowd")
    eventually(lambda: bus.done("crowd") == 12)
    assert begun() == 12
    eventually(lambda: bus.left("work") == 0)


@pytest.mark.conforms(
    "Service Bus triggers",
    "the lock is renewed while the function runs, up to maxAutoLockRenewalDuration",
    source="learn:azure/azure-functions/functions-bindings-service-bus#hostjson-settings",
)
def test_a_lock_is_renewed_while_the_function_runs(bus: Bus) -> None:
    bus.send("hasty", "3", message_id="m-slow")

    eventually(lambda: bus.noted("hasty_done") == [{"message_id": "m-slow"}])
    eventually(lambda: bus.left("hasty") == 0)
    assert bus.noted("hasty") == [{"message_id": "m-slow", "delivery_count": 1}]


@pytest.mark.conforms(
    "Admin API",
    "a function of messages runs by POST /admin/functions/{name} on the text that is given",
    source="learn:azure/azure-functions/functions-manually-run-non-http",
)
def test_a_service_bus_function_can_be_run_by_hand(bus: Bus) -> None:
    bus.host.fire("take_text", "by hand")

    eventually(lambda: {"text": "by hand"} in bus.noted("text"))


def test_a_host_that_slept_past_its_locks_leaves_the_buffered_messages_alone(bus: Bus) -> None:
    ids = [f"nap-{n}" for n in range(6)]
    for message_id in ids:
        bus.send("hasty", "1", message_id=message_id)

    def begun(message_id: str) -> list[int]:
        return [n["delivery_count"] for n in bus.noted("hasty") if n["message_id"] == message_id]

    eventually(lambda: len([i for i in ids if begun(i)]) == 4)
    bus.host.app.suspend()
    time.sleep(2.2)  # the lock of 2 s has to run out: that is what this is about
    bus.host.app.resume()

    eventually(lambda: bus.left("hasty") == 0, within_s=30)
    for message_id in ids[4:]:
        assert begun(message_id) == [2]
    assert "waited past its lock" in bus.host.log


def test_a_host_waits_for_a_broker_that_is_not_there_yet_or_goes_away(tmp_path: Path) -> None:
    topology = write_topology(tmp_path / "topology.json", TOPICS)
    with broker_running(topology, tmp_path / "broker") as broker:
        port = broker.port
        broker.kill()
    with running(APPS / "bus", tmp_path / "host", env=environment(broker, tmp_path)) as host:
        for outage, tag in enumerate(("first", "second"), start=1):
            eventually(partial(_has_said, host, "work/all is out of reach, trying", outage))
            broker = BrokerProcess(topology, tmp_path / "broker", port=port)
            with ServiceBusClient.from_connection_string(broker.connection_string()) as client:
                bus = Bus(broker, host, tmp_path, client)
                bus.send("work", {"do": "nothing", "tag": tag})
                eventually(partial(_is_done, bus, tag))
                eventually(partial(_is_empty, bus))
            broker.kill()
            assert host.log.count("connected to work/all again") == outage
        assert host.stop() == 0


def _has_said(host: RunningHost, text: str, times: int) -> bool:
    return host.log.count(text) == times


def _is_done(bus: Bus, tag: str) -> bool:
    return bus.done(tag) == 1


def _is_empty(bus: Bus) -> bool:
    return bus.left("work") == 0


def test_draining_settles_what_runs_and_gives_the_rest_back(tmp_path: Path) -> None:
    topology = write_topology(tmp_path / "topology.json", TOPICS)
    with (
        broker_running(topology, tmp_path / "broker") as broker,
        ServiceBusClient.from_connection_string(broker.connection_string()) as client,
    ):
        env = environment(broker, tmp_path)
        with running(APPS / "bus", tmp_path / "host", env=env) as host:
            bus = Bus(broker, host, tmp_path, client)
            bus.send("work", *[{"do": "wait", "for": "gate", "tag": "drain"}] * 7)
            eventually(lambda: len(bus.noted("work")) == 4)
            host.ask_to_stop()
            eventually(lambda: "draining" in host.log)
            bus.let_go("gate")
            assert host.process.wait(10) == 0
        assert bus.done("drain") == 4

        with client.get_subscription_receiver("work", "all", max_wait_time=5) as receiver:
            rest = receiver.receive_messages(10)
            assert len(rest) == 3
            assert {message.delivery_count for message in rest} == {0}
