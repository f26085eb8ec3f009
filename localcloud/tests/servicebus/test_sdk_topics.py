"""Topics as the Azure SDK sees them: who gets a copy, for how long, and what is not there."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import MessagingEntityNotFoundError

from localcloud.tests.servicebus.sdk import Pair, Sdk
from localcloud.tests.servicebus.waiting import bodies, nothing_comes, receive

DEAD_LETTERS = ServiceBusSubQueue.DEAD_LETTER
ONE_SDK = pytest.mark.parametrize("sdk", ["aio"], indirect=True)
"""For what the broker alone decides."""


async def test_correlation_rules_are_alternatives_and_one_copy_is_enough(
    sdk: Sdk, routes_topic: str
) -> None:
    sender = await sdk.sender(routes_topic)
    await sender.send_messages(
        [
            ServiceBusMessage("0", subject="order", application_properties={"kind": "a"}),
            ServiceBusMessage("1", subject="order", application_properties={"kind": "b"}),
            ServiceBusMessage("2", subject="other", application_properties={"kind": "a"}),
            ServiceBusMessage("3", correlation_id="c-1"),
            ServiceBusMessage("4", session_id="s-1", correlation_id="c-1"),
            ServiceBusMessage("5"),
        ]
    )
    everything, either, nothing = await asyncio.gather(
        *(sdk.receiver(routes_topic, name) for name in ("all", "either", "none"))
    )
    assert bodies(await receive(everything, 6)) == ["0", "1", "2", "3", "4", "5"]
    messages = await receive(either, 3)
    assert bodies(messages) == ["0", "3", "4"]
    assert [message.sequence_number for message in messages] == [1, 2, 3]
    assert [message.enqueued_sequence_number for message in messages] == [1, 4, 5]
    assert await nothing_comes(either)
    assert await nothing_comes(nothing)


@pytest.mark.conforms(
    "Expiry",
    "an expired message is dropped, or dead-lettered if the entity says so",
    source="learn:azure/service-bus-messaging/message-expiration",
)
@ONE_SDK
async def test_messages_that_outlive_their_time_are_dropped_or_dead_lettered(
    sdk: Sdk, fleeting_topic: str
) -> None:
    sender = await sdk.sender(fleeting_topic)
    await sender.send_messages(
        [
            ServiceBusMessage("short", time_to_live=timedelta(milliseconds=500)),
            ServiceBusMessage("long", time_to_live=timedelta(hours=1)),
        ]
    )
    graveyard, kept, dropped, dropped_graveyard = await asyncio.gather(
        sdk.receiver(fleeting_topic, "kept", sub_queue=DEAD_LETTERS),
        sdk.receiver(fleeting_topic, "kept"),
        sdk.receiver(fleeting_topic, "dropped"),
        sdk.receiver(fleeting_topic, "dropped", sub_queue=DEAD_LETTERS),
    )
    (dead,) = await receive(graveyard, 1)
    assert (str(dead), dead.dead_letter_reason) == ("short", "TTLExpiredException")
    assert bodies(await receive(kept, 1)) == ["long"]
    assert await nothing_comes(dropped)
    assert await nothing_comes(dropped_graveyard)


async def test_unknown_entities_are_not_found(sdk: Sdk, plain: Pair) -> None:
    refusals: tuple[Any, Any] = await asyncio.gather(
        sdk.sender("nowhere"), sdk.receiver(plain.topic, "nobody"), return_exceptions=True
    )
    nowhere, nobody = refusals
    assert isinstance(nowhere, MessagingEntityNotFoundError)
    assert "The messaging entity 'nowhere' could not be found." in str(nowhere)
    assert isinstance(nobody, MessagingEntityNotFoundError)
