"""Peers that send garbage lose their own connection, and nobody else's."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.decoding import Described
from localcloud.servicebus.frames import AMQP_HEADER, Header, frame
from localcloud.tests.servicebus.peer import Peer, sas, text_message
from localcloud.tests.servicebus.rig import BrokerProcess, running, subscription, write_topology

NAMESPACE = "sb://127.0.0.1/"


@pytest.fixture
async def bystander(broker: BrokerProcess) -> AsyncIterator[None]:
    """A connection that must go on working through all of the test."""
    async with Peer.connected(broker.port) as peer:
        await peer.open()
        await peer.begin()
        assert await peer.authorize(sas(NAMESPACE), NAMESPACE) == 202
        await peer.link(0, "wire")
        yield
        await peer.transfer(0, 1, text_message("still here"))
        disposition, _ = await peer.skip_to(amqp.DISPOSITION)
        assert disposition.value(4) == Described(amqp.ACCEPTED, [])


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\x00" * 64]
)
@pytest.mark.usefixtures("bystander")
async def test_another_protocol_is_answered_with_the_right_header(
    broker: BrokerProcess, junk: bytes
) -> None:
    async with Peer.connected(broker.port) as peer:
        await peer.write(junk)
        assert await peer.unit() == Header(AMQP_HEADER)
        assert await peer.unit() is None


def _compound(count: int) -> bytes:
    return b"\x00\x53\x10\xf0\x00\x00\x00\x05" + count.to_bytes(4, "big") + b"\x43"


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"\x7f\xff\xff\xff\x02\x00\x00\x00", "amqp:connection:framing-error"),
        (b"\x00\x00\x00\x04\x02\x00\x00\x00", "amqp:connection:framing-error"),
        (b"\x00\x00\x00\x08\x01\x00\x00\x00", "amqp:connection:framing-error"),
        (b"\x00\x00\x00\x08\xff\x00\x00\x00", "amqp:connection:framing-error"),
        (frame(0, b"x", kind=7), "amqp:not-implemented"),
        (frame(0, b"\x40"), "amqp:decode-error"),
        (frame(0, b"\x00\x53\x10\x40"), "amqp:decode-error"),
        (frame(0, b"\x00\x53\x10\xd0\xff\xff\xff\xff\xff\xff\xff\xff"), "amqp:decode-error"),
        (frame(0, _compound(0xFFFF_FFFF)), "amqp:decode-error"),
        (frame(0, b"\x00\x53\x10" + b"\xc0\xff\x01" * 80), "amqp:decode-error"),
        (frame(0, b"\x00" * 5_000), "amqp:decode-error"),
        (frame(0, enc.composite(0x11, (enc.NULL, enc.uint(0)))), "amqp:illegal-state"),
    ],
)
@pytest.mark.usefixtures("bystander")
async def test_garbage_before_open_closes_the_connection(
    broker: BrokerProcess, data: bytes, condition: str
) -> None:
    async with Peer.connected(broker.port) as peer:
        await peer.write(AMQP_HEADER + data)
        assert await peer.unit() == Header(AMQP_HEADER)
        assert (await peer.closed_because())[0] == condition


def _open(*, max_frame_size: int) -> bytes:
    return frame(0, enc.composite(0x10, (enc.string("p"), enc.NULL, enc.uint(max_frame_size))))


BEGIN = enc.composite(amqp.BEGIN, (enc.NULL, enc.uint(0), enc.uint(9), enc.uint(9)))


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (_open(max_frame_size=512), "amqp:illegal-state"),
        (frame(0, enc.composite(0x99, ())), "amqp:not-allowed"),
        (frame(0, BEGIN) + frame(0, enc.composite(0x99, ())), "amqp:not-implemented"),
        (frame(0, BEGIN) + frame(0, BEGIN), "amqp:illegal-state"),
        (frame(300, BEGIN), "amqp:not-allowed"),
        (frame(5, enc.composite(amqp.FLOW, ())), "amqp:not-allowed"),
        (frame(0, BEGIN) + frame(0, enc.composite(amqp.FLOW, ())), "amqp:invalid-field"),
        (
            frame(0, BEGIN) + frame(0, enc.composite(amqp.TRANSFER, (enc.uint(3),))),
            "amqp:session:unattached-handle",
        ),
        (
            frame(0, BEGIN) + frame(0, enc.composite(amqp.DETACH, (enc.uint(3),))),
            "amqp:session:unattached-handle",
        ),
        (
            frame(0, BEGIN) + frame(0, enc.composite(amqp.ATTACH, (enc.uint(3),))),
            "amqp:invalid-field",
        ),
        (
            frame(0, BEGIN) + frame(0, enc.composite(amqp.ATTACH, (enc.string("l"), enc.TRUE))),
            "amqp:invalid-field",
        ),
        (
            frame(0, BEGIN)
            + frame(0, enc.composite(amqp.ATTACH, (enc.string("l"), enc.uint(256), enc.TRUE))),
            "amqp:not-allowed",
        ),
    ],
)
@pytest.mark.usefixtures("bystander")
async def test_garbage_after_open_closes_the_connection(
    broker: BrokerProcess, data: bytes, condition: str
) -> None:
    async with Peer.connected(broker.port) as peer:
        await peer.open()
        await peer.write(data)
        assert (await peer.closed_because())[0] == condition


async def test_a_tiny_frame_size_is_refused(broker: BrokerProcess) -> None:
    async with Peer.connected(broker.port) as peer:
        await peer.write(AMQP_HEADER + _open(max_frame_size=100))
        assert await peer.unit() == Header(AMQP_HEADER)
        assert (await peer.closed_because())[0] == "amqp:invalid-field"


@pytest.mark.usefixtures("bystander")
async def test_unfinished_deliveries_cannot_fill_the_memory(broker: BrokerProcess) -> None:
    async with Peer.connected(broker.port) as peer:
        await peer.open()
        await peer.begin()
        assert await peer.authorize(sas(NAMESPACE), NAMESPACE) == 202
        part = b"z" * 250_000
        for handle in range(140):
            await peer.attach(handle, "wire")
            await peer.transfer(handle, 100 + handle, part, more=True)
        assert (await peer.closed_because())[0] == "amqp:resource-limit-exceeded"


async def test_frames_after_the_end_of_a_session_are_ignored(broker: BrokerProcess) -> None:
    async with Peer.connected(broker.port) as peer:
        await peer.open()
        await peer.begin()
        await peer.send(amqp.END)
        await peer.receive(amqp.END)
        await peer.send(amqp.DETACH, enc.uint(0), enc.TRUE)
        await peer.begin()


async def test_a_delivery_without_an_id_closes_the_connection(broker: BrokerProcess) -> None:
    async with Peer.connected(broker.port) as peer:
        await peer.open()
        await peer.begin()
        assert await peer.authorize(sas(NAMESPACE), NAMESPACE) == 202
        await peer.link(0, "wire")
        await peer.send(amqp.TRANSFER, enc.uint(0), payload=text_message("whose?"))
        assert (await peer.closed_because())[0] == "amqp:invalid-field"


async def test_a_flood_and_a_peer_that_never_reads_hinder_nobody(tmp_path: Path) -> None:
    topology = write_topology(tmp_path / "topology.json", {"wire": [subscription()]})
    body = text_message("z" * 250_000)
    async with AsyncExitStack() as stack:
        process = stack.enter_context(running(topology, tmp_path / "s", "--max-store-mb", "16"))
        peers = [await stack.enter_async_context(Peer.connected(process.port)) for _ in range(3)]
        for peer in peers:
            await peer.open()
            await peer.begin(window=10_000)
            assert await peer.authorize(sas(NAMESPACE), NAMESPACE) == 202
        flooder, deaf, modest = peers
        await flooder.link(0, "wire")
        for number in range(200):
            await flooder.transfer(0, number, body)
        outcomes = [(await flooder.skip_to(amqp.DISPOSITION))[0].value(4) for _ in range(200)]
        codes = Counter(state.descriptor for state in outcomes if isinstance(state, Described))
        assert codes.keys() == {amqp.ACCEPTED, amqp.REJECTED}
        await deaf.link(0, "wire/Subscriptions/all", receives=True)
        await deaf.credit(0, 10_000, frames=1, window=10_000)
        await modest.link(0, "wire")
        await modest.transfer(0, 1, text_message("me too"))
        disposition, _ = await modest.skip_to(amqp.DISPOSITION)
        assert disposition.value(4) == Described(amqp.ACCEPTED, [])
