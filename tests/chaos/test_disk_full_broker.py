"""A full disk of the broker: refused to whoever asks, and nothing lost that was acknowledged."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from localcloud.cloud import LocalCloud
from localcloud.parts import SERVICEBUS
from tests.chaos.settings import PATIENT
from tests.rig.disk import full_disk
from tests.rig.invariants import assert_all_is_well
from tests.rig.messages import SUBSCRIPTION, TOPIC
from tests.rig.platform import Platform


@pytest.fixture
async def broker() -> AsyncIterator[LocalCloud]:
    """A broker and nothing else."""
    cloud = LocalCloud(Path(tempfile.mkdtemp(prefix="broker-")), port_base=0, steps=(SERVICEBUS,))
    await asyncio.to_thread(cloud.start)
    try:
        yield cloud
    finally:
        await asyncio.to_thread(cloud.erase)


def client_of(broker: LocalCloud) -> ServiceBusClient:
    # What the broker says counts, not what the client makes of it by asking again.
    return ServiceBusClient.from_connection_string(
        broker.environment["ServiceBusConnection"], retry_total=0
    )


async def accepted(broker: LocalCloud, bodies: Sequence[str]) -> list[str]:
    """Those of the messages that the broker acknowledged, each sent by itself."""
    taken = []
    async with client_of(broker) as client, client.get_topic_sender(TOPIC) as sender:
        for body in bodies:
            message = ServiceBusMessage(body, application_properties={"type": "order.placed.v1"})
            try:
                await sender.send_messages(message)
            except ServiceBusError:
                continue
            taken.append(body)
    return taken


async def received(broker: LocalCloud, count: int) -> list[str]:
    """The bodies of all messages, completed; waits until there are `count` and for no more."""
    found: list[str] = []
    async with (
        client_of(broker) as client,
        client.get_subscription_receiver(TOPIC, SUBSCRIPTION) as receiver,
    ):
        while True:
            batch = await receiver.receive_messages(
                50, max_wait_time=30 if len(found) < count else 1
            )
            if not batch:
                return found
            for message in batch:
                await receiver.complete_message(message)
                found.append(str(message))


@pytest.mark.parametrize("then", ["there is space again", "it is killed, too"])
async def test_a_broker_refuses_what_it_cannot_write_and_keeps_what_it_acknowledged(
    then: str, broker: LocalCloud
) -> None:
    before = await accepted(broker, [f"before {n}" for n in range(20)])
    with full_disk(broker, "servicebus"):
        meanwhile = await accepted(broker, [f"meanwhile {n}" for n in range(2)])
        if then == "it is killed, too":
            await asyncio.to_thread(broker.kill, "servicebus")
    await asyncio.to_thread(broker.start_part, "servicebus")
    after = await accepted(broker, [f"after {n}" for n in range(20)])

    assert (len(before), meanwhile, len(after)) == (20, [], 20)
    assert await received(broker, 40) == before + after


async def test_a_completion_that_cannot_be_written_is_refused_and_the_message_comes_again(
    broker: LocalCloud,
) -> None:
    await accepted(broker, ["one"])
    async with (
        client_of(broker) as client,
        client.get_subscription_receiver(TOPIC, SUBSCRIPTION) as receiver,
    ):
        [message] = await receiver.receive_messages(1, max_wait_time=30)
        with full_disk(broker, "servicebus"), pytest.raises(ServiceBusError):
            await receiver.complete_message(message)

    assert await received(broker, 1) == ["one"]


async def events_waiting(platform: Platform) -> int:
    row = await platform.row("SELECT count(*) AS left FROM messaging.outbox WHERE sent_at IS NULL")
    return int(row["left"])


async def test_an_order_placed_while_the_broker_cannot_write_is_fulfilled_later(
    platform: Platform,
) -> None:
    await platform.configure(PATIENT)
    with full_disk(platform.cloud, "servicebus"):
        order = await platform.shop.place(platform.alice, {platform.product(): 1})
        assert await events_waiting(platform) == 1

    settled = await platform.shop.settled(platform.alice, order["id"])

    assert settled["status"] == "confirmed"
    await assert_all_is_well(platform)
