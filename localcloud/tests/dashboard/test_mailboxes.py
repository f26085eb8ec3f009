"""What the dashboard learns from a real broker, which a real client has sent messages."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from localcloud.dashboard.mailboxes import Broker, Mailbox
from localcloud.tests.servicebus.rig import (
    KEY,
    BrokerProcess,
    running,
    subscription,
    write_topology,
)

QUEUES = 130
"""More than one page of the administration API."""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("mailboxes")
    topics = {"news": [subscription("all"), subscription("some")], "quiet": []}
    queues: dict[str, dict[str, object]] = {f"q-{number:03}": {} for number in range(QUEUES)}
    topology = write_topology(folder / "topology.json", topics, queues)
    with running(topology, folder / "state", "--admin-port", "0") as broker:
        yield broker


def administration(process: BrokerProcess, key: str = KEY) -> Broker:
    return Broker("127.0.0.1", process.admin_port, key, process.certificate)


def test_every_queue_and_subscription_is_counted(process: BrokerProcess) -> None:
    with ServiceBusClient.from_connection_string(process.connection_string()) as client:
        with client.get_queue_sender("q-007") as sender:
            sender.send_messages([ServiceBusMessage("x") for _ in range(4)])
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            sender.schedule_messages(ServiceBusMessage("later"), tomorrow)
        with client.get_topic_sender("news") as sender:
            sender.send_messages(ServiceBusMessage("x"))
        with client.get_queue_receiver("q-007") as receiver:
            (message,) = receiver.receive_messages(max_message_count=1, max_wait_time=30)
            receiver.dead_letter_message(message, reason="unreadable")

    found = administration(process).mailboxes()
    assert [mailbox.name for mailbox in found] == [
        *(f"q-{number:03}" for number in range(QUEUES)),
        "news/all",
        "news/some",
    ]
    assert [mailbox for mailbox in found if mailbox.active or mailbox.dead_letters] == [
        Mailbox("q-007", active=3, scheduled=1, dead_letters=1),
        Mailbox("news/all", active=1, scheduled=0, dead_letters=0),
        Mailbox("news/some", active=1, scheduled=0, dead_letters=0),
    ]


def test_a_wrong_key_is_refused_in_words(process: BrokerProcess) -> None:
    with pytest.raises(OSError, match=r"GET /\$Resources/queues answered 401$"):
        administration(process, "another").mailboxes()


def test_a_certificate_that_is_not_the_brokers_is_not_trusted(
    process: BrokerProcess, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    topology = write_topology(tmp_path / "topology.json", {})
    with running(topology, tmp_path / "state" / "other", "--admin-port", "0") as other:
        broker = Broker("127.0.0.1", process.admin_port, KEY, other.certificate)
        with pytest.raises(OSError, match="certificate verify failed"):
            broker.mailboxes()


def test_a_broker_that_is_down_is_an_error_of_the_system(
    process: BrokerProcess, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionRefusedError):
        Broker("127.0.0.1", 1, KEY, process.certificate).mailboxes()
    with pytest.raises(FileNotFoundError):
        Broker("127.0.0.1", 1, KEY, tmp_path / "none.pem").mailboxes()
