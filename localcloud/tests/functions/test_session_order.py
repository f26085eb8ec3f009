"""Events of one aggregate arrive in their order, whatever fails or dies on the way.

The session queue is fed by auto-forwarding subscriptions of two topics, as the product's is.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusSender,
    ServiceBusSubQueue,
)

from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running
from localcloud.tests.servicebus.rig import BrokerProcess, subscription, write_topology
from localcloud.tests.servicebus.rig import running as broker_running

PATIENCE_S = 30.0
SESSIONS = "learn:azure/service-bus-messaging/message-sessions"
TOPICS = ("orders", "payments")
soon = partial(eventually, within_s=PATIENCE_S)


@dataclass
class Post:
    """A broker, and what hosts noted of the events that they read."""

    folder: Path
    broker: BrokerProcess
    client: ServiceBusClient
    senders: Sequence[ServiceBusSender]

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence"

    def host(self, name: str, **options: str) -> contextlib.AbstractContextManager[RunningHost]:
        """A host that reads; `options` are of `extensions.serviceBus`."""
        prefix = "AzureFunctionsJobHost__extensions__serviceBus__"
        env = {"EVIDENCE": str(self.evidence), "HOST_NAME": name}
        env |= {"Bus": self.broker.connection_string()}
        env |= {f"{prefix}{key}": value for key, value in options.items()}
        return running(APPS / "letters", self.folder / name, env=env)

    def send(self, session: str, *letters: dict[str, Any]) -> None:
        """Letters of a session, over the topics in turn, each once the one before it is there."""
        for number, letter in enumerate(letters):
            sender = self.senders[number % len(self.senders)]
            sender.send_messages(ServiceBusMessage(json.dumps(letter), session_id=session))

    def notes(self, session: str) -> list[dict[str, Any]]:
        file = self.evidence / "letters"
        lines = file.read_text().splitlines() if file.exists() else []
        return [note for note in map(json.loads, lines) if note["session"] == session]

    def begun(self, session: str) -> list[int]:
        return [note["n"] for note in self.notes(session) if note["at"] == "begin"]

    def ended(self, session: str) -> list[int]:
        return [note["n"] for note in self.notes(session) if note["at"] == "end"]

    def release(self, name: str) -> None:
        (self.evidence / name).touch()


def numbered(count: int, **held: str) -> list[dict[str, Any]]:
    """Letters from 1 on; `held` names the file for which the letter of a number waits, as `n3`."""
    return [
        {"n": n} | ({"until": held[f"n{n}"]} if f"n{n}" in held else {})
        for n in range(1, count + 1)
    ]


@contextlib.contextmanager
def posting(folder: Path) -> Iterator[Post]:
    feeds = {topic: [subscription("letters", ForwardTo="letters")] for topic in TOPICS}
    queues = {"letters": {"RequiresSession": True, "MaxDeliveryCount": 3}}
    topology = write_topology(folder / "topology.json", feeds, queues)
    (folder / "evidence").mkdir()
    with (
        broker_running(topology, folder / "broker") as broker,
        ServiceBusClient.from_connection_string(broker.connection_string()) as client,
    ):
        yield Post(folder, broker, client, [client.get_topic_sender(topic) for topic in TOPICS])


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """One for hosts that each test starts, for sessions of its own."""
    with posting(tmp_path_factory.mktemp("post")) as made:
        yield made


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """A post with a host that reads all the time."""
    with posting(tmp_path_factory.mktemp("post")) as made, made.host("reader"):
        yield made


@pytest.mark.conforms(
    "Service Bus triggers",
    "a message of a session that fails comes again before those behind it; others go on",
    source=SESSIONS,
)
def test_a_failing_message_is_tried_again_before_those_behind_it(read: Post) -> None:
    read.send("other", *numbered(2, n1="other-may-end"))
    soon(lambda: read.begun("other") == [1])
    read.send("failing", {"n": 1}, {"n": 2, "failures": 2}, {"n": 3}, {"n": 4})

    soon(lambda: read.ended("failing") == [1, 2, 3, 4])
    assert read.begun("failing") == [1, 2, 2, 2, 3, 4]
    assert read.begun("other") == [1]
    read.release("other-may-end")
    soon(lambda: read.ended("other") == [1, 2])


@pytest.mark.conforms(
    "Service Bus triggers",
    "after MaxDeliveryCount a message is dead-lettered, and its session goes on",
    source="learn:azure/service-bus-messaging/service-bus-dead-letter-queues",
)
def test_after_its_last_delivery_a_message_leaves_and_its_session_goes_on(read: Post) -> None:
    read.send("poisoned", {"n": 1, "failures": 99}, {"n": 2})

    soon(lambda: read.ended("poisoned") == [2])
    assert read.begun("poisoned") == [1, 1, 1, 2]
    graveyard = ServiceBusSubQueue.DEAD_LETTER
    with read.client.get_queue_receiver("letters", sub_queue=graveyard) as dead:
        (letter,) = dead.receive_messages(1, max_wait_time=PATIENCE_S)
        assert (json.loads(str(letter))["n"], letter.session_id) == (1, "poisoned")
        assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"
        dead.complete_message(letter)


def test_a_crowd_of_sessions_is_read_each_in_its_order(read: Post) -> None:
    """More at a time than there may be, and than connections are kept for."""
    sessions = [f"many-{number}" for number in range(150)]
    for n in (1, 2):
        for at in range(0, len(sessions), 50):
            batch = [
                ServiceBusMessage(json.dumps({"n": n}), session_id=session)
                for session in sessions[at : at + 50]
            ]
            read.senders[n % len(TOPICS)].send_messages(batch)
    last = sessions[-1]
    soon(lambda: read.ended(last) == [1, 2])
    soon(lambda: all(read.ended(session) == [1, 2] for session in sessions))
    assert [read.begun(session) for session in sessions] == [[1, 2]] * len(sessions)


@pytest.mark.conforms(
    "Service Bus triggers",
    "prefetchCount lets a message that fails be overtaken within its session; the host warns",
    source="issue:Azure/azure-sdk-for-java/issues/36478",
)
def test_what_was_prefetched_overtakes_a_message_that_fails(post: Post) -> None:
    post.send("hasty", {"n": 1, "failures": 1}, {"n": 2}, {"n": 3})
    with post.host("prefetching", prefetchCount="5") as host:
        soon(lambda: post.ended("hasty") == [2, 3, 1])
        assert post.begun("hasty") == [1, 2, 3, 1]
        assert "read_letter: with prefetchCount 5 a message that fails is overtaken" in host.log


def test_a_killed_host_is_followed_by_one_that_goes_on_where_it_was(post: Post) -> None:
    with post.host("first") as first:
        post.send("orphan", *numbered(5, n3="orphan-may-end"))
        soon(lambda: post.begun("orphan") == [1, 2, 3])
        first.kill()
        assert post.ended("orphan") == [1, 2]
    with post.host("second"):
        soon(lambda: post.begun("orphan") == [1, 2, 3, 3])
        post.release("orphan-may-end")
        soon(lambda: post.ended("orphan") == [1, 2, 3, 4, 5])
    assert post.begun("orphan") == [1, 2, 3, 3, 4, 5]
    assert {note["host"] for note in post.notes("orphan")[:5]} == {"first"}
    assert {note["host"] for note in post.notes("orphan")[5:]} == {"second"}


@pytest.mark.conforms(
    "Service Bus triggers",
    "a session is held by one host at a time; when that dies, another takes it over",
    source=SESSIONS,
)
def test_of_two_hosts_one_holds_a_session_and_the_other_takes_it_over(post: Post) -> None:
    one_each = {"maxConcurrentSessions": "1"}
    with post.host("left", **one_each) as left, post.host("right", **one_each):
        for session in ("a", "b"):
            post.send(session, *numbered(4, n2=f"{session}-may-end"))
        soon(lambda: post.begun("a") == [1, 2] and post.begun("b") == [1, 2])
        holders = {session: {n["host"] for n in post.notes(session)} for session in ("a", "b")}
        assert sorted(holders.values(), key=str) == [{"left"}, {"right"}]
        (orphan,) = [session for session, hosts in holders.items() if hosts == {"left"}]
        (kept,) = {"a", "b"} - {orphan}

        left.kill()
        for session in ("a", "b"):
            post.release(f"{session}-may-end")
        soon(lambda: all(post.ended(session) == [1, 2, 3, 4] for session in ("a", "b")))
    assert post.begun(kept) == [1, 2, 3, 4]
    assert post.begun(orphan) == [1, 2, 2, 3, 4]
    assert [note["host"] for note in post.notes(orphan)] == ["left"] * 3 + ["right"] * 6


def test_a_killed_broker_goes_on_where_it_was(post: Post) -> None:
    """What was in hand comes again, since nobody could hear that it was done."""
    with post.host("survivors"):
        post.send("survivor", *numbered(5, n3="survivor-may-end"))
        soon(lambda: post.begun("survivor") == [1, 2, 3])
        port = post.broker.port
        for sender in post.senders:
            sender.close()
        post.broker.kill()
        post.broker = BrokerProcess(
            post.folder / "topology.json", post.folder / "broker", port=port
        )
        try:
            soon(lambda: post.begun("survivor") == [1, 2, 3, 3])
            post.release("survivor-may-end")
            # The first call of 3 waits too, and may notice its release after all that follow.
            soon(lambda: sorted(post.ended("survivor")) == [1, 2, 3, 3, 4, 5])
            assert post.begun("survivor") == [1, 2, 3, 3, 4, 5]
        finally:
            post.broker.stop()
