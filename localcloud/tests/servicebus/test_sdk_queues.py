"""Queues as the Azure SDK sees them: forwarding, schedules, deferral, duplicates."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.exceptions import MessageNotFoundError, ServiceBusError

from localcloud.tests.servicebus.sdk import Sdk
from localcloud.tests.servicebus.waiting import bodies, nothing_comes, receive

ONE_SDK = pytest.mark.parametrize("sdk", ["aio"], indirect=True)
DEAD_LETTERS = ServiceBusSubQueue.DEAD_LETTER


async def sending(sdk: Sdk, *queues: str) -> list[Any]:
    return await asyncio.gather(*(sdk.queue_sender(queue) for queue in queues))


async def test_a_queue_keeps_what_is_sent_to_it(sdk: Sdk) -> None:
    queue = await sdk.queue_pair(f"queue-{sdk.name}")
    await queue.sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    first, second = await receive(queue.receiver, 2)
    assert (bodies([first, second]), first.sequence_number) == (["a", "b"], 1)
    assert second.enqueued_sequence_number == 2
    await queue.receiver.complete_message(first)
    await queue.receiver.dead_letter_message(second, reason="bad")
    graveyard = await sdk.queue_receiver(queue.topic, sub_queue=DEAD_LETTERS)
    (dead,) = await receive(graveyard, 1)
    assert (str(dead), dead.dead_letter_reason) == ("b", "bad")
    await graveyard.complete_message(dead)


@pytest.mark.conforms(
    "Scheduling",
    "a scheduled message is enqueued at its time, and can be cancelled before",
    source="learn:azure/service-bus-messaging/message-sequencing",
)
async def test_scheduled_messages_wait_for_their_time_and_can_be_cancelled(sdk: Sdk) -> None:
    queue = await sdk.queue_pair(f"queue-{sdk.name}")
    sender, receiver = queue.sender, queue.receiver
    # Whole seconds: on the wire a time has milliseconds, and loses the rest.
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    later = datetime.now(UTC) + timedelta(hours=1)
    await sender.schedule_messages(ServiceBusMessage("soon"), soon)
    await sender.send_messages(ServiceBusMessage("sent", scheduled_enqueue_time_utc=soon))
    cancelled = await sender.schedule_messages(
        [ServiceBusMessage("never"), ServiceBusMessage("ever")], later
    )
    peeked = await receiver.peek_messages(10, sequence_number=1)
    assert bodies(peeked) == ["soon", "sent", "never", "ever"]
    assert {message.state for message in peeked} == {ServiceBusMessageState.SCHEDULED}
    assert [message.sequence_number for message in peeked[2:]] == list(cancelled)
    await sender.cancel_scheduled_messages(list(cancelled))
    with pytest.raises(MessageNotFoundError):
        await sender.cancel_scheduled_messages(cancelled[0])
    messages = await receive(receiver, 2)
    assert sorted(bodies(messages)) == ["sent", "soon"]
    assert all(message.enqueued_time_utc >= soon for message in messages)
    assert all(message.sequence_number > cancelled[1] for message in messages)
    for message in messages:
        await receiver.complete_message(message)
    assert await receiver.peek_messages(10, sequence_number=1) == []


@ONE_SDK
async def test_messages_scheduled_on_a_topic_are_routed_when_they_are_due(sdk: Sdk) -> None:
    sender, everything = await asyncio.gather(sdk.sender("relay"), sdk.receiver("relay"))
    now = datetime.now(UTC)
    await sender.schedule_messages(ServiceBusMessage("due"), now + timedelta(seconds=0.5))
    (number,) = await sender.schedule_messages(ServiceBusMessage("x"), now + timedelta(hours=1))
    assert bodies(await receive(everything, 1)) == ["due"]
    await sender.cancel_scheduled_messages(number)


@pytest.mark.conforms(
    "Forwarding",
    "auto-forwarding moves messages to another entity of the namespace",
    source="learn:azure/service-bus-messaging/service-bus-auto-forwarding",
)
@ONE_SDK
async def test_messages_are_forwarded_from_subscriptions_and_queues(sdk: Sdk) -> None:
    topic, (queue,), goal = await asyncio.gather(
        sdk.sender("relay"), sending(sdk, "forwarding"), sdk.queue_receiver("goal")
    )
    await topic.send_messages([ServiceBusMessage("no"), ServiceBusMessage("go", subject="go")])
    await queue.send_messages(ServiceBusMessage("from a queue"))
    messages = await receive(goal, 2)
    assert bodies(messages) == ["go", "from a queue"]
    assert [message.sequence_number for message in messages] == [1, 2]
    for message in messages:
        await goal.complete_message(message)
    with pytest.raises(ServiceBusError, match="forwards its messages to 'goal'"):
        await sdk.queue_receiver("forwarding")


@pytest.mark.conforms(
    "Forwarding",
    "a message that exceeds the hops of auto-forwarding is dead-lettered",
    source="learn:azure/service-bus-messaging/service-bus-auto-forwarding",
)
@ONE_SDK
async def test_a_message_that_is_forwarded_in_a_circle_is_dead_lettered(sdk: Sdk) -> None:
    (sender,), graveyard = await asyncio.gather(
        sending(sdk, "circle"), sdk.queue_receiver("circle", sub_queue=DEAD_LETTERS)
    )
    await sender.send_messages(ServiceBusMessage("dizzy"))
    (dead,) = await receive(graveyard, 1)
    assert (str(dead), dead.dead_letter_reason) == ("dizzy", "MaxTransferHopCountExceeded")


@ONE_SDK
async def test_dead_letters_are_forwarded_with_reason_and_source(sdk: Sdk) -> None:
    mortal, morgue = await asyncio.gather(sdk.queue_pair("mortal"), sdk.queue_receiver("morgue"))
    await mortal.sender.send_messages(ServiceBusMessage("poor"))
    (message,) = await receive(mortal.receiver, 1)
    await mortal.receiver.abandon_message(message)
    (dead,) = await receive(morgue, 1)
    assert (str(dead), dead.dead_letter_reason) == ("poor", "MaxDeliveryCountExceeded")
    assert (dead.dead_letter_source, dead.delivery_count) == ("mortal", 0)


@pytest.mark.conforms(
    "Deferral",
    "a deferred message is received by its sequence number only",
    source="learn:azure/service-bus-messaging/message-deferral",
)
@ONE_SDK
async def test_a_deferred_message_is_received_by_its_number_only(sdk: Sdk) -> None:
    queue = await sdk.queue_pair("deferred")
    sender, receiver = queue.sender, queue.receiver
    await sender.send_messages([ServiceBusMessage(text) for text in ("a", "b")])
    a, b = await receive(receiver, 2)
    await receiver.defer_message(a)
    await receiver.complete_message(b)
    assert await nothing_comes(receiver)
    (peeked,) = await receiver.peek_messages(10, sequence_number=1)
    assert (str(peeked), peeked.state) == ("a", ServiceBusMessageState.DEFERRED)
    (locked,) = await receiver.receive_deferred_messages(a.sequence_number)
    assert (str(locked), locked.state) == ("a", ServiceBusMessageState.DEFERRED)
    with pytest.raises(MessageNotFoundError):
        await receiver.receive_deferred_messages(a.sequence_number)
    await receiver.abandon_message(locked)
    assert await nothing_comes(receiver)
    (again,) = await receiver.receive_deferred_messages([a.sequence_number])
    assert again.delivery_count == 1
    await receiver.complete_message(again)
    with pytest.raises(MessageNotFoundError):
        await receiver.receive_deferred_messages([a.sequence_number])


@ONE_SDK
async def test_a_deferred_message_can_be_dead_lettered_or_received_and_deleted(sdk: Sdk) -> None:
    deleting = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    queue, graveyard = await asyncio.gather(
        sdk.queue_pair("deferred-too"),
        sdk.queue_receiver("deferred-too", sub_queue=DEAD_LETTERS),
    )
    sender, receiver = queue.sender, queue.receiver
    await sender.send_messages([ServiceBusMessage("bury me"), ServiceBusMessage("eat me")])
    messages = await receive(receiver, 2)
    for message in messages:
        await receiver.defer_message(message)
    (locked,) = await receiver.receive_deferred_messages(messages[0].sequence_number)
    await receiver.dead_letter_message(locked, reason="late")
    (dead,) = await receive(graveyard, 1)
    assert (str(dead), dead.dead_letter_reason) == ("bury me", "late")
    eater = await sdk.queue_receiver("deferred-too", receive_mode=deleting)
    (eaten,) = await eater.receive_deferred_messages(messages[1].sequence_number)
    assert str(eaten) == "eat me"
    assert await receiver.peek_messages(10, sequence_number=1) == []


@pytest.mark.conforms(
    "Duplicate detection",
    "a message id seen within the window is accepted and dropped",
    source="learn:azure/service-bus-messaging/duplicate-detection",
)
@ONE_SDK
async def test_a_message_id_that_came_before_is_taken_and_dropped(sdk: Sdk) -> None:
    queue = await sdk.queue_pair("unique")
    sender, receiver = queue.sender, queue.receiver
    later = datetime.now(UTC) + timedelta(seconds=0.5)
    await sender.send_messages(ServiceBusMessage("one", message_id="1"))
    await sender.send_messages(
        [ServiceBusMessage("one again", message_id="1"), ServiceBusMessage("two", message_id="2")]
    )
    await sender.schedule_messages(ServiceBusMessage("three", message_id="3"), later)
    await sender.send_messages(ServiceBusMessage("three early", message_id="3"))
    messages = await receive(receiver, 3)
    assert bodies(messages) == ["one", "two", "three"]
    for message in messages:
        await receiver.complete_message(message)
    await sender.send_messages(ServiceBusMessage("one is gone, still known", message_id="1"))
    assert await nothing_comes(receiver)


@pytest.mark.conforms(
    "Rules",
    "SQL filters choose, actions change the copy of that rule",
    source="learn:azure/service-bus-messaging/topic-filters",
)
@ONE_SDK
async def test_sql_rules_choose_messages_and_actions_change_their_copies(sdk: Sdk) -> None:
    sender, receiver = await asyncio.gather(sdk.sender("sql"), sdk.receiver("sql", "large"))
    sent: dict[str, dict[str | bytes, Any]] = {
        "small": {"n": 99},
        "large": {"n": 100},
        "huge": {"n": 1_000, "x": "kept"},
        "huge vip": {"n": 2_000, "vip": True, "x": "removed in one copy"},
        "none": {},
    }
    for body, properties in sent.items():
        await sender.send_messages(
            ServiceBusMessage(body, subject="order", application_properties=properties)
        )
    messages = await receive(receiver, 4)
    assert bodies(messages) == ["large", "huge", "huge vip", "huge vip"]
    assert [message.subject for message in messages] == ["order", "order", "order", "vip"]
    assert messages[3].application_properties == {b"n": 2_000, b"vip": True, b"rank": 4_000}
    assert messages[2].application_properties[b"x"] == b"removed in one copy"
    assert await nothing_comes(receiver)
