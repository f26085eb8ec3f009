"""One session queue that filtered subscriptions of several topics feed by auto-forwarding."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import ServiceBusQuotaExceededError

from localcloud.tests.servicebus.administrator import Administration
from localcloud.tests.servicebus.rig import BrokerProcess, running, subscription, write_topology
from localcloud.tests.servicebus.sdk import Sdk

DEAD_LETTERS = ServiceBusSubQueue.DEAD_LETTER
CHOSEN = {"orders": ("placed", "shipped"), "payments": ("refunded",)}
FORWARDING = "learn:azure/service-bus-messaging/service-bus-auto-forwarding"
SESSIONS = "learn:azure/service-bus-messaging/message-sessions"


def of_type(*types: str) -> list[dict[str, Any]]:
    """A correlation rule for each type of event."""
    return [{"Properties": {"type": type_}} for type_ in types]


def topics() -> dict[str, list[dict[str, Any]]]:
    return {
        topic: [
            subscription("letters", of_type(*types), ForwardTo="letters"),
            subscription("ledger", ForwardTo="ledger"),
        ]
        for topic, types in CHOSEN.items()
    } | {"closing": [subscription("on", ForwardTo="closable"), subscription("kept")]}


QUEUES: dict[str, dict[str, Any]] = {
    "letters": {"RequiresSession": True, "MaxDeliveryCount": 2},
    "ledger": {},
    "closable": {},
}


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("post")
    topology = write_topology(folder / "topology.json", topics(), QUEUES)
    with running(topology, folder / "state", "--admin-port", "0") as process:
        yield process


@pytest.fixture(scope="module")
async def aio(post: BrokerProcess) -> AsyncIterator[Sdk]:
    sdk = Sdk(post.connection_string(), synchronous=False)
    yield sdk
    await sdk.close()


@pytest.fixture
async def admin(post: BrokerProcess) -> AsyncIterator[Administration]:
    client = Administration(post, synchronous=False)
    yield client
    await client.close()


def event(type_: str, order: str, number: int) -> ServiceBusMessage:
    return ServiceBusMessage(
        json.dumps({"type": type_, "order": order, "number": number}),
        session_id=order,
        message_id=f"{order}-{number}",
        correlation_id="c-1",
        application_properties={"type": type_},
    )


async def read(receiver: Any, count: int) -> list[Any]:
    """The next messages, completed one after the other, as a function does."""
    taken = []
    for _ in range(count):
        (message,) = await receiver.receive_messages(1, max_wait_time=30)
        await receiver.complete_message(message)
        taken.append(message)
    return taken


@pytest.mark.conforms(
    "Forwarding",
    "messages of several topics keep session, id, properties and order in the queue they go on to",
    source=FORWARDING,
)
async def test_forwarded_events_keep_their_session_their_id_and_their_order(aio: Sdk) -> None:
    orders, payments = await asyncio.gather(aio.sender("orders"), aio.sender("payments"))
    await orders.send_messages([event("placed", "a", 1), event("placed", "b", 1)])
    await payments.send_messages(event("refunded", "a", 2))
    await orders.send_messages([event("shipped", "b", 2), event("shipped", "a", 3)])

    expected = {"a": ["placed", "refunded", "shipped"], "b": ["placed", "shipped"]}
    for order, types in expected.items():
        receiver = await aio.queue_receiver("letters", session_id=order)
        messages = await read(receiver, len(types))
        assert [json.loads(str(message))["type"] for message in messages] == types
        assert [message.message_id for message in messages] == [
            f"{order}-{number}" for number in range(1, len(types) + 1)
        ]
        assert {message.session_id for message in messages} == {order}
        assert {message.correlation_id for message in messages} == {"c-1"}
        assert {message.delivery_count for message in messages} == {0}
        assert {message.dead_letter_source for message in messages} == {None}
        assert [message.application_properties for message in messages] == [
            {b"type": type_.encode()} for type_ in types
        ]
    ledger = await aio.queue_receiver("ledger")
    assert [message.message_id for message in await read(ledger, 5)] == [
        *("a-1", "b-1", "a-2", "b-2", "a-3")
    ]


@pytest.mark.conforms(
    "Filters",
    "a correlation rule for a property lets through what has it so; without rules, everything",
    source="learn:azure/service-bus-messaging/topic-filters",
)
async def test_rules_choose_by_type_and_no_rules_choose_everything(aio: Sdk) -> None:
    orders = await aio.sender("orders")
    untyped = ServiceBusMessage("untyped", session_id="c", message_id="untyped")
    cased = event("Placed", "c", 2)
    await orders.send_messages([event("paid", "c", 1), untyped, cased, event("placed", "c", 3)])

    receiver = await aio.queue_receiver("letters", session_id="c")
    assert [message.message_id for message in await read(receiver, 1)] == ["c-3"]
    assert await receiver.peek_messages(10, sequence_number=1) == []
    ledger = await aio.queue_receiver("ledger")
    assert [message.message_id for message in await read(ledger, 4)] == [
        *("c-1", "untyped", "c-2", "c-3")
    ]


@pytest.mark.conforms(
    "Forwarding",
    'a message without session is dead-lettered by the session queue: "Session ID is null."',
    source="learn:azure/service-bus-messaging/service-bus-dead-letter-queues",
)
async def test_an_event_without_a_session_is_dead_lettered_where_sessions_are_required(
    aio: Sdk,
) -> None:
    orders, graveyard = await asyncio.gather(
        aio.sender("orders"), aio.queue_receiver("letters", sub_queue=DEAD_LETTERS)
    )
    stray = ServiceBusMessage("stray", message_id="s", application_properties={"type": "placed"})
    await orders.send_messages([stray, event("placed", "d", 1)])

    (dead,) = await read(graveyard, 1)
    assert (dead.message_id, dead.dead_letter_reason) == ("s", "Session ID is null.")
    receiver = await aio.queue_receiver("letters", session_id=NEXT_AVAILABLE_SESSION)
    assert receiver.session.session_id == "d"
    assert [message.message_id for message in await read(receiver, 1)] == ["d-1"]


@pytest.mark.conforms(
    "Sessions",
    "an abandoned message stays before those behind it, until it is dead-lettered; then they go on",
    source=SESSIONS,
)
async def test_nothing_overtakes_an_abandoned_message_of_its_session(aio: Sdk) -> None:
    orders, graveyard = await asyncio.gather(
        aio.sender("orders"), aio.queue_receiver("letters", sub_queue=DEAD_LETTERS)
    )
    await orders.send_messages([event("placed", "e", 1), event("shipped", "e", 2)])

    receiver = await aio.queue_receiver("letters", session_id="e")
    seen = []
    for settle in ("abandon_message", "abandon_message", "complete_message"):
        (message,) = await receiver.receive_messages(1, max_wait_time=30)
        seen.append((message.message_id, message.delivery_count))
        await getattr(receiver, settle)(message)
    assert seen == [("e-1", 0), ("e-1", 1), ("e-2", 0)]
    (dead,) = await read(graveyard, 1)
    assert (dead.message_id, dead.session_id) == ("e-1", "e")
    assert (dead.dead_letter_reason, dead.delivery_count) == ("MaxDeliveryCountExceeded", 2)
    assert dead.application_properties[b"type"] == b"placed"


@pytest.mark.conforms(
    "Forwarding",
    "while the destination is disabled, the source adds the messages to its dead-letter queue",
    source=FORWARDING,
)
async def test_what_cannot_go_on_to_a_disabled_queue_is_a_dead_letter_of_its_source(
    aio: Sdk, admin: Administration
) -> None:
    sender, kept = await asyncio.gather(aio.sender("closing"), aio.receiver("closing", "kept"))
    graveyard = await aio.receiver("closing", "on", sub_queue=DEAD_LETTERS)
    for status, text in (("SendDisabled", "lost way"), ("Active", "found way")):
        properties = await admin("get_queue", "closable")
        properties.status = status
        await admin("update_queue", properties)
        await sender.send_messages(ServiceBusMessage(text, message_id=text))

    (dead,) = await read(graveyard, 1)
    assert (dead.message_id, dead.dead_letter_reason) == ("lost way", "MessagingEntityDisabled")
    assert [str(message) for message in await read(kept, 2)] == ["lost way", "found way"]
    goal = await aio.queue_receiver("closable")
    assert [str(message) for message in await read(goal, 1)] == ["found way"]


@pytest.mark.conforms(
    "Forwarding",
    "\"If the destination entity doesn't exist, Service Bus returns an exception when asked to"
    ' create the source entity"',
    source=FORWARDING,
)
async def test_nothing_can_forward_to_what_is_not_there(admin: Administration) -> None:
    with pytest.raises(HttpResponseError, match="'nowhere', to forward to, does not exist"):
        await admin("create_subscription", "orders", "astray", forward_to="nowhere")
    assert [found.name for found in await admin("list_subscriptions", "orders")] == [
        *("ledger", "letters")
    ]


async def taken(sender: Any, number: int) -> bool:
    """Whether the broker took a large event."""
    large = event("placed", "x", number)
    large.application_properties = {"type": "placed", "ballast": "b" * 30_000}
    try:
        await sender.send_messages(large)
    except ServiceBusQuotaExceededError:
        return False
    return True


async def test_a_full_store_refuses_an_event_for_all_of_its_queues(tmp_path: Path) -> None:
    """Forwarding is part of the send: the sender hears that nothing was taken, and keeps it."""
    topology = write_topology(tmp_path / "topology.json", topics(), QUEUES)
    with running(topology, tmp_path / "state", "--max-store-mb", "1") as process:
        sdk = Sdk(process.connection_string(), synchronous=False)
        orders = await sdk.sender("orders")
        sent = 0
        while sent < 100 and await taken(orders, sent):
            sent += 1
        letters = await sdk.queue_receiver("letters", session_id="x")
        ledger = await sdk.queue_receiver("ledger")
        expected = [f"x-{number}" for number in range(sent)]
        assert 0 < sent < 100
        for receiver in (letters, ledger):
            peeked = await receiver.peek_messages(100, sequence_number=1)
            assert [message.message_id for message in peeked] == expected
        await sdk.close()
