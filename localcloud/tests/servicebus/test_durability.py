"""The broker as a process: killed, restarted, with a full disk, and started wrongly."""

import asyncio
import gc
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusQuotaExceededError
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

# After a lost connection the asynchronous SDK leaves its old transport to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("sdk_litter"),
]


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
