"""What a message may carry, over the wire, where no SDK would let it pass."""

import pytest

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.decoding import Described
from localcloud.tests.servicebus.peer import Peer, error_of, sas
from localcloud.tests.servicebus.rig import BrokerProcess

NAMESPACE = "sb://127.0.0.1/"
BODY = enc.described(wire.DATA, enc.binary(b"x"))


def properties(**values: str) -> bytes:
    fields = [enc.NULL] * len(wire.PROPERTY_NAMES)
    for name, value in values.items():
        fields[wire.PROPERTY_NAMES.index(name.replace("_", "-"))] = enc.string(value)
    return enc.composite(wire.PROPERTIES, fields)


def application(**values: str) -> bytes:
    encoded = {name: enc.string(value) for name, value in values.items()}
    return enc.described(wire.APPLICATION_PROPERTIES, enc.string_map(encoded))


def annotated(name: str, value: str) -> bytes:
    pair = (enc.symbol(name), enc.string(value))
    return enc.described(wire.MESSAGE_ANNOTATIONS, enc.map_of(pair))


@pytest.mark.conforms(
    "Limits",
    "ids have at most 128 characters, one property 32 KB, all of them 64 KB",
    source="learn:azure/service-bus-messaging/service-bus-quotas",
)
@pytest.mark.parametrize(
    ("most", "too_much", "complaint"),
    [
        (
            properties(message_id="m" * 128),
            properties(message_id="m" * 129),
            "MessageId has more than 128 characters.",
        ),
        (
            properties(group_id="s" * 128),
            properties(group_id="s" * 129),
            "SessionId has more than 128 characters.",
        ),
        (
            properties(reply_to_group_id="s" * 128),
            properties(reply_to_group_id="s" * 129),
            "ReplyToSessionId has more than 128 characters.",
        ),
        (
            annotated("x-opt-partition-key", "p" * 128),
            annotated("x-opt-partition-key", "p" * 129),
            "PartitionKey has more than 128 characters.",
        ),
        (
            application(a="v" * 32_768),
            application(a="v" * 32_769),
            "The property 'a' is larger than 32768 bytes.",
        ),
        (
            application(a="v" * 32_000, b="v" * 32_000),
            application(a="v" * 32_000, b="v" * 32_000, c="v" * 2_000),
            "The properties of the message take 66036 bytes; 65536 are allowed.",
        ),
    ],
)
async def test_a_message_with_too_much_beside_its_body_is_rejected(
    broker: BrokerProcess, most: bytes, too_much: bytes, complaint: str
) -> None:
    async with Peer.connected(broker.port) as peer:
        await peer.open()
        await peer.begin()
        assert await peer.authorize(sas(NAMESPACE), NAMESPACE) == 202
        await peer.link(0, "quotas")
        await peer.transfer(0, 1, most + BODY)
        accepted, _ = await peer.skip_to(amqp.DISPOSITION)
        assert accepted.value(4) == Described(amqp.ACCEPTED, [])
        await peer.transfer(0, 2, too_much + BODY)
        rejected, _ = await peer.skip_to(amqp.DISPOSITION)
        state = rejected.value(4)
        assert isinstance(state, Described)
        reason = error_of(amqp.Fields(state.value), 0)
        assert reason == ("com.microsoft:argument-error", complaint)
