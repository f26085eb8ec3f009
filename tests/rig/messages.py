"""Service Bus seen from a test: sending anything to a topic, looking into the queues."""

import asyncio
from collections.abc import Sequence

from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

from localcloud.cloud import LocalCloud
from localcloud.dashboard.mailboxes import Broker
from localcloud.ports import HOST

TOPIC, SUBSCRIPTION = "order-events", "orders-saga"


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


async def waiting_messages(cloud: LocalCloud) -> dict[str, int]:
    """How many messages wait or are locked in each queue and subscription, dead letters too."""
    secrets, certificate = cloud.state.secrets(), cloud.state.servicebus_certificate
    broker = Broker(HOST, cloud.ports["servicebus-admin"], secrets.servicebus, certificate)
    waiting = {}
    for mailbox in await asyncio.to_thread(broker.mailboxes):
        waiting[mailbox.name] = mailbox.active + mailbox.scheduled
        dead = mailbox.dead_letters + mailbox.transfer_dead_letters
        waiting[f"{mailbox.name}/$deadletterqueue"] = dead
    return waiting
