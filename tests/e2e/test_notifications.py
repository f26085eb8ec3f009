"""Customers are told of everything that happens to their orders, on the channels they want."""

import json
import uuid

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from demo.live import Live
from demo.mailbox import Mailbox
from demo.shop import Person
from tests.rig.customers import deliveries, notifications, stranger, told
from tests.rig.messages import dead_letters
from tests.rig.platform import Platform, eventually


async def confirmed(platform: Platform, person: Person) -> str:
    """The id of an order of theirs that has been confirmed."""
    order = await platform.shop.place(person, {platform.product(): 1})
    settled = await platform.shop.settled(person, order["id"])
    assert settled["status"] == "confirmed"
    return str(order["id"])


async def moved(platform: Platform, order_id: str, status: str) -> None:
    read = await platform.shop.call("GET", f"/orders/{order_id}", platform.oscar)
    answer = await platform.shop.call(
        "PUT",
        f"/orders/{order_id}/status",
        platform.oscar,
        json={"status": status},
        if_match=read.headers["ETag"],
    )
    assert answer.status_code == 200, answer.text


async def test_a_customer_is_told_at_every_stage_live_and_by_mail(platform: Platform) -> None:
    email = f"{uuid.uuid4()}@clients.example"
    person = await stranger(platform, email=email)
    live: list[str] = []
    line = Live(platform.cloud.url("notifier"), lambda _, event: live.append(event["type"]))

    async with line.listening(person):
        order_id = await confirmed(platform, person)
        await moved(platform, order_id, "shipped")
        async with Mailbox(platform.cloud.url("communication")) as mailbox:
            assert len(await mailbox.sent_to(email, since=0, at_least=2)) == 2
        await moved(platform, order_id, "delivered")
        payments = await platform.shop.call("GET", "/payments", person)
        (payment,) = payments.json()["items"]
        refund = await platform.shop.call(
            "POST",
            f"/payments/{payment['id']}/refund",
            platform.oscar,
            json={"amount": 100, "reason": "late"},
            key=str(uuid.uuid4()),
        )
        assert refund.status_code == 201, refund.text
        stages = (
            *("order_placed", "order_confirmed", "order_shipped", "order_delivered"),
            "payment_refunded",
        )
        assert tuple(await line.heard(order_id, *stages)) == stages

    await told(platform, person, order_id, *stages)
    async with Mailbox(platform.cloud.url("communication")) as mailbox:
        mails = await mailbox.sent_to(email, since=0, at_least=3)
    assert len(mails) == 3
    assert all("Sam Stranger" in mail["text"] for mail in mails)

    async def reported() -> bool:
        return await deliveries(platform, order_id, "email") == {
            stage: ("delivered", "") for stage in stages if stage in TOLD_BY_MAIL
        }

    await eventually(reported, "every mail reported as delivered")
    timeline = await platform.shop.timeline(person, order_id)
    messages = {(e["what"], e["detail"]) for e in timeline if e["area"] == "message"}
    assert ("order_placed", "email delivered") in messages


TOLD_BY_MAIL = {"order_placed", "order_shipped", "payment_refunded"}


async def test_a_declined_card_and_the_end_of_the_order_are_told(platform: Platform) -> None:
    person = await stranger(platform)
    order = await platform.shop.place(
        person, {platform.product(): 1}, payment_method="tok_declined"
    )
    await told(platform, person, order["id"], "order_placed", "payment_declined", "order_cancelled")
    cancelled = (await notifications(platform, person))[-1]
    assert cancelled["type"] == "order_cancelled"


async def test_an_address_that_bounced_gets_nothing_more(platform: Platform) -> None:
    email = f"bounce+{uuid.uuid4()}@clients.example"
    person = await stranger(platform, email=email)
    order_id = await confirmed(platform, person)

    async def bounced() -> bool:
        by_mail = await deliveries(platform, order_id, "email")
        return by_mail.get("order_placed", ("", ""))[0] == "bounced"

    await eventually(bounced, "the mail bounced")
    await moved(platform, order_id, "shipped")
    await told(platform, person, order_id, "order_placed", "order_confirmed", "order_shipped")

    async def suppressed() -> bool:
        by_mail = await deliveries(platform, order_id, "email")
        return by_mail["order_shipped"][0] == "suppressed"

    await eventually(suppressed, "the second mail held back")
    async with Mailbox(platform.cloud.url("communication")) as mailbox:
        assert len(await mailbox.sent_to(email, since=0, at_least=1)) == 1


@pytest.mark.parametrize("part", ["functions", "servicebus", "valkey", "notifier"])
async def test_killing_a_part_loses_doubles_and_reorders_no_notification(
    part: str, platform: Platform
) -> None:
    person = await stranger(platform)
    orders = [(await platform.shop.place(person, {platform.product(): 1}))["id"] for _ in range(3)]
    await platform.kill(part)
    await platform.start(part)

    for order_id in orders:
        await told(platform, person, order_id, "order_placed", "order_confirmed", within_s=60)


async def test_mail_that_is_down_delays_mail_and_nothing_else(platform: Platform) -> None:
    email = f"{uuid.uuid4()}@clients.example"
    person = await stranger(platform, email=email)
    await platform.kill("communication")
    order_id = await confirmed(platform, person)
    await told(platform, person, order_id, "order_placed", "order_confirmed")
    await platform.start("communication")

    async with Mailbox(platform.cloud.url("communication")) as mailbox:
        assert len(await mailbox.sent_to(email, since=0, at_least=1, within_s=60)) == 1


async def test_order_managers_are_told_by_way_of_event_grid_that_an_order_is_stuck(
    platform: Platform,
) -> None:
    person = await stranger(platform)
    await platform.shipping.fault("book", "status", status=503, times=None)
    order = await platform.shop.place(person, {platform.product(): 1})
    assert (await platform.shop.settled(person, order["id"]))["status"] == "stuck"

    async def alarmed() -> bool:
        seen = await notifications(platform, platform.oscar)
        return ("order_stuck", order["id"]) in {(one["type"], one["order_id"]) for one in seen}

    await eventually(alarmed, "the order managers told")
    carla = await notifications(platform, platform.carla)
    assert order["id"] not in {one["order_id"] for one in carla}


async def test_a_message_nobody_understands_holds_up_nobody(platform: Platform) -> None:
    poison = str(uuid.uuid4())
    connection = platform.cloud.environment["ServiceBusConnection"]
    async with ServiceBusClient.from_connection_string(connection) as client:
        async with client.get_queue_sender("notifications") as sender:
            await sender.send_messages(
                ServiceBusMessage(
                    json.dumps({"type": "order.placed.v9"}), message_id=poison, session_id=poison
                )
            )
        person = await stranger(platform)
        order_id = await confirmed(platform, person)
        await told(platform, person, order_id, "order_placed", "order_confirmed")

    reasons = await dead_letters(connection, {poison}, queue="notifications", within_s=60)
    assert reasons == {poison: "MaxDeliveryCountExceeded"}
    rejection = await platform.row(
        "SELECT consumer, reason FROM messaging.rejections WHERE message_id = %s", poison
    )
    assert rejection["consumer"] == "notifications"
    assert rejection["reason"].startswith("malformed: ")
