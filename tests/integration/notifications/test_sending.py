"""Sending: who is told what on which channel, and what the log says of it."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from blueprints.notifications.models import NotificationType
from tests.integration.notifications.conftest import Mailbox
from tests.integration.notifications.outbound import Outbound, later


async def test_the_app_shows_a_notification_at_once(outbound: Outbound) -> None:
    anna, order_id = outbound.people.meet(language="de"), uuid4()
    told = await outbound.tell(anna, "order_shipped", "in_app", order_id=order_id)

    outbound.sending.kick()
    await outbound.sending.settled()

    (shown,) = outbound.screen.shown(anna)
    assert (shown.event, shown.id) == ("notification", str(told))
    assert shown.data == {
        "id": str(told),
        "type": "order_shipped",
        "order_id": str(order_id),
        "at": "2026-11-24T12:00:00Z",
        "title": "Bestellung unterwegs",
        "text": shown.data["text"],
    }
    assert "TRK-4711-0815" in str(shown.data["text"])
    assert await outbound.fate(told) == ("delivered", None)
    assert await outbound.log(told) == [("delivered", None)]
    assert await outbound.events(told) == []


async def test_the_app_shows_what_waits_in_one_go_and_in_order(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    told = [await outbound.tell(anna, "order_placed", "in_app") for _ in range(5)]

    await outbound.sending.send_due()

    (batch,) = outbound.screen.batches
    assert [one.id for one in batch] == [str(one) for one in told]


async def test_an_audience_is_shown_it_in_its_group(outbound: Outbound) -> None:
    told = await outbound.tell("role:order-manager", "order_stuck", "in_app")

    await outbound.sending.send_due()

    ((shown,),) = outbound.screen.batches
    assert (shown.groups, shown.id) == (("role:order-manager",), str(told))


async def test_what_somebody_wrote_freely_does_not_pass_through_the_feed(
    outbound: Outbound,
) -> None:
    anna = outbound.people.meet()
    told = await outbound.tell(anna, "message", "in_app")

    await outbound.sending.send_due()

    (shown,) = outbound.screen.shown(anna)
    assert shown.data == {
        "id": str(told),
        "type": "message",
        "order_id": None,
        "at": "2026-11-24T12:00:00Z",
    }


async def test_while_the_feed_is_away_the_app_waits_and_is_then_shown_it_once(
    outbound: Outbound,
) -> None:
    anna = outbound.people.meet()
    told = await outbound.tell(anna, "order_placed", "in_app")
    outbound.screen.away = True

    await outbound.sending.send_due()
    row = await outbound.delivery(told)
    assert (row["status"], row["attempts"], row["claimed_until"]) == ("pending", 0, None)
    assert await outbound.log(told) == []

    outbound.screen.away = False
    await outbound.becomes(told, ("delivered", None))
    assert [one.id for one in outbound.screen.shown(anna)] == [str(told)]


async def test_an_email_is_handed_over_logged_and_spoken_of(
    outbound: Outbound, mailbox: Mailbox
) -> None:
    anna, order_id = outbound.people.meet(), uuid4()
    told = await outbound.tell(anna, order_id=order_id)

    outbound.sending.kick()
    await outbound.sending.settled()

    row = await outbound.delivery(told)
    (mail,) = await mailbox.messages(anna.email)
    assert mail["id"] == str(row["id"]) == row["provider_reference"]
    assert "SO-2026-000123" in mail["subject"]
    assert "Anna Andersson" in mail["text"]
    assert (row["status"], row["attempts"], row["claimed_until"]) == ("accepted", 1, None)
    assert await outbound.log(told) == [("accepted", None)]
    sent = {
        "notification_id": str(told),
        "delivery_id": str(row["id"]),
        "channel": "email",
        "type": "order_placed",
        "recipient_id": str(anna.id),
        "order_id": str(order_id),
    }
    assert await outbound.events(told) == [("notification.sent.v1", sent)]
    assert outbound.dispatched.aggregates == [told]


async def test_an_sms_is_handed_over_under_the_id_of_its_delivery(
    outbound: Outbound, mailbox: Mailbox
) -> None:
    anna = outbound.people.meet(phone=f"+4915{uuid4().int % 10**9:09d}")
    told = await outbound.tell(anna, "order_shipped", "sms")

    await outbound.sending.send_due()

    row = await outbound.delivery(told)
    assert anna.phone is not None
    (text,) = await mailbox.messages(anna.phone, "sms")
    assert (text["tag"], text["id"]) == (str(row["id"]), row["provider_reference"])
    assert await outbound.fate(told) == ("accepted", None)


async def test_what_is_not_due_yet_waits(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    told = await outbound.tell(anna, due_at=later(hours=1))

    assert await outbound.sending.send_due() == 0
    assert await outbound.fate(told) == ("pending", None)


@pytest.mark.parametrize(
    ("type_", "status", "fate"),
    [
        ("order_shipped", "delivered", ("skipped", "outdated")),
        ("order_shipped", "shipped", ("accepted", None)),
        ("payment_declined", "confirmed", ("skipped", "outdated")),
        ("order_placed", "cancelled", ("accepted", None)),
    ],
)
async def test_nobody_is_written_to_about_what_has_been_overtaken(
    type_: NotificationType, status: str, fate: tuple[str, str | None], outbound: Outbound
) -> None:
    anna, order_id = outbound.people.meet(), uuid4()
    outbound.orders.statuses[order_id] = status
    told = await outbound.tell(anna, type_, order_id=order_id)

    await outbound.sending.send_due()

    assert await outbound.fate(told) == fate


async def test_somebody_who_was_erased_is_not_written_to(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    told = await outbound.tell(anna)
    del outbound.people.known[anna.id]

    await outbound.sending.send_due()

    assert await outbound.fate(told) == ("skipped", "no_contact")
    assert await outbound.log(told) == [("skipped", "no_contact")]
    assert await outbound.events(told) == []


async def test_somebody_without_a_phone_gets_no_text(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    told = await outbound.tell(anna, "order_shipped", "sms")

    await outbound.sending.send_due()

    assert await outbound.fate(told) == ("skipped", "no_phone")


async def test_a_template_that_lacks_a_fact_fails_alone(outbound: Outbound) -> None:
    anna, bruno = outbound.people.meet(), outbound.people.meet()
    broken = await outbound.tell(anna, "order_shipped", facts={"tracking_number": "T"})
    shown = await outbound.tell(anna, "order_shipped", "in_app", facts={"tracking_number": "T"})
    good = await outbound.tell(bruno)

    await outbound.sending.send_due()

    for told in (broken, shown):
        status, reason = await outbound.fate(told)
        assert status == "failed"
        assert str(reason).startswith("template: ")
        assert "number" in str(reason)
        assert await outbound.log(told) == [("refused", reason)]
    assert await outbound.fate(good) == ("accepted", None)


async def test_quiet_hours_hold_what_comes_late_and_mandatory_mail_passes(
    outbound: Outbound,
) -> None:
    anna = outbound.people.meet(phone="+4915112345678")
    await outbound.hours(anna, "22:00", "07:00")
    outbound.now = datetime(2126, 1, 15, 2, tzinfo=UTC)
    optional = await outbound.tell(anna, "order_shipped")
    text = await outbound.tell(anna, "order_placed", "sms")
    mandatory = await outbound.tell(anna, "order_cancelled")

    await outbound.sending.send_due()

    for told in (optional, text):
        row = await outbound.delivery(told)
        assert (row["status"], row["attempts"]) == ("pending", 0)
        assert row["due_at"] == outbound.now.replace(hour=6)
    assert await outbound.fate(mandatory) == ("accepted", None)
