"""Who may use which entity: tokens over the wire, from the SDK and from a bare peer."""

from collections.abc import AsyncIterator

import pytest
from azure.servicebus.exceptions import ServiceBusAuthenticationError

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.frames import SASL_FRAME, SASL_HEADER, Frame, Header, frame
from localcloud.servicebus.performatives import read_performative
from localcloud.tests.servicebus.peer import Peer, error_of, sas
from localcloud.tests.servicebus.rig import KEY, BrokerProcess
from localcloud.tests.servicebus.sdk import Sdk

WIRE = "sb://127.0.0.1/wire"


@pytest.fixture
async def peer(broker: BrokerProcess) -> AsyncIterator[Peer]:
    async with Peer.connected(broker.port) as connected:
        await connected.open()
        await connected.begin()
        yield connected


async def refusal(peer: Peer) -> str:
    """The condition with which the link just asked for was refused."""
    fields, _ = await peer.skip_to(amqp.ATTACH)
    assert (fields.value(5), fields.value(6)) == (None, None)
    detach, _ = await peer.receive(amqp.DETACH)
    assert detach.flag(1)
    return error_of(detach, 2)[0]


@pytest.mark.parametrize("synchronous", [True, False])
async def test_the_sdk_learns_that_its_key_is_wrong(
    broker: BrokerProcess, *, synchronous: bool
) -> None:
    sdk = Sdk(broker.connection_string("not the key"), synchronous=synchronous)
    with pytest.raises(ServiceBusAuthenticationError):
        await sdk.sender("wire")
    await sdk.close()


async def test_a_link_without_a_token_is_refused(peer: Peer) -> None:
    await peer.attach(0, "wire")
    assert await refusal(peer) == "amqp:unauthorized-access"
    await peer.attach(1, "wire/$management", receives=True)
    assert await refusal(peer) == "amqp:unauthorized-access"


@pytest.mark.conforms(
    "Security",
    "a token opens its entity and what lies below it only",
    source="learn:azure/service-bus-messaging/service-bus-sas",
)
async def test_a_token_opens_its_entity_and_what_lies_below_only(peer: Peer) -> None:
    assert await peer.authorize(sas(WIRE), WIRE) == 202
    await peer.link(0, "amqps://127.0.0.1/Wire")
    await peer.link(1, "wire/Subscriptions/all/$DeadLetterQueue", receives=True)
    await peer.attach(2, "wire-hasty")
    assert await refusal(peer) == "amqp:unauthorized-access"


async def test_a_token_of_the_namespace_opens_everything(peer: Peer) -> None:
    assert await peer.authorize(sas("sb://127.0.0.1/"), "sb://127.0.0.1/") == 202
    await peer.link(0, "wire")
    await peer.link(1, "wire-hasty")


async def test_bad_tokens_are_answered_401_and_open_nothing(peer: Peer) -> None:
    expired = sas(WIRE, expires_in_s=-1)
    forged = sas(WIRE, key="another key")
    unsigned = sas(WIRE).replace("sig=", "sig=%")
    other = sas("sb://127.0.0.1/wire-hasty")
    unknown_key = sas(WIRE).replace("skn=Root", "skn=Leaf")
    for token in (expired, forged, unsigned, other, unknown_key, "", "jwt"):
        assert await peer.authorize(token, WIRE) == 401, token
    await peer.attach(0, "wire")
    assert await refusal(peer) == "amqp:unauthorized-access"


async def test_a_link_ends_when_its_token_expires(peer: Peer) -> None:
    assert await peer.authorize(sas(WIRE, expires_in_s=2), WIRE) == 202
    await peer.link(0, "wire")
    fields, _ = await peer.skip_to(amqp.DETACH)
    assert fields.number(0) == 0
    assert error_of(fields, 2)[0] == "amqp:unauthorized-access"
    await peer.attach(1, "wire")
    assert await refusal(peer) == "amqp:unauthorized-access"


async def test_a_renewed_token_keeps_the_link(peer: Peer) -> None:
    assert await peer.authorize(sas(WIRE, expires_in_s=1.5), WIRE) == 202
    await peer.link(0, "wire")
    assert await peer.authorize(sas(WIRE), WIRE) == 202
    assert await peer.silent_for(2)
    await peer.link(1, "wire")


async def sasl(peer: Peer, mechanism: str, response: bytes = b"") -> int | None:
    """The outcome code of a SASL exchange."""
    await peer.write(SASL_HEADER)
    assert await peer.unit() == Header(SASL_HEADER)
    mechanisms, _ = await peer.receive(amqp.SASL_MECHANISMS)
    assert mechanisms.value(0) == ["MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL"]
    init = enc.composite(amqp.SASL_INIT, (enc.symbol(mechanism), enc.binary(response)))
    await peer.write(frame(0, init, SASL_FRAME))
    outcome = await peer.unit()
    assert isinstance(outcome, Frame)
    code, fields, _ = read_performative(outcome.body)
    assert code == amqp.SASL_OUTCOME
    return fields.number(0)


@pytest.mark.parametrize("mechanism", ["ANONYMOUS", "MSSBCBS", "EXTERNAL"])
async def test_anonymous_mechanisms_pass_and_prove_nothing(
    broker: BrokerProcess, mechanism: str
) -> None:
    async with Peer.connected(broker.port) as peer:
        assert await sasl(peer, mechanism) == 0
        peer.expect_header()
        await peer.open()
        await peer.begin()
        await peer.attach(0, "wire")
        assert await refusal(peer) == "amqp:unauthorized-access"


async def test_plain_with_the_key_needs_no_token(broker: BrokerProcess) -> None:
    async with Peer.connected(broker.port) as peer:
        assert await sasl(peer, "PLAIN", f"\0RootManageSharedAccessKey\0{KEY}".encode()) == 0
        peer.expect_header()
        await peer.open()
        await peer.begin()
        await peer.link(0, "wire")


@pytest.mark.parametrize("response", [b"\0RootManageSharedAccessKey\0wrong", b"", b"\xff\0\xff\0"])
async def test_plain_with_a_wrong_key_fails(broker: BrokerProcess, response: bytes) -> None:
    async with Peer.connected(broker.port) as peer:
        assert await sasl(peer, "PLAIN", response) == 1
        assert await peer.unit() is None


async def test_an_unknown_mechanism_fails(broker: BrokerProcess) -> None:
    async with Peer.connected(broker.port) as peer:
        assert await sasl(peer, "SCRAM-SHA-1") == 1
