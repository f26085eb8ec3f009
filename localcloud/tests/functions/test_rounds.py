"""Service Bus triggers with batches and sessions, and output bindings, over AMQP."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiver,
    ServiceBusSender,
)

from localcloud.functions.outputs import messages_of
from localcloud.functions.protos import TypedData
from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running
from localcloud.tests.servicebus.rig import running as broker_running
from localcloud.tests.servicebus.rig import subscription, write_topology

QUEUES: dict[str, dict[str, Any]] = {
    "parcels": {},
    "talks": {"RequiresSession": True, "LockDuration": "PT2S"},
    "tours": {"RequiresSession": True},
    "in": {},
    "out": {},
    "orders": {},
}


@dataclass
class Bus:
    """A host that listens to a broker, and a client to talk to them."""

    host: RunningHost
    evidence: Path
    client: ServiceBusClient
    senders: dict[str, ServiceBusSender] = field(default_factory=dict)
    watchers: dict[str, ServiceBusReceiver] = field(default_factory=dict)

    def send(self, queue: str, *bodies: str, **options: Any) -> None:
        if queue not in self.senders:
            self.senders[queue] = self.client.get_queue_sender(queue)
        messages = [ServiceBusMessage(body, **options) for body in bodies]
        self.senders[queue].send_messages(messages)

    def noted(self, name: str) -> list[dict[str, Any]]:
        file = self.evidence / name
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def said(self, session: str) -> list[tuple[int, str]]:
        return [(n["n"], n["at"]) for n in self.noted("talk") if n["session"] == session]

    def received(self, queue: str, count: int) -> list[str]:
        bodies: list[str] = []
        with self.client.get_queue_receiver(queue, max_wait_time=10) as receiver:
            while len(bodies) < count and (messages := receiver.receive_messages(count)):
                for message in messages:
                    bodies.append(str(message))
                    receiver.complete_message(message)
        return bodies

    def is_empty(self, queue: str) -> bool:
        if queue not in self.watchers:
            self.watchers[queue] = self.client.get_queue_receiver(queue)
        return not self.watchers[queue].peek_messages(10, sequence_number=1)


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    folder, evidence = tmp_path_factory.mktemp("rounds"), tmp_path_factory.mktemp("evidence")
    topology = write_topology(folder / "topology.json", {"news": [subscription()]}, QUEUES)
    with broker_running(topology, folder / "broker") as broker:
        env = {"EVIDENCE": str(evidence), "Bus": broker.connection_string(), "ORDERS": "orders"}
        with (
            running(APPS / "rounds", folder / "host", env=env) as host,
            ServiceBusClient.from_connection_string(broker.connection_string()) as client,
        ):
            yield Bus(host, evidence, client)
            assert host.stop() == 0


@pytest.mark.conforms(
    "Service Bus triggers",
    'maxMessageBatchSize: "The maximum number of messages that will be passed to each function'
    ' call"',
    source="learn:azure/azure-functions/functions-bindings-service-bus#hostjson-settings",
)
def test_a_batch_is_no_larger_than_host_json_allows(bus: Bus) -> None:
    """maxMessageBatchSize: "The maximum number of messages that will be passed to each function
    call."

    learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings
    """
    bodies = [f"parcel {number}" for number in range(12)]
    bus.send("parcels", *bodies, application_properties={"kind": "small"})

    def taken() -> list[str]:
        return [body for batch in bus.noted("parcels") for body in batch["bodies"]]

    eventually(lambda: len(taken()) == 12)
    assert taken() == bodies
    batches = bus.noted("parcels")
    assert max(len(batch["bodies"]) for batch in batches) == 5
    assert {kind for batch in batches for kind in batch["kinds"]} == {"small"}
    assert {count for batch in batches for count in batch["deliveries"]} == {1}
    eventually(lambda: bus.is_empty("parcels"))


def test_a_failing_batch_comes_again_as_a_whole(bus: Bus) -> None:
    before = len(bus.noted("parcels"))
    bus.send("parcels", "solid", "fragile")

    eventually(lambda: bus.is_empty("parcels"))
    batches = bus.noted("parcels")[before:]
    assert batches[0]["bodies"] == ["solid", "fragile"]
    again = [pair for b in batches[1:] for pair in zip(b["bodies"], b["deliveries"], strict=True)]
    assert sorted(again) == [("fragile", 2), ("solid", 2)]


@pytest.mark.conforms(
    "Service Bus triggers",
    "the messages of a session run one after the other, in their order",
    source="learn:azure/service-bus-messaging/message-sessions",
)
def test_the_messages_of_a_session_run_one_after_the_other(bus: Bus) -> None:
    bus.send("talks", *(json.dumps({"n": n}) for n in range(5)), session_id="ordered")

    eventually(lambda: len(bus.said("ordered")) == 10)
    assert bus.said("ordered") == [(n, at) for n in range(5) for at in ("begin", "end")]


@pytest.mark.conforms(
    "Service Bus triggers",
    'maxConcurrentSessions: "The maximum number of sessions that can be handled concurrently"',
    source="learn:azure/azure-functions/functions-bindings-service-bus#hostjson-settings",
)
def test_no_more_sessions_at_a_time_than_host_json_allows(bus: Bus) -> None:
    """maxConcurrentSessions: "The maximum number of sessions that can be handled concurrently"."""
    for session in ("a", "b", "c"):
        bus.send("talks", json.dumps({"n": 1, "until": "enough"}), session_id=session)

    eventually(lambda: sum(bus.said(session) != [] for session in "abc") >= 2)
    time_for_a_third = time.monotonic() + 1.0
    while time.monotonic() < time_for_a_third and any(bus.said(session) == [] for session in "abc"):
        time.sleep(0.02)
    (bus.evidence / "enough").touch()
    eventually(lambda: all(len(bus.said(session)) == 2 for session in "abc"))
    running_now, most = 0, 0
    for line in bus.noted("talk"):
        if line["session"] in {"a", "b", "c"}:
            running_now += 1 if line["at"] == "begin" else -1
            most = max(most, running_now)
    assert most == 2


@pytest.mark.conforms(
    "Service Bus triggers",
    'sessionIdleTimeout: "the maximum amount of time to wait for a message to be received for the'
    ' currently active session"',
    source="learn:azure/azure-functions/functions-bindings-service-bus#hostjson-settings",
)
def test_a_session_is_let_go_when_it_is_idle(bus: Bus) -> None:
    """sessionIdleTimeout: "the maximum amount of time to wait for a message to be received for the
    currently active session. After this time has elapsed, the session will be closed".
    """
    for session in ("x", "y"):
        bus.send("talks", json.dumps({"n": 1}), session_id=session)
    eventually(lambda: bus.said("x") != [] and bus.said("y") != [])
    began = time.monotonic()
    bus.send("talks", json.dumps({"n": 1}), session_id="third")

    eventually(lambda: bus.said("third") != [])
    assert time.monotonic() - began < 5


@pytest.mark.conforms(
    "Service Bus triggers",
    "a batch holds messages of one session, and sessions take their turns",
    source="issue:Azure/azure-functions-dotnet-worker/issues/3087",
)
def test_a_batch_is_of_one_session(bus: Bus) -> None:
    for session in ("north", "south"):
        bus.send("tours", "one", "two", "three", session_id=session)

    def taken() -> int:
        return sum(len(batch["bodies"]) for batch in bus.noted("tours"))

    eventually(lambda: taken() == 6)
    for session in ("north", "south"):
        own = [batch for batch in bus.noted("tours") if session in batch["sessions"]]
        assert {name for batch in own for name in batch["sessions"]} == {session}
        assert [body for batch in own for body in batch["bodies"]] == ["one", "two", "three"]


def test_the_lock_of_a_session_is_renewed_while_the_function_runs(bus: Bus) -> None:
    for order in ({"n": 1, "for_s": 2.6}, {"n": 2}):
        bus.send("talks", json.dumps(order), session_id="slow")

    eventually(lambda: (2, "end") in bus.said("slow"))
    assert bus.said("slow") == [(1, "begin"), (1, "end"), (2, "begin"), (2, "end")]


@pytest.mark.conforms(
    "Outputs",
    "outputs are sent before the trigger counts as done; a failing output fails the execution",
    source="webjobs:src/Microsoft.Azure.WebJobs.Host/Executors/FunctionExecutor.cs",
)
def test_outputs_are_sent_before_the_message_is_done(bus: Bus) -> None:
    bus.send("in", "first")

    assert bus.received("out", 1) == ["first"]
    with bus.client.get_subscription_receiver("news", "all", max_wait_time=10) as receiver:
        (told,) = receiver.receive_messages(1)
        receiver.complete_message(told)
    assert str(told) == "passed on 5"
    eventually(lambda: bus.is_empty("in"))


@pytest.mark.conforms(
    "Outputs",
    "an output that is not set sends nothing",
    source="worker:",
)
def test_an_http_function_puts_out_what_it_sets_and_nothing_otherwise(bus: Bus) -> None:
    assert bus.host.http.post("/api/order/nothing", content=b"x").status_code == 202
    assert bus.host.http.post("/api/order/tea", content=b"tea").status_code == 202

    assert bus.received("orders", 1) == ["tea"]
    assert bus.is_empty("orders")


@pytest.mark.conforms(
    "OpenTelemetry context",
    "a message that is put out carries the trace in `Diagnostic-Id` and `traceparent`",
    source="net-sdk:sdk/core/Azure.Core/src/Shared/MessagingClientDiagnostics.cs",
)
def test_a_message_that_is_put_out_carries_the_callers_trace(bus: Bus) -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    bus.host.http.post("/api/order/tea", content=b"tea", headers={"traceparent": caller})

    with bus.client.get_queue_receiver("orders", max_wait_time=20) as receiver:
        (message,) = receiver.receive_messages(1)
        receiver.complete_message(message)
    assert message.application_properties is not None
    told = {bytes(k).decode(): bytes(v).decode() for k, v in message.application_properties.items()}  # type: ignore[arg-type]
    assert set(told) == {"Diagnostic-Id", "traceparent"}
    assert told["Diagnostic-Id"] == told["traceparent"] != caller
    assert told["traceparent"].startswith(caller[:36])


@pytest.mark.conforms(
    "Outputs",
    "a JSON array that is put out is a message for each element",
    source="host:src/WebJobs.Script/Binding/FunctionBinding.cs",
)
@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (TypedData(string="one"), ["one"]),
        (TypedData(bytes=b"[1]"), [b"[1]"]),
        (TypedData(string='["a", {"b": 1}, 2]'), ["a", '{"b":1}', "2"]),
        (TypedData(string="[not JSON"), ["[not JSON"]),
        (TypedData(string='{"a": [1]}'), ['{"a": [1]}']),
    ],
)
def test_a_json_array_becomes_a_message_for_each_element(
    value: TypedData, messages: list[str | bytes]
) -> None:
    assert messages_of(value) == messages
