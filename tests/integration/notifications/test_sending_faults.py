"""Sending when providers refuse, are full, are away, or are asked by many at a time."""

import logging
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from blueprints.notifications.delivery_models import Answer, ProviderFault
from blueprints.notifications.models import Mail
from blueprints.notifications.verdicts import ATTEMPTS, delay_s
from shared import telemetry
from tests.integration.notifications.doubles import Post
from tests.integration.notifications.outbound import Outbound
from tests.integration.payments.standins import Standin


async def test_an_address_that_the_provider_refuses_fails_without_being_named(
    outbound: Outbound, caplog: pytest.LogCaptureFixture
) -> None:
    anna = outbound.people.meet("anna andersson@")
    told = await outbound.tell(anna)

    await outbound.sending.send_due()

    status, reason = await outbound.fate(told)
    assert status == "failed"
    assert str(reason).startswith("refused: ")
    assert await outbound.log(told) == [("refused", reason)]
    kept = await outbound.everything_written() + caplog.text
    assert anna.email not in kept
    assert "Andersson" not in kept


async def test_a_full_provider_is_left_alone_as_long_as_it_asks(
    outbound: Outbound, communication: Standin
) -> None:
    first, second = outbound.people.meet(), outbound.people.meet()
    sending = outbound.process(at_once=1)
    told = await outbound.tell(first)
    waits = await outbound.tell(second)
    communication.fault("send_email", "status", status=429, retry_after_s=40, times=1)

    await sending.send_due()
    await sending.send_due()

    row = await outbound.delivery(told)
    assert (row["status"], row["reason"], row["attempts"]) == ("pending", "status 429", 1)
    assert row["wait"].total_seconds() > 15
    assert await outbound.log(told) == [("fault", "status 429")]
    untried = await outbound.delivery(waits)
    assert (untried["status"], untried["attempts"], untried["claimed_until"]) == (
        "pending",
        0,
        None,
    )
    await sending.close()


async def test_a_fault_is_tried_again_later_and_is_the_same_message(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    post = Post(faults=[ProviderFault("status 503", retry_after_s=0)])
    sending = outbound.process(email=post)
    told = await outbound.tell(anna)

    assert await sending.send_due() == 1
    row = await outbound.delivery(told)
    assert 0 < row["wait"].total_seconds() <= 12
    assert await sending.send_due() == 0
    await outbound.make_due(told)
    assert await sending.send_due() == 1

    assert post.keys == [row["id"], row["id"]]
    assert await outbound.log(told) == [("fault", "status 503"), ("accepted", None)]
    assert await outbound.fate(told) == ("accepted", None)


async def test_a_fault_of_ours_holds_up_nobody_else(
    outbound: Outbound, caplog: pytest.LogCaptureFixture
) -> None:
    anna, bruno = outbound.people.meet(), outbound.people.meet()
    post = Post(faults=[ZeroDivisionError(anna.email)])
    sending = outbound.process(email=post, at_once=1)
    broken, good = await outbound.tell(anna), await outbound.tell(bruno)

    await sending.send_due()

    assert await outbound.log(broken) == [("fault", "internal fault")]
    assert await outbound.fate(good) == ("accepted", None)
    assert "ZeroDivisionError" in caplog.text
    assert anna.email not in caplog.text


async def test_a_message_that_nobody_takes_is_given_up_in_the_end(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    post = Post(faults=[ProviderFault("status 500", retry_after_s=0)])
    told = await outbound.tell(anna)
    async with outbound.database.transaction() as tx:
        await tx.execute(
            "UPDATE notifications.deliveries SET attempts = %s WHERE notification_id = %s",
            (ATTEMPTS - 1, told),
        )

    await outbound.process(email=post).send_due()

    assert await outbound.fate(told) == ("failed", "given up: status 500")
    assert await outbound.events(told) == []


def test_pauses_double_up_to_an_hour_and_honour_what_was_asked_for() -> None:
    for attempts, wanted_s in ((0, 10), (1, 20), (3, 80), (8, 2560), (9, 3600), (31, 3600)):
        assert wanted_s <= delay_s(attempts, 0) <= wanted_s * 1.2
    assert 600 <= delay_s(0, 600) <= 720
    day_s = sum(max(10.0, min(10.0 * 2**attempts, 3600.0)) for attempts in range(ATTEMPTS - 1))
    assert 20 * 3600 < day_s < 24 * 3600


async def test_only_so_many_messages_are_on_their_way_at_a_time(outbound: Outbound) -> None:
    post = Post(takes_s=0.005)
    for _ in range(20):
        await outbound.tell(outbound.people.meet())

    assert await outbound.process(email=post, at_once=4).send_due() == 20
    assert (len(set(post.keys)), post.most_at_work) == (20, 4)


async def test_a_kick_while_a_batch_is_on_its_way_is_not_lost(outbound: Outbound) -> None:
    post = Post(takes_s=0.05)
    sending = outbound.process(email=post)
    await outbound.tell(outbound.people.meet())
    sending.kick()
    await post.busy.wait()
    late = await outbound.tell(outbound.people.meet())

    sending.kick()
    await sending.settled()

    assert await outbound.fate(late) == ("accepted", None)
    assert len(post.keys) == 2


async def test_what_is_sent_in_the_background_belongs_to_no_invocation(
    outbound: Outbound, email: Any
) -> None:
    class Watched:
        async def send(self, mail: Mail, *, to: str, name: str, key: UUID) -> Answer:
            seen.append(telemetry.correlation_id())
            answer: Answer = await email.send(mail, to=to, name=name, key=key)
            return answer

    seen: list[str | None] = []
    await outbound.tell(outbound.people.meet())
    sending = outbound.process(email=Watched())

    with telemetry.correlation(str(uuid7())):
        sending.kick()
    await sending.settled()

    assert seen == [None]


@pytest.mark.parametrize("ahead", ["type = 'order_mislaid'", "template_version = 99"])
async def test_what_a_later_release_has_written_is_left_to_it(
    ahead: str, outbound: Outbound
) -> None:
    anna, bruno = outbound.people.meet(), outbound.people.meet()
    told = [await outbound.tell(anna, "order_shipped", channel) for channel in ("email", "in_app")]
    async with outbound.database.transaction() as tx:
        await tx.execute(f"UPDATE notifications.notifications SET {ahead}".encode())  # noqa: S608
    known = await outbound.tell(bruno, "order_shipped")

    await outbound.sending.send_due()

    for one in told:
        assert await outbound.fate(one) == ("pending", "internal fault")
        assert await outbound.log(one) == [("fault", "internal fault")]
    assert await outbound.fate(known) == ("accepted", None)


async def test_a_text_without_end_is_shown_in_part(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    facts: dict[str, Any] = {"number": "1" * 50_000, "tracking_number": "T"}
    await outbound.tell(anna, "order_shipped", "in_app", facts=facts)

    await outbound.sending.send_due()

    (shown,) = outbound.screen.shown(anna)
    assert len(str(shown.data["text"])) == 2000
    assert len(shown.to_text()) < 8000


async def test_neither_name_nor_address_is_in_the_finest_log(
    outbound: Outbound, communication: Standin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    anna = outbound.people.meet(phone=f"+4915{uuid4().int % 10**9:09d}")
    communication.fault("send_email", "status", status=503, times=1)

    for _ in range(2):
        told = await outbound.tell(anna, "order_placed", "in_app", "email", "sms")
        await outbound.sending.send_due()

    kept = await outbound.everything_written() + caplog.text
    assert str(told) in kept
    for personal in (anna.email, anna.email.replace("@", "%40"), str(anna.phone), "Andersson"):
        assert personal not in kept
