"""Service Bus seen from a test: sending anything to a topic, looking into the queues."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

TOPIC, SUBSCRIPTION = "order-events", "orders-saga"
TOPOLOGY = Path(__file__).parents[2] / "infra" / "servicebus.topology.json"
PEEKED = 100


async def send(connection: str, messages: Sequence[ServiceBusMessage]) -> None:
    """Send to the order events as an outsider would."""
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_topic_sender(TOPIC) as sender,
    ):
        await sender.send_messages(list(messages))


async def dead_letters(
    connection: str, wanted: set[str], *, queue: str | None = None, within_s: float = 30
) -> dict[str, str]:
    """Message id → reason of the dead letters named in `wanted`, taken from the queue.

    By default those of the saga's subscription. AssertionError when one of them does not arrive in
    time.
    """
    found: dict[str, str] = {}
    part = ServiceBusSubQueue.DEAD_LETTER
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_queue_receiver(queue, sub_queue=part)
        if queue
        else client.get_subscription_receiver(TOPIC, SUBSCRIPTION, sub_queue=part) as receiver,
    ):
        while not wanted <= found.keys():
            batch = await receiver.receive_messages(10, max_wait_time=within_s)
            assert batch, f"dead letters missing: {wanted - found.keys()}"
            for message in batch:
                found[str(message.message_id)] = str(message.dead_letter_reason)
                await receiver.complete_message(message)
    return {name: found[name] for name in wanted}


def _receivers(client: ServiceBusClient) -> Iterator[tuple[str, ServiceBusReceiver]]:
    """A receiver for each queue and subscription of the topology, and for its dead letters."""
    namespace = json.loads(TOPOLOGY.read_text())["UserConfig"]["Namespaces"][0]
    for part, name in ((None, ""), (ServiceBusSubQueue.DEAD_LETTER, "/$deadletterqueue")):
        for queue in namespace["Queues"]:
            receiver = client.get_queue_receiver(queue["Name"], sub_queue=part)
            yield queue["Name"] + name, receiver
        for topic in namespace["Topics"]:
            for subscription in topic["Subscriptions"]:
                receiver = client.get_subscription_receiver(
                    topic["Name"], subscription["Name"], sub_queue=part
                )
                yield f"{topic['Name']}/{subscription['Name']}{name}", receiver


async def waiting_messages(connection: str) -> dict[str, int]:
    """How many messages wait or are locked in each queue and subscription, dead letters too.

    A hundred stands for a hundred or more. Peeks: nothing is locked or counted as delivered.
    """

    async def peeked(receiver: ServiceBusReceiver) -> int:
        async with receiver:
            return len(await receiver.peek_messages(PEEKED))

    async with ServiceBusClient.from_connection_string(connection) as client:
        receivers = dict(_receivers(client))
        counts = await asyncio.gather(*(peeked(receiver) for receiver in receivers.values()))
    return dict(zip(receivers, counts, strict=True))
