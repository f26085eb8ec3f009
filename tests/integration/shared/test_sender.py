"""Sending through the unmodified Service Bus SDK to a broker of our own."""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessagingEntityNotFoundError
from pydantic import SecretStr
from uuid_utils.compat import uuid7

from shared.outbox import Outgoing, ServiceBusSender

ROOT = Path(__file__).parents[3]
KEY = "bm90IGEgc2VjcmV0LCBvbmx5IGEgdGVzdA=="


class Broker:
    """A broker process whose messages survive it; it starts again on the port it had."""

    def __init__(self, state: Path) -> None:
        self._state, self.port = state, 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "localcloud.servicebus", "--port", str(self.port)]
        state = ["--state", str(self._state), "--log-level", "warning"]
        self.process = subprocess.Popen(
            [*command, *state],
            cwd=ROOT,
            env=os.environ | {"LOCALCLOUD_SERVICEBUS_KEY": KEY},
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline().decode()
        assert ready.startswith("READY "), ready
        self.port = json.loads(ready.removeprefix("READY "))["port"]

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=10)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    @property
    def connection(self) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};"
            f"SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={KEY};"
            "UseDevelopmentEmulator=true;"
        )


@dataclass(frozen=True)
class Connection:
    """The settings of a sender with a connection string."""

    service_bus_connection: SecretStr
    service_bus_namespace: None = None
    service_bus_client_id: None = None
    trusted_ca_file: None = None


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = Broker(tmp_path_factory.mktemp("servicebus"))
    started.start()
    yield started
    started.end()


@pytest.fixture
async def sender(broker: Broker) -> AsyncIterator[ServiceBusSender]:
    opened = ServiceBusSender(Connection(SecretStr(broker.connection)))
    yield opened
    await opened.close()


def event(number: int, padding: int = 0) -> Outgoing:
    return Outgoing(
        position=number,
        event_id=uuid7(),
        topic="order-events",
        type="order.placed.v1",
        aggregate_id=uuid7(),
        envelope=json.dumps({"n": number, "padding": "x" * padding}),
        correlation_id=f"c-{number}",
    )


async def received[T](
    broker: Broker, count: int, read: Callable[[ServiceBusReceivedMessage], T]
) -> list[T]:
    """What the next `count` messages of the saga's subscription hold, completed."""
    found: list[T] = []
    async with (
        ServiceBusClient.from_connection_string(broker.connection) as client,
        client.get_subscription_receiver("order-events", "orders-saga") as receiver,
    ):
        while len(found) < count:
            messages = await receiver.receive_messages(count - len(found), max_wait_time=10)
            assert messages, f"only {len(found)} of {count} arrived"
            for message in messages:
                found.append(read(message))
                await receiver.complete_message(message)
    return found


def everything(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    return {
        "body": str(message),
        "message_id": message.message_id,
        "session_id": message.session_id,
        "subject": message.subject,
        "correlation_id": message.correlation_id,
        "content_type": message.content_type,
        "properties": message.application_properties,
    }


async def test_a_message_carries_what_consumers_and_filters_need(
    broker: Broker, sender: ServiceBusSender
) -> None:
    sent = event(1)
    await sender.send("order-events", [sent])
    assert await received(broker, 1, everything) == [
        {
            "body": sent.envelope,
            "message_id": str(sent.event_id),
            "session_id": str(sent.aggregate_id),
            "subject": "order.placed.v1",
            "correlation_id": "c-1",
            "content_type": "application/cloudevents+json",
            "properties": {b"type": b"order.placed.v1"},
        }
    ]


async def test_more_than_one_batch_holds_arrives_in_order(
    broker: Broker, sender: ServiceBusSender
) -> None:
    sent = [event(number, padding=60_000) for number in range(40)]  # 2.4 MB; a batch takes 1 MB
    await sender.send("order-events", sent)
    ids = await received(broker, 40, lambda message: message.message_id)
    assert ids == [str(each.event_id) for each in sent]


async def test_sends_at_once_follow_one_another(broker: Broker, sender: ServiceBusSender) -> None:
    sent = [event(number) for number in range(20)]
    await asyncio.gather(*(sender.send("order-events", [each]) for each in sent))
    ids = await received(broker, 20, lambda message: message.message_id)
    assert sorted(map(str, ids)) == sorted(str(each.event_id) for each in sent)


async def test_a_topic_that_does_not_exist_is_an_error(sender: ServiceBusSender) -> None:
    with pytest.raises(MessagingEntityNotFoundError):
        await sender.send("no-such-topic", [event(1)])


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_broker_that_died_and_came_back_is_sent_to_again(
    broker: Broker, sender: ServiceBusSender
) -> None:
    before, lost, after = event(1), event(2), event(3)
    await sender.send("order-events", [before])
    broker.end()
    with pytest.raises(AzureError):
        await sender.send("order-events", [lost])
    broker.start()
    await sender.send("order-events", [after])
    ids = await received(broker, 2, lambda message: message.message_id)
    assert ids == [str(before.event_id), str(after.event_id)]
    gc.collect()  # the SDK leaves the socket of a broken connection to the garbage collector
