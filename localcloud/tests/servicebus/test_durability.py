"""The broker as a process: killed, restarted, with a full disk, and started wrongly."""

import asyncio
import contextlib
import gc
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError, ServiceBusQuotaExceededError
from click.testing import CliRunner

from localcloud.servicebus.__main__ import main
from localcloud.tests.servicebus.rig import (
    KEY,
    BrokerProcess,
    BrokerRefused,
    running,
    subscription,
    write_topology,
)
from localcloud.tests.servicebus.sdk import Pair, Sdk
from localcloud.tests.servicebus.waiting import receive

KILLS = 4
# After a lost connection the asynchronous SDK leaves its old transport to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("sdk_litter"),
]
PATIENT = {"retry_total": 20, "retry_backoff_factor": 0.05, "retry_backoff_max": 0.2}


@pytest.fixture
def sdk_litter() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    return write_topology(tmp_path / "topology.json", {"t": [subscription(LockDuration="PT30S")]})


def client(broker: BrokerProcess, **options: Any) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(broker.connection_string(), **options)


@asynccontextmanager
async def opened(broker: BrokerProcess) -> AsyncIterator[tuple[Sdk, Pair]]:
    """An SDK, and a sender and receiver of topic `t`."""
    sdk = Sdk(broker.connection_string(), synchronous=False)
    await sdk.prepare(["t"])
    yield sdk, sdk.take("t")
    await sdk.close()


@dataclass
class Record:
    """What the clients of a broker that keeps dying saw."""

    acknowledged: set[int] = field(default_factory=set)
    delivered: Counter[int] = field(default_factory=Counter)
    completed: set[int] = field(default_factory=set)
    returned: list[int] = field(default_factory=list)
    stop: bool = False
    goal: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, acknowledged: int) -> None:
        self.goal = acknowledged
        self.reached.clear()
        async with asyncio.timeout(20):
            await self.reached.wait()

    async def send(self, service: ServiceBusClient) -> None:
        number = 0
        async with service.get_topic_sender("t") as sender:
            while not self.stop:
                with contextlib.suppress(ServiceBusError):
                    await sender.send_messages(ServiceBusMessage(f"{number}"))
                    self.acknowledged.add(number)
                if len(self.acknowledged) >= self.goal:
                    self.reached.set()
                number += 1

    async def receive(self, broker: Callable[[], BrokerProcess]) -> None:
        while True:
            with contextlib.suppress(ServiceBusError, OSError):
                async with (
                    client(broker(), **PATIENT) as service,
                    service.get_subscription_receiver("t", "all") as receiver,
                ):
                    while True:
                        messages = await receiver.receive_messages(50, max_wait_time=1)
                        if self.stop and not messages:
                            return
                        for message in messages:
                            await self._complete(receiver, message)

    async def _complete(self, receiver: Any, message: Any) -> None:
        sequence = message.sequence_number
        self.delivered[int(str(message))] += 1
        if sequence in self.completed:
            self.returned.append(sequence)
        await receiver.complete_message(message)
        self.completed.add(sequence)


@pytest.mark.conforms(
    "Reliability",
    "an acknowledged message survives, a completed one does not come again",
    source="learn:azure/service-bus-messaging/message-transfers-locks-settlement",
)
async def test_four_kills_lose_no_acknowledged_message_and_return_no_completed_one(
    topology: Path, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311 - only the moments of the kills depend on it
    broker = BrokerProcess(topology, tmp_path / "state")
    port, record = broker.port, Record()
    service = client(broker, **PATIENT)
    clients = asyncio.gather(record.send(service), record.receive(lambda: broker))
    for _ in range(KILLS):
        await record.until(len(record.acknowledged) + chance.randint(100, 250))
        await asyncio.to_thread(broker.kill)
        broker = await asyncio.to_thread(
            lambda: BrokerProcess(topology, tmp_path / "state", port=port)
        )
    record.stop = True
    async with asyncio.timeout(30):
        await clients
    await service.close()
    assert broker.stop() == 0
    assert record.acknowledged - record.delivered.keys() == set()
    assert record.returned == []
    assert len(record.acknowledged) >= KILLS * 100


async def test_everything_is_there_after_a_kill(topology: Path, tmp_path: Path) -> None:
    broker = BrokerProcess(topology, tmp_path / "state")
    async with opened(broker) as (_, pair):
        await pair.sender.send_messages([ServiceBusMessage(text) for text in "abcde"])
        a, b, c, *_ = await receive(pair.receiver, 5)
        await pair.receiver.complete_message(a)
        await pair.receiver.abandon_message(b)
        await pair.receiver.dead_letter_message(c, reason="r")
    broker.kill()
    with running(topology, tmp_path / "state") as again:
        async with opened(again) as (sdk, pair):
            await pair.sender.send_messages(ServiceBusMessage("f"))
            messages = await receive(pair.receiver, 4)
            dead_letters = ServiceBusSubQueue.DEAD_LETTER
            (dead,) = await receive(await sdk.receiver("t", sub_queue=dead_letters), 1)
    seen = [(str(m), m.sequence_number, m.enqueued_sequence_number) for m in messages]
    assert seen == [("b", 2, 2), ("d", 4, 4), ("e", 5, 5), ("f", 6, 6)]
    assert [m.delivery_count for m in messages] == [1, 0, 0, 0]
    assert (str(dead), dead.dead_letter_reason, dead.enqueued_sequence_number) == ("c", "r", 3)


async def test_a_full_store_refuses_sends_but_lets_messages_out(
    topology: Path, tmp_path: Path
) -> None:
    half, large = ServiceBusMessage("x" * 600_000), ("--max-message-kb", "1024")
    with running(topology, tmp_path / "state", "--max-store-mb", "1", *large) as broker:
        async with opened(broker) as (_, pair):
            await pair.sender.send_messages(half)
            with pytest.raises(ServiceBusQuotaExceededError, match="store of the broker is full"):
                await pair.sender.send_messages(half)
            await pair.sender.send_messages(ServiceBusMessage("small"))
            for _ in range(2):
                (message,) = await receive(pair.receiver, 1)
                await pair.receiver.complete_message(message)
            assert str(message) == "small"
            await pair.sender.send_messages(half)


async def test_sigterm_takes_leave_of_the_clients(topology: Path, tmp_path: Path) -> None:
    with running(topology, tmp_path / "state") as broker:
        async with client(broker) as service, service.get_topic_sender("t") as sender:
            await sender.send_messages(ServiceBusMessage("x"))
            assert await asyncio.to_thread(broker.stop) == 0


def test_messages_of_a_subscription_that_is_gone_are_kept(topology: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(topology, state):
        pass
    db = sqlite3.connect(state / "servicebus.sqlite3")
    with db:
        db.execute("INSERT INTO messages VALUES (1, 'gone', 1, 1, 1, NULL, 0, x'', NULL, 0)")
    db.close()
    with running(topology, state):
        pass
    db = sqlite3.connect(state / "servicebus.sqlite3")
    assert db.execute("SELECT count(*) FROM messages").fetchone() == (1,)
    db.close()


def test_a_damaged_store_is_named(topology: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "servicebus.sqlite3").write_bytes(b"garbage" * 2_000)
    with pytest.raises(BrokerRefused, match=r"servicebus\.sqlite3 is damaged .*move it away"):
        BrokerProcess(topology, tmp_path / "state")


def test_a_taken_port_is_named(topology: Path, tmp_path: Path) -> None:
    with (
        running(topology, tmp_path / "one") as broker,
        pytest.raises(BrokerRefused, match=f"cannot listen on 127.0.0.1:{broker.port}"),
    ):
        BrokerProcess(topology, tmp_path / "other", port=broker.port)


def test_an_unsupported_topology_is_named(tmp_path: Path) -> None:
    topology = write_topology(tmp_path / "t.json", {"t": [subscription(ReadOnly="yes")]})
    with pytest.raises(BrokerRefused, match="subscription t/all: unknown property ReadOnly"):
        BrokerProcess(topology, tmp_path / "state")


def test_a_broker_without_a_key_does_not_start(topology: Path) -> None:
    result = CliRunner().invoke(main, ["--topology", str(topology)], env={})
    assert result.exit_code == 2
    assert "no key: give --key-file, --key, or the variable LOCALCLOUD_SERVICEBUS_KEY" in (
        result.output
    )


def test_help_explains_how_to_connect() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "SharedAccessKeyName=RootManageSharedAccessKey" in result.output
    assert KEY not in result.output
