"""Sending in the worst case: processes that die or work at a time, providers that are away."""

import asyncio
import sys
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
import pytest

from blueprints.notifications.delivery_models import Answer
from blueprints.notifications.sending import EmailSender, SmsSender
from blueprints.notifications.verdicts import given_back
from shared.db import Database
from tests.integration.notifications.conftest import Mailbox
from tests.integration.notifications.doubles import Anybody, Person, Post
from tests.integration.notifications.outbound import Outbound, email_gateway
from tests.integration.payments.standins import Standin
from tests.rig.partners import Partner


class Killed(BaseException):
    """The process ends here, without a word."""


class LastCall:
    """Hands over through a gateway, and the process is killed before or after."""

    def __init__(self, gateway: EmailSender | SmsSender, when: str) -> None:
        self._send: Any = gateway.send
        self._when = when

    async def send(self, *message: Any, key: UUID, **how: Any) -> Answer:
        if self._when == "after":
            await self._send(*message, key=key, **how)
        raise Killed


@pytest.mark.parametrize("channel", ["email", "sms"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_process_that_is_killed_around_its_call_leaves_one_message(
    when: str, channel: Literal["email", "sms"], outbound: Outbound, mailbox: Mailbox
) -> None:
    anna = outbound.people.meet(phone=f"+4915{uuid4().int % 10**9:09d}")
    told = await outbound.tell(anna, "order_placed", channel)
    dying = outbound.process(
        email=LastCall(outbound.email, when),
        sms=LastCall(outbound.sms, when),
        leases_s={channel: 0.0},
    )

    with pytest.raises(BaseExceptionGroup) as caught:
        await dying._send(channel, 64)  # a lane would hide how it died
    assert caught.value.subgroup(Killed) is not None
    assert await outbound.fate(told) == ("pending", None)
    await outbound.sending.send_due()

    address = anna.phone if channel == "sms" else anna.email
    assert len(await mailbox.messages(str(address), channel)) == 1
    assert await outbound.fate(told) == ("accepted", None)
    assert await outbound.log(told) == [("accepted", None)]
    assert [type_ for type_, _ in await outbound.events(told)] == ["notification.sent.v1"]


async def test_a_process_that_is_killed_while_the_provider_takes_a_mail_leaves_one_mail(
    outbound: Outbound, mailbox: Mailbox, communication: Standin, database_url: str
) -> None:
    anna = Person("Anna Andersson", "")
    outbound.people = Anybody()
    told = await outbound.tell(anna)
    async with httpx.AsyncClient(base_url=communication.url, trust_env=False) as http:
        partner = Partner("communication", http)
        async with partner.barrier("send_email", "after_effect") as barrier:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.notifications.process"),
                *(database_url, communication.url),
            )
            await barrier.reached()
            process.kill()
            await process.wait()
    assert await outbound.fate(told) == ("pending", None)

    await outbound.process().send_due()

    (mail,) = await mailbox.messages(f"{anna.id}@clients.example")
    row = await outbound.delivery(told)
    assert (row["status"], mail["id"]) == ("accepted", str(row["id"]))
    assert await outbound.log(told) == [("accepted", None)]


async def test_what_a_dead_process_had_claimed_waits_for_the_end_of_its_claim(
    outbound: Outbound,
) -> None:
    told = await outbound.tell(outbound.people.meet())
    post = Post()
    assert len(await outbound.process(leases_s={"email": 3600.0})._claimed("email", 9)) == 1

    assert await outbound.process(email=post).send_due() == 0
    assert post.keys == []
    await outbound.make_due(told)
    assert await outbound.process(email=post).send_due() == 1
    assert await outbound.fate(told) == ("accepted", None)


async def test_processes_at_a_time_send_nothing_twice(
    outbound: Outbound, database_url: str
) -> None:
    databases = [Database(database_url, max_size=4) for _ in range(3)]
    post = Post(takes_s=0.002)
    told = [
        await outbound.tell(outbound.people.meet(), "order_placed", "in_app", "email")
        for _ in range(150)
    ]
    processes = [outbound.process(database=database, email=post) for database in databases]

    done = await asyncio.gather(*(process.send_due() for process in processes))

    assert sum(done) == 300
    assert (len(post.keys), len(set(post.keys))) == (150, 150)
    shown = [one.id for batch in outbound.screen.batches for one in batch]
    assert sorted(shown) == sorted(str(one) for one in told)
    rows = await outbound.rows(
        "SELECT d.channel, d.status, count(*) FROM notifications.deliveries d"
        " JOIN notifications.attempts a ON a.delivery_id = d.id GROUP BY 1, 2 ORDER BY 1"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("email", "accepted", 150),
        ("in_app", "delivered", 150),
    ]
    for database in databases:
        await database.close()


async def test_while_the_provider_is_away_mail_waits_and_the_app_does_not(
    outbound: Outbound, mailbox: Mailbox
) -> None:
    anna = outbound.people.meet()
    away = email_gateway("http://127.0.0.1:9", faults=2)
    cut_off = outbound.process(email=away, at_once=1)
    mails = [await outbound.tell(anna) for _ in range(4)]
    shown = await outbound.tell(anna, "order_confirmed", "in_app")

    cut_off.kick()
    await cut_off.settled()

    assert await outbound.fate(shown) == ("delivered", None)
    rows = [await outbound.delivery(told) for told in mails]
    assert [(row["status"], row["attempts"], row["claimed_until"]) for row in rows] == [
        *[("pending", 1, None)] * 2,
        *[("pending", 0, None)] * 2,
    ]
    assert {row["reason"] for row in rows[:2]} == {"no answer: ServiceRequestError"}
    assert await cut_off.send_due() == 0

    await outbound.make_due(*mails)
    assert await outbound.sending.send_due() == 4
    assert len(await mailbox.messages(anna.email)) == 4
    await cut_off.close()
    await away.close()


async def test_a_verdict_that_comes_after_its_claim_does_not_disturb_the_next_one(
    outbound: Outbound,
) -> None:
    told = await outbound.tell(outbound.people.meet())
    slow, quick = outbound.process(leases_s={"email": 0.0}), outbound.process()
    (late,) = await slow._claimed("email", 9)
    (now,) = await quick._claimed("email", 9)
    assert (late.id, late.first_tried_at) == (now.id, now.first_tried_at)

    await slow._settle([given_back(late)])

    assert (await outbound.delivery(told))["claimed_until"] == now.claimed_until


async def test_a_text_that_was_not_taken_counts_its_time_anew(
    outbound: Outbound, communication: Standin
) -> None:
    told = await outbound.tell(outbound.people.meet(phone="+4915112345678"), "order_placed", "sms")
    tried = "SELECT first_tried_at FROM notifications.deliveries WHERE notification_id = %s"

    communication.fault("send_sms", "status", status=429, retry_after_s=1)
    await outbound.process().send_due()
    assert await outbound.rows(tried, told) == [{"first_tried_at": None}]

    await outbound.make_due(told)
    communication.fault("send_sms", "status", status=503)
    await outbound.process().send_due()
    (unknown,) = await outbound.rows(tried, told)
    assert unknown["first_tried_at"] is not None

    await outbound.make_due(told)
    await outbound.process().send_due()
    assert await outbound.rows(tried, told) == [unknown]
    assert await outbound.fate(told) == ("accepted", None)
