"""What the Azure SDK, synchronous and asynchronous, can do with messages over the wire."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageSizeExceededError,
    ServiceBusError,
)

from localcloud.tests.servicebus.sdk import Pair, Sdk
from localcloud.tests.servicebus.waiting import bodies, nothing_comes, receive

DEAD_LETTERS = ServiceBusSubQueue.DEAD_LETTER
ONE_SDK = pytest.mark.parametrize("sdk", ["aio"], indirect=True)
"""For what the broker alone decides."""


async def test_a_message_arrives_as_it_was_sent_and_is_gone_once_completed(plain: Pair) -> None:
    sender, receiver = plain.sender, plain.receiver
    before = datetime.now(UTC)
    await sender.send_messages(
        ServiceBusMessage(
            "hello",
            application_properties={"type": "order.placed.v1", "n": 7, "flag": True},
            message_id="m-1",
            correlation_id="c-1",
            subject="greeting",
            content_type="text/plain",
            session_id="s-1",
            time_to_live=timedelta(hours=1),
        )
    )
    (message,) = await receive(receiver, 1)
    assert str(message) == "hello"
    assert message.application_properties == {b"type": b"order.placed.v1", b"n": 7, b"flag": True}
    assert (message.message_id, message.correlation_id) == ("m-1", "c-1")
    assert (message.subject, message.content_type) == ("greeting", "text/plain")
    assert message.session_id == "s-1"
    assert message.time_to_live == timedelta(hours=1)
    assert (message.sequence_number, message.enqueued_sequence_number) == (1, 1)
    assert message.delivery_count == 0
    assert before - timedelta(seconds=1) < message.enqueued_time_utc < before + timedelta(seconds=9)
    lock = message.locked_until_utc - message.enqueued_time_utc
    assert timedelta(seconds=60) <= lock < timedelta(seconds=70)
    await receiver.complete_message(message)
    assert await nothing_comes(receiver)
    assert await receiver.peek_messages(10, sequence_number=1) == []


async def test_typed_bodies_and_properties_keep_their_types(plain: Pair) -> None:
    sender, receiver = plain.sender, plain.receiver
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    await sender.send_messages(
        AmqpAnnotatedMessage(
            value_body={"k": [1, 2.5, None, True]},
            annotations={"x-custom": UUID(int=5)},
            application_properties={"u": UUID(int=1), "when": moment, "f": 1.5},
        )
    )
    (message,) = await receive(receiver, 1)
    assert message.raw_amqp_message.body == {b"k": [1, 2.5, None, True]}
    assert message.raw_amqp_message.annotations[b"x-custom"] == UUID(int=5)
    assert message.application_properties[b"u"] == UUID(int=1)
    assert message.application_properties[b"f"] == 1.5
    assert message.application_properties[b"when"] == 1_767_225_600_000
    await receiver.complete_message(message)


async def test_a_batch_arrives_in_order(plain: Pair) -> None:
    sender, receiver = plain.sender, plain.receiver
    batch = await sender.create_message_batch()
    for number in range(50):
        batch.add_message(ServiceBusMessage(f"{number}"))
    await sender.send_messages(batch)
    await sender.send_messages([ServiceBusMessage("50"), ServiceBusMessage("51")])
    messages = await receive(receiver, 52)
    assert bodies(messages) == [f"{number}" for number in range(52)]
    assert [message.sequence_number for message in messages] == list(range(1, 53))
    await asyncio.gather(*(receiver.complete_message(message) for message in messages[:1]))


@pytest.mark.conforms(
    "Settlement",
    "an abandoned message comes again, and is dead-lettered after MaxDeliveryCount",
    source="learn:azure/service-bus-messaging/service-bus-dead-letter-queues",
)
async def test_an_abandoned_message_comes_again_until_it_is_dead_lettered(
    sdk: Sdk, plain: Pair
) -> None:
    sender, receiver = plain.sender, plain.receiver
    await sender.send_messages(ServiceBusMessage("try me"))
    counts = []
    for _ in range(3):
        (message,) = await receive(receiver, 1)
        counts.append(message.delivery_count)
        await receiver.abandon_message(message)
    assert counts == [0, 1, 2]
    assert await nothing_comes(receiver)
    graveyard = await sdk.receiver(plain.topic, sub_queue=DEAD_LETTERS)
    (dead,) = await receive(graveyard, 1)
    assert str(dead) == "try me"
    assert dead.delivery_count == 3
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert dead.dead_letter_error_description == (
        "Message could not be consumed after 3 delivery attempts."
    )
    await graveyard.complete_message(dead)
    assert await nothing_comes(graveyard)


async def test_an_abandoned_message_comes_before_younger_ones(plain: Pair) -> None:
    sender, receiver = plain.sender, plain.receiver
    await sender.send_messages([ServiceBusMessage("first"), ServiceBusMessage("second")])
    (first,) = await receive(receiver, 1)
    await receiver.abandon_message(first)
    assert bodies(await receive(receiver, 2)) == ["first", "second"]


@pytest.mark.conforms(
    "Settlement",
    "a dead-lettered message has DeadLetterReason and DeadLetterErrorDescription",
    source="learn:azure/service-bus-messaging/service-bus-dead-letter-queues",
)
async def test_a_message_is_dead_lettered_with_its_reason(sdk: Sdk, plain: Pair) -> None:
    sender, receiver = plain.sender, plain.receiver
    await sender.send_messages(ServiceBusMessage("bad", application_properties={"k": 1}))
    (message,) = await receive(receiver, 1)
    await receiver.dead_letter_message(message, reason="malformed", error_description="no id")
    graveyard = await sdk.receiver(plain.topic, sub_queue=DEAD_LETTERS)
    (dead,) = await receive(graveyard, 1)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("malformed", "no id")
    assert dead.application_properties == {
        b"k": 1,
        b"DeadLetterReason": b"malformed",
        b"DeadLetterErrorDescription": b"no id",
    }
    assert dead.enqueued_sequence_number == message.sequence_number
    with pytest.raises(ServiceBusError, match="cannot be dead-lettered again"):
        await graveyard.dead_letter_message(dead, reason="twice")


@pytest.mark.conforms(
    "Settlement",
    "a lock that expires brings the message back and counts as a delivery",
    source="learn:azure/service-bus-messaging/message-transfers-locks-settlement",
)
async def test_a_lock_that_expires_brings_the_message_back_and_counts(hasty: Pair) -> None:
    sender, receiver = hasty.sender, hasty.receiver
    await sender.send_messages(ServiceBusMessage("slow"))
    (first,) = await receive(receiver, 1)
    (second,) = await receive(receiver, 1)
    assert (first.delivery_count, second.delivery_count) == (0, 1)
    assert second.sequence_number == first.sequence_number
    # The SDK looks at its own clock first; make it ask the broker about the lost lock.
    first._expiry = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(MessageLockLostError, match="The lock supplied is invalid"):
        await receiver.complete_message(first)
    await receiver.complete_message(second)
    assert await nothing_comes(receiver)


async def test_locks_that_expire_too_often_dead_letter_the_message(sdk: Sdk, hasty: Pair) -> None:
    sender, receiver = hasty.sender, hasty.receiver
    await sender.send_messages(ServiceBusMessage("forgotten"))
    for _ in range(3):
        await receive(receiver, 1)
    graveyard = await sdk.receiver(hasty.topic, sub_queue=DEAD_LETTERS)
    (dead,) = await receive(graveyard, 1)
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    await graveyard.complete_message(dead)


async def test_a_renewed_lock_holds(hasty: Pair) -> None:
    sender, receiver = hasty.sender, hasty.receiver
    await sender.send_messages(ServiceBusMessage("long work"))
    (message,) = await receive(receiver, 1)
    first_end = message.locked_until_utc
    while datetime.now(UTC) < first_end + timedelta(milliseconds=200):
        assert await receiver.renew_message_lock(message) >= first_end
    assert await nothing_comes(receiver)
    await receiver.complete_message(message)
    assert message.delivery_count == 0


@pytest.mark.conforms(
    "Settlement",
    "a lost lock can neither be renewed nor settled",
    source="learn:azure/service-bus-messaging/message-transfers-locks-settlement",
)
async def test_a_lost_lock_cannot_be_renewed(hasty: Pair) -> None:
    sender, receiver = hasty.sender, hasty.receiver
    await sender.send_messages(ServiceBusMessage("late"))
    (first,) = await receive(receiver, 1)
    (second,) = await receive(receiver, 1)
    first._expiry = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(first)
    await receiver.complete_message(second)


async def test_received_and_deleted_messages_are_gone(sdk: Sdk, plain: Pair) -> None:
    sender = plain.sender
    await sender.send_messages([ServiceBusMessage("x"), ServiceBusMessage("y")])
    receiver = await sdk.receiver(
        plain.topic, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
    )
    messages = await receive(receiver, 2)
    assert bodies(messages) == ["x", "y"]
    assert messages[0].lock_token is None
    assert await receiver.peek_messages(10, sequence_number=1) == []


@pytest.mark.conforms(
    "Browsing",
    "peeking shows messages in any state and takes none",
    source="learn:azure/service-bus-messaging/message-browsing",
)
async def test_peeking_shows_messages_without_taking_them(plain: Pair) -> None:
    sender, receiver = plain.sender, plain.receiver
    await sender.send_messages([ServiceBusMessage("p1"), ServiceBusMessage("p2")])
    peeked = await receiver.peek_messages(10)
    assert bodies(peeked) == ["p1", "p2"]
    assert bodies(await receiver.peek_messages(10, sequence_number=2)) == ["p2"]
    assert bodies(await receiver.peek_messages(1, sequence_number=1)) == ["p1"]
    assert bodies(await receive(receiver, 2)) == ["p1", "p2"]


async def test_prefetched_messages_return_unharmed_when_the_receiver_closes(
    sdk: Sdk, plain: Pair
) -> None:
    sender = plain.sender
    await sender.send_messages([ServiceBusMessage(f"{number}") for number in range(30)])
    hoarder = await sdk.receiver(plain.topic, prefetch_count=20)
    (taken,) = await receive(hoarder, 1)
    await hoarder.complete_message(taken)
    await hoarder.close()
    messages = await receive(plain.receiver, 29)
    assert bodies(messages) == [f"{number}" for number in range(1, 30)]
    assert {message.delivery_count for message in messages} == {0}


async def test_two_receivers_share_the_messages_and_none_comes_twice(sdk: Sdk, plain: Pair) -> None:
    sender = plain.sender
    one, other = plain.receiver, await sdk.receiver(plain.topic)
    await sender.send_messages([ServiceBusMessage(f"{number}") for number in range(40)])
    halves = await asyncio.gather(receive(one, 20), receive(other, 20))
    assert sorted(int(body) for half in halves for body in bodies(half)) == list(range(40))


@pytest.mark.conforms(
    "Limits",
    "a message above the tier's size is refused",
    source="learn:azure/service-bus-messaging/service-bus-quotas",
)
async def test_large_messages_travel_whole_and_larger_ones_are_refused(plain: Pair) -> None:
    sender, receiver = plain.sender, plain.receiver
    body = bytes(range(256)) * 1_000
    await sender.send_messages(ServiceBusMessage(body))
    (message,) = await receive(receiver, 1)
    assert b"".join(message.body) == body
    await receiver.complete_message(message)
    with pytest.raises(MessageSizeExceededError, match="exceeds the limit of 262144 bytes"):
        await sender.send_messages(ServiceBusMessage(b"z" * 300_000))
    await sender.send_messages(ServiceBusMessage("the link still works"))
    (message,) = await receive(receiver, 1)
    assert str(message) == "the link still works"
