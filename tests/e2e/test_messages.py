"""Messages nobody can use end in the dead-letter queue, with their reason on record."""

import json
import uuid

import pytest
from azure.servicebus import ServiceBusMessage

from tests.rig.books import assert_sold
from tests.rig.messages import dead_letters, send
from tests.rig.platform import Platform, eventually


def envelope(**changes: object) -> bytes:
    """A good `order.placed.v1` about an order that does not exist, but for `changes`."""
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "type": "order.placed.v1",
        "source": "/orders",
        "subject": str(uuid.uuid4()),
        "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "data": {"order_id": str(uuid.uuid4())},
    } | changes
    return json.dumps(event).encode()


BAD: dict[str, bytes] = {
    "not JSON": b"\xff\xfe{",
    "JSON but no event": b"[1, 2, 3]",
    "an event without an id": envelope(id=None),
    "an unknown version": envelope(type="order.placed.v9"),
    "data of the wrong shape": envelope(data={"order_id": "not-an-id"}),
}


@pytest.fixture(scope="module")
async def sent(running_platform: Platform) -> dict[str, str]:
    """The bad messages, all sent at once because their deliveries take a while: what → its id."""
    ids = {what: str(uuid.uuid4()) for what in BAD}
    await send(
        running_platform.cloud.environment["ServiceBusConnection"],
        [
            ServiceBusMessage(
                BAD[what],
                message_id=message_id,
                session_id=str(uuid.uuid4()),
                application_properties={"type": "order.placed.v1"},
            )
            for what, message_id in ids.items()
        ],
    )
    return ids


@pytest.fixture(scope="module")
async def reasons(running_platform: Platform, sent: dict[str, str]) -> dict[str, str]:
    """Why each of them was dead-lettered: its id → the reason."""
    connection = running_platform.cloud.environment["ServiceBusConnection"]
    return await dead_letters(connection, set(sent.values()))


@pytest.mark.parametrize("what", BAD)
async def test_a_message_nobody_can_use_is_dead_lettered_with_its_reason(
    what: str, platform: Platform, sent: dict[str, str], reasons: dict[str, str]
) -> None:
    message_id = sent[what]

    assert reasons[message_id] == "MaxDeliveryCountExceeded"
    rejections = await platform.rows(
        "SELECT reason, delivery_count FROM messaging.rejections"
        " WHERE consumer = 'orders-saga' AND message_id = %s",
        message_id,
    )
    assert len(rejections) == 1
    assert rejections[0]["reason"]
    assert rejections[0]["delivery_count"] == 10


async def test_the_same_message_twice_starts_one_saga(platform: Platform) -> None:
    order = await platform.shop.place(platform.alice, {platform.product(): 1})
    settled = await platform.shop.settled(platform.alice, order["id"])
    sent = await platform.row(
        "SELECT event_id, envelope::text AS envelope FROM messaging.outbox"
        " WHERE aggregate_id = %s AND type = 'order.placed.v1'",
        order["id"],
    )
    again = ServiceBusMessage(
        sent["envelope"],
        message_id=f"{sent['event_id']}:r1",
        session_id=order["id"],
        application_properties={"type": "order.placed.v1"},
    )

    await send(platform.cloud.environment["ServiceBusConnection"], [again])
    other = await platform.shop.place(platform.alice, {platform.product(): 1})
    await platform.shop.settled(platform.alice, other["id"])

    await assert_sold(platform, settled)
    entries = await platform.payment.entries(order["id"])
    assert [e["operation"] for e in entries] == ["authorize", "capture"]


async def test_every_event_leaves_the_outbox(platform: Platform) -> None:
    order = await platform.shop.place(platform.alice, {platform.product(): 1})
    await platform.shop.settled(platform.alice, order["id"])

    async def all_sent() -> bool:
        waiting = await platform.rows("SELECT 1 FROM messaging.outbox WHERE sent_at IS NULL")
        return waiting == []

    await eventually(all_sent, "an empty outbox")
