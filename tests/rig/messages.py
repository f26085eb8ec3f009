"""Service Bus seen from a test: sending anything to a topic, reading a dead-letter queue."""

from collections.abc import Sequence

from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

TOPIC, SUBSCRIPTION = "order-events", "orders-saga"


async def send(connection: str, messages: Sequence[ServiceBusMessage]) -> None:
    """Send to the order events as an outsider would."""
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_topic_sender(TOPIC) as sender,
    ):
        await sender.send_messages(list(messages))


async def dead_letters(connection: str, wanted: set[str], within_s: float = 30) -> dict[str, str]:
    """Message id → reason of the dead letters named in `wanted`, taken from the queue.

    AssertionError when one of them does not arrive in time.
    """
    found: dict[str, str] = {}
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_subscription_receiver(
            TOPIC, SUBSCRIPTION, sub_queue=ServiceBusSubQueue.DEAD_LETTER
        ) as receiver,
    ):
        while not wanted <= found.keys():
            batch = await receiver.receive_messages(10, max_wait_time=within_s)
            assert batch, f"dead letters missing: {wanted - found.keys()}"
            for message in batch:
                found[str(message.message_id)] = str(message.dead_letter_reason)
                await receiver.complete_message(message)
    return {name: found[name] for name in wanted}
