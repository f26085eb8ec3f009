"""AMQP between the broker and a bare peer: credit, windows, frame sizes, locks, heartbeats."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.decoding import Described
from localcloud.tests.servicebus.peer import Peer, error_of, sas, text_message, text_of
from localcloud.tests.servicebus.rig import BrokerProcess, running, subscription, write_topology

NAMESPACE = "sb://127.0.0.1/"
TOPICS = 20
IDLE_S = 0.4


@pytest.fixture(scope="module")
def brisk_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Topics with short locks, and little patience for silent peers."""
    folder = tmp_path_factory.mktemp("brisk")
    topics = {f"t{number}": [subscription(LockDuration="PT0.5S")] for number in range(TOPICS)}
    topology = write_topology(folder / "topology.json", topics)
    with running(topology, folder / "state", "--idle-timeout", str(IDLE_S)) as broker:
        yield broker
        assert broker.process.poll() is None


@pytest.fixture(scope="module")
def topics() -> Iterator[str]:
    return (f"t{number}" for number in range(TOPICS))


@pytest.fixture
def topic(topics: Iterator[str]) -> str:
    return next(topics)


@asynccontextmanager
async def session(
    broker: BrokerProcess, *, max_frame_size: int = 65_536, window: int = 1_000
) -> AsyncIterator[Peer]:
    """An open connection with a session and a token for everything."""
    async with Peer.connected(broker.port) as peer:
        await peer.open(max_frame_size=max_frame_size)
        await peer.begin(window=window)
        assert await peer.authorize(sas(NAMESPACE), NAMESPACE) == 202
        yield peer


async def publish(peer: Peer, topic: str, *texts: str) -> None:
    """Send messages over handle 9 and see them confirmed, then give the link back."""
    await peer.link(9, topic)
    for number, text in enumerate(texts):
        await peer.transfer(9, 100 + number, text_message(text))
        disposition, _ = await peer.skip_to(amqp.DISPOSITION)
        assert disposition.value(4) == Described(amqp.ACCEPTED, [])
    await peer.send(amqp.DETACH, enc.uint(9), enc.TRUE)
    await peer.skip_to(amqp.DETACH)


async def test_the_broker_introduces_itself(brisk_broker: BrokerProcess) -> None:
    async with Peer.connected(brisk_broker.port) as peer:
        opened = await peer.open()
        assert [opened.value(index) for index in range(5)] == [
            "localcloud-servicebus",
            None,
            262_144,
            255,
            400,
        ]
        await peer.send(amqp.CLOSE)
        closed, _ = await peer.receive(amqp.CLOSE)
        assert closed.value(0) is None
        assert await peer.unit() is None


async def test_no_more_messages_come_than_there_is_credit(
    brisk_broker: BrokerProcess, topic: str
) -> None:
    async with session(brisk_broker) as peer:
        await publish(peer, topic, "a", "b", "c")
        await peer.link(0, f"{topic}/Subscriptions/all", receives=True)
        assert await peer.silent_for(0.1)
        await peer.credit(0, 2)
        assert text_of((await peer.receive(amqp.TRANSFER))[1]) == "a"
        assert text_of((await peer.receive(amqp.TRANSFER))[1]) == "b"
        assert await peer.silent_for(0.1)
        await peer.credit(0, 1, seen=2)
        assert text_of((await peer.receive(amqp.TRANSFER))[1]) == "c"


async def test_draining_delivers_what_is_there_and_gives_the_rest_of_the_credit_back(
    brisk_broker: BrokerProcess, topic: str
) -> None:
    async with session(brisk_broker) as peer:
        await publish(peer, topic, "only")
        await peer.link(0, f"{topic}/Subscriptions/all", receives=True)
        await peer.credit(0, 10, drain=True)
        assert text_of((await peer.receive(amqp.TRANSFER))[1]) == "only"
        flow, _ = await peer.receive(amqp.FLOW)
        assert (flow.number(4), flow.number(5), flow.number(6)) == (0, 10, 0)
        assert flow.flag(8)


async def test_a_message_waits_for_the_window_of_the_session(
    brisk_broker: BrokerProcess, topic: str
) -> None:
    async with session(brisk_broker, max_frame_size=512, window=3) as peer:
        await publish(peer, topic, "x" * 1_000)
        await peer.link(0, f"{topic}/Subscriptions/all", receives=True)
        # The token's answer was the first transfer of the session.
        await peer.credit(0, 5, frames=1, window=2)
        parts = [await peer.receive(amqp.TRANSFER) for _ in range(2)]
        assert await peer.silent_for(0.1)
        await peer.credit(0, 4, seen=1, frames=3, window=9)
        parts.append(await peer.receive(amqp.TRANSFER))
        assert [fields.flag(5) for fields, _ in parts] == [True, True, False]
        assert text_of(b"".join(part for _, part in parts)) == "x" * 1_000


async def test_messages_of_many_frames_arrive_whole_both_ways(
    brisk_broker: BrokerProcess, topic: str
) -> None:
    text = "".join(f"{number:05}" for number in range(2_000))
    async with session(brisk_broker, max_frame_size=512) as peer:
        await peer.link(9, topic)
        data = text_message(text)
        for start in range(0, len(data), 400):
            await peer.transfer(9, 1, data[start : start + 400], more=start + 400 < len(data))
        disposition, _ = await peer.skip_to(amqp.DISPOSITION)
        assert disposition.value(4) == Described(amqp.ACCEPTED, [])
        await peer.link(0, f"{topic}/Subscriptions/all", receives=True)
        await peer.credit(0, 1)
        payload, more, frames = b"", True, 0
        while more:
            transfer, part = await peer.receive(amqp.TRANSFER)
            assert len(part) < 512
            payload, more, frames = payload + part, transfer.flag(5), frames + 1
        assert payload.endswith(text.encode())
        assert frames == -(-len(payload) // 448)


async def test_an_aborted_delivery_leaves_nothing(brisk_broker: BrokerProcess, topic: str) -> None:
    async with session(brisk_broker) as peer:
        await peer.link(9, topic)
        await peer.transfer(9, 1, text_message("half")[:5], more=True)
        aborted = [enc.uint(9), *[enc.NULL] * 8, enc.TRUE]
        await peer.send(amqp.TRANSFER, *aborted)
        await peer.transfer(9, 2, text_message("whole"))
        await peer.skip_to(amqp.DISPOSITION)
        await peer.link(0, f"{topic}/Subscriptions/all", receives=True)
        await peer.credit(0, 5)
        assert text_of((await peer.receive(amqp.TRANSFER))[1]) == "whole"
        assert await peer.silent_for(0.1)


async def test_a_malformed_message_is_rejected_and_the_link_goes_on(
    brisk_broker: BrokerProcess, topic: str
) -> None:
    async with session(brisk_broker) as peer:
        await peer.link(9, topic)
        for number, junk in enumerate((b"\xff", b"\x00\x53\x99\x40", b"\x00\x53\x74\x45", b"\x00")):
            await peer.transfer(9, number, junk)
            disposition, _ = await peer.skip_to(amqp.DISPOSITION)
            state = disposition.value(4)
            assert isinstance(state, Described)
            assert state.descriptor == amqp.REJECTED
            assert error_of(amqp.Fields(state.value), 0)[0] == "amqp:decode-error"
        await peer.transfer(9, 9, text_message("fine"))
        disposition, _ = await peer.skip_to(amqp.DISPOSITION)
        assert disposition.value(4) == Described(amqp.ACCEPTED, [])


async def test_messages_of_a_dropped_connection_stay_locked_until_their_locks_expire(
    brisk_broker: BrokerProcess, topic: str
) -> None:
    async with session(brisk_broker) as peer:
        await publish(peer, topic, "held")
        await peer.link(0, f"{topic}/Subscriptions/all", receives=True)
        await peer.credit(0, 1)
        await peer.receive(amqp.TRANSFER)
    async with session(brisk_broker) as peer:
        await peer.link(0, f"{topic}/Subscriptions/all", receives=True)
        await peer.credit(0, 1)
        assert await peer.silent_for(0.2)
        _, payload = await peer.receive(amqp.TRANSFER)
        assert text_of(payload) == "held"
        assert payload.startswith(enc.composite(0x70, [*[enc.NULL] * 4, enc.uint(1)]))


async def test_a_delivery_that_is_not_known_is_settled_as_a_lost_lock(
    brisk_broker: BrokerProcess,
) -> None:
    async with session(brisk_broker) as peer:
        state = amqp.ACCEPTED_OUTCOME
        await peer.send(amqp.DISPOSITION, enc.TRUE, enc.uint(77), enc.NULL, enc.FALSE, state)
        disposition, _ = await peer.receive(amqp.DISPOSITION)
        rejected = disposition.value(4)
        assert isinstance(rejected, Described)
        assert error_of(amqp.Fields(rejected.value), 0)[0] == "com.microsoft:message-lock-lost"


async def test_one_disposition_settles_a_range(brisk_broker: BrokerProcess, topic: str) -> None:
    async with session(brisk_broker) as peer:
        await publish(peer, topic, "a", "b", "c")
        await peer.link(0, f"{topic}/Subscriptions/all", receives=True)
        await peer.credit(0, 3)
        ids = [(await peer.receive(amqp.TRANSFER))[0].required_number(1) for _ in range(3)]
        settle = [enc.TRUE, enc.uint(ids[0]), enc.uint(0xFFFF_FFFF), enc.FALSE]
        await peer.send(amqp.DISPOSITION, *settle, amqp.ACCEPTED_OUTCOME)
        settled = [(await peer.receive(amqp.DISPOSITION))[0].number(1) for _ in range(3)]
        assert settled == ids


async def test_a_transaction_coordinator_is_refused_by_name(brisk_broker: BrokerProcess) -> None:
    async with session(brisk_broker) as peer:
        coordinator = enc.described(0x30, enc.EMPTY_LIST)
        source = enc.composite(amqp.SOURCE, ())
        head = [enc.string("tx"), enc.uint(0), enc.FALSE, enc.ubyte(0), enc.ubyte(0)]
        await peer.send(amqp.ATTACH, *head, source, coordinator, enc.NULL, enc.NULL, enc.uint(0))
        detach, _ = await peer.skip_to(amqp.DETACH)
        assert error_of(detach, 2) == (
            "amqp:not-implemented",
            "Transactions are not offered: the link 'tx' asks for their coordinator.",
        )


async def test_sending_to_a_subscription_is_not_allowed(
    brisk_broker: BrokerProcess, topic: str
) -> None:
    async with session(brisk_broker) as peer:
        await peer.attach(0, f"{topic}/Subscriptions/all")
        detach, _ = await peer.skip_to(amqp.DETACH)
        assert error_of(detach, 2)[0] == "amqp:not-allowed"


async def test_heartbeats_keep_the_peer_satisfied(brisk_broker: BrokerProcess) -> None:
    async with Peer.connected(brisk_broker.port) as peer:
        await peer.open(idle_ms=200)
        assert await peer.silent_for(0.6)
        assert 4 <= peer.heartbeats <= 20


async def test_a_silent_peer_is_given_up(brisk_broker: BrokerProcess) -> None:
    async with Peer.connected(brisk_broker.port) as peer:
        await peer.open()
        condition, description = await peer.closed_because()
        assert condition == "amqp:resource-limit-exceeded"
        assert description == "The connection was idle for too long."


async def test_a_peer_that_never_says_anything_is_given_up(brisk_broker: BrokerProcess) -> None:
    async with Peer.connected(brisk_broker.port) as peer:
        assert await peer.unit() is None


async def test_a_peer_that_sends_heartbeats_is_not_given_up(brisk_broker: BrokerProcess) -> None:
    async with Peer.connected(brisk_broker.port) as peer:
        await peer.open()
        for _ in range(12):
            assert await peer.silent_for(0.1)
            await peer.write(b"\x00\x00\x00\x08\x02\x00\x00\x00")
        await peer.begin()
