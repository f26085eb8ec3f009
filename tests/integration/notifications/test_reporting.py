"""Delivery reports: what they say becomes of a delivery, and dead addresses are left alone."""

from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from tests.integration.notifications.conftest import Mailbox, Reports
from tests.integration.notifications.doubles import Person, Post
from tests.integration.notifications.grid import SMS, receive, report, sent
from tests.integration.notifications.outbound import DIGESTS, Outbound


def as_cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": event["topic"],
        "subject": event["subject"],
        "type": event["eventType"],
        "time": event["eventTime"],
        "data": event["data"],
    }


async def is_suppressed(outbound: Outbound, channel: Any, address: str) -> bool:
    return bool(
        await outbound.rows(
            "SELECT FROM notifications.suppressions WHERE channel = %s AND address_digest = %s",
            channel,
            DIGESTS.of(channel, address),
        )
    )


@pytest.mark.parametrize("shape", ["event grid", "cloud event", "a list of one"])
async def test_a_mail_that_arrived_is_delivered(shape: str, outbound: Outbound) -> None:
    anna = outbound.people.meet()
    told, key = await sent(outbound, anna)
    event = report(key, anna.email, "Delivered")
    shapes = {"event grid": event, "cloud event": as_cloud_event(event), "a list of one": [event]}

    await receive(outbound, shapes[shape])

    assert await outbound.fate(told) == ("delivered", None)
    assert await outbound.log(told) == [("accepted", None), ("delivered", None)]
    assert not await is_suppressed(outbound, "email", anna.email)


async def test_nothing_more_is_sent_to_an_address_that_bounced(
    outbound: Outbound, mailbox: Mailbox, reports: Reports
) -> None:
    anna = outbound.people.meet("bounce")
    told = await outbound.tell(anna)
    await outbound.sending.send_due()
    pending = await outbound.tell(anna, "order_cancelled")

    await receive(outbound, await reports.of(anna.email))
    later = await outbound.tell(anna, "payment_refunded")
    await outbound.sending.send_due()

    assert await outbound.fate(told) == ("bounced", "bounced 5.1.1")
    for one in (pending, later):
        assert await outbound.fate(one) == ("suppressed", "dead_address")
        assert await outbound.log(one) == [("suppressed", "dead_address")]
        assert await outbound.events(one) == []
    assert len(await mailbox.messages(anna.email)) == 1


async def test_somebody_with_a_new_address_is_reached_again(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    _, key = await sent(outbound, anna)
    await receive(outbound, report(key, anna.email.upper(), "Bounced"))
    assert await is_suppressed(outbound, "email", anna.email)

    outbound.people.known[anna.id] = Person(anna.name, f"new-{anna.email}", id=anna.id)
    told = await outbound.tell(anna)
    await outbound.sending.send_due()

    assert await outbound.fate(told) == ("accepted", None)


async def test_a_dead_number_gets_no_texts_and_its_owner_still_gets_mail(
    outbound: Outbound, reports: Reports
) -> None:
    anna = outbound.people.meet(phone=f"+491{uuid4().int % 10**7:07d}0002")
    told = await outbound.tell(anna, "order_shipped", "sms")
    await outbound.sending.send_due()

    await receive(outbound, await reports.of(str(anna.phone)))
    text = await outbound.tell(anna, "order_delivered", "sms")
    mail = await outbound.tell(anna, "order_delivered", "email")
    await outbound.sending.send_due()

    assert await outbound.fate(told) == ("bounced", "failed dead number")
    assert await outbound.fate(text) == ("suppressed", "dead_address")
    assert await outbound.fate(mail) == ("accepted", None)


@pytest.mark.parametrize(
    ("status", "detail", "fate"),
    [
        ("Failed", "452 4.2.2 Mailbox full", ("failed", "failed 4.2.2")),
        ("Failed", "dropped after several attempts", ("failed", "failed")),
        ("FilteredSpam", "554 5.7.1 spam", ("failed", "filteredspam 5.7.1")),
        ("Quarantined", "", ("failed", "quarantined")),
        ("Failed", "550 5.1.1 no such user", ("bounced", "failed 5.1.1")),
        ("Failed", "550 5.2.1 mailbox disabled", ("bounced", "failed 5.2.1")),
        ("Bounced", "", ("bounced", "bounced")),
        ("Suppressed", "", ("bounced", "suppressed")),
    ],
)
async def test_only_what_is_for_good_makes_an_address_dead(
    status: str, detail: str, fate: tuple[str, str], outbound: Outbound
) -> None:
    anna = outbound.people.meet()
    told, key = await sent(outbound, anna)

    await receive(outbound, report(key, anna.email, status, detail))

    assert await outbound.fate(told) == fate
    assert await is_suppressed(outbound, "email", anna.email) == (fate[0] == "bounced")


async def test_a_report_that_comes_again_changes_nothing(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    told, key = await sent(outbound, anna)
    event = report(key, anna.email, "Delivered")

    for again in (event, event, event | {"id": str(uuid4())}):
        await receive(outbound, again)

    assert await outbound.log(told) == [("accepted", None), ("delivered", None)]


@pytest.mark.parametrize(
    ("statuses", "fate"),
    [
        (["Bounced", "Delivered"], ("bounced", "bounced")),
        (["Delivered", "Bounced"], ("bounced", "bounced")),
        (["Delivered", "Failed"], ("delivered", None)),
        (["Failed", "Delivered"], ("delivered", None)),
        (["Expanded", "Delivered"], ("delivered", None)),
        (["Expanded"], ("accepted", None)),
        (["SomethingNew"], ("accepted", None)),
    ],
)
async def test_reports_in_any_order_end_the_same_way(
    statuses: list[str], fate: tuple[str, str | None], outbound: Outbound
) -> None:
    anna = outbound.people.meet()
    told, key = await sent(outbound, anna)

    for status in statuses:
        await receive(outbound, report(key, anna.email, status))

    assert await outbound.fate(told) == fate


@pytest.mark.parametrize(
    "reference", ["01a20000-0000-7000-8000-000000000000", "not an id of ours", "x" * 300]
)
async def test_a_report_on_an_unknown_message_is_taken_as_read(
    reference: str, outbound: Outbound
) -> None:
    address = f"somebody+{uuid4().hex}@clients.example"

    await receive(outbound, report(reference, address, "Bounced"))

    assert not await is_suppressed(outbound, "email", address)


async def test_a_report_may_be_faster_than_the_sender(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    told = await outbound.tell(anna)
    sender = outbound.process()
    (claimed,) = await sender._claimed("email", 9)
    ready, _ = await sender._preparing.prepare("email", [claimed])

    verdicts = await sender._handed_over("email", ready[0])
    await receive(outbound, report(claimed.id, anna.email, "Delivered"))
    await sender._settle(verdicts)

    assert await outbound.fate(told) == ("delivered", None)
    assert await outbound.log(told) == [("delivered", None)]
    assert [type_ for type_, _ in await outbound.events(told)] == ["notification.sent.v1"]
    assert outbound.dispatched.aggregates == [told]


async def test_a_report_on_a_digest_is_of_all_that_it_holds(outbound: Outbound) -> None:
    anna, digest_id = outbound.people.meet(), uuid7()
    told = [await outbound.tell(anna, "order_confirmed", digest_id=digest_id) for _ in range(2)]
    await outbound.process(email=Post()).send_due()

    await receive(outbound, report(digest_id, anna.email, "Bounced"))

    assert [await outbound.fate(one) for one in told] == [("bounced", "bounced")] * 2


@pytest.mark.parametrize("spelling", ["camel", "pascal"])
async def test_a_text_is_found_by_its_tag(spelling: str, outbound: Outbound) -> None:
    anna = outbound.people.meet(phone="+4915112345678")
    told = await outbound.tell(anna, "order_shipped", "sms")
    data = {
        "messageId": "Outgoing_2026",
        "from": "+4915000000000",
        "to": anna.phone,
        "deliveryStatus": "Delivered",
        "deliveryStatusDetails": "No error.",
        "tag": str((await outbound.delivery(told))["id"]),
    }
    if spelling == "pascal":
        data = {name[0].upper() + name[1:]: value for name, value in data.items()}

    await receive(outbound, report("", "", "", eventType=SMS, data=data))

    assert await outbound.fate(told) == ("delivered", None)
    assert (await outbound.delivery(told))["provider_reference"] == "Outgoing_2026"
