"""Email and SMS over the wire: under one key one message, refusals as values, faults as such."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from blueprints.notifications import provider
from blueprints.notifications.delivery_models import (
    Accepted,
    LeftAlone,
    ProviderFault,
    Refused,
    Throttled,
)
from blueprints.notifications.gateway import EmailGateway, SmsGateway
from blueprints.notifications.models import Mail
from tests.integration.notifications.conftest import Mailbox
from tests.integration.notifications.outbound import (
    NUMBER,
    SENDER,
    CommunicationAt,
    breaker,
    email_gateway,
    sms_gateway,
)
from tests.integration.payments.standins import Standin

MAIL = Mail("Your order SO-1", "Thank you,\nAnna.", "<p>Thank you, Anna.</p>")
TRIED_AT = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _undisturbed(communication: Standin) -> Any:
    yield
    communication.reset()


def somebody(local_part: str = "anna") -> str:
    return f"{local_part}+{uuid4().hex[:12]}@clients.example"


def a_number(ending: str = "") -> str:
    return f"+4915{uuid4().int % 10**9:09d}"[: 14 - len(ending)] + ending


async def test_a_mail_is_taken_under_its_key(email: EmailGateway, mailbox: Mailbox) -> None:
    key, to = uuid7(), somebody()

    answer = await email.send(MAIL, to=to, name="Anna\r\nBcc: all", key=key)

    (taken,) = await mailbox.messages(to)
    assert answer == Accepted(str(key))
    assert taken["id"] == str(key)
    assert (taken["from"], taken["to"]) == (SENDER, [to])
    assert (taken["subject"], taken["text"], taken["html"]) == (MAIL.subject, MAIL.text, MAIL.html)


async def test_nobody_polls_for_what_becomes_of_a_mail(
    email: EmailGateway, communication: Standin
) -> None:
    communication.fault("get_operation", "status", status=500, times=None)
    key = uuid7()

    assert await email.send(MAIL, to=somebody(), name="Anna", key=key) == Accepted(str(key))


async def test_the_same_mail_again_is_not_sent_again(email: EmailGateway, mailbox: Mailbox) -> None:
    key, to = uuid7(), somebody()

    answers = [await email.send(MAIL, to=to, name="Anna", key=key) for _ in range(3)]

    assert answers == [Accepted(str(key))] * 3
    assert len(await mailbox.messages(to)) == 1


async def test_a_repeat_to_a_new_address_is_the_mail_that_was_taken(
    email: EmailGateway, mailbox: Mailbox
) -> None:
    key, to, moved = uuid7(), somebody(), somebody()
    await email.send(MAIL, to=to, name="Anna", key=key)

    assert await email.send(MAIL, to=moved, name="Anna", key=key) == Accepted(str(key))
    assert len(await mailbox.messages(to)) == 1
    assert await mailbox.messages(moved) == []


async def test_an_address_that_is_none_is_a_refusal(email: EmailGateway) -> None:
    answer = await email.send(MAIL, to="not an address", name="Anna", key=uuid7())

    assert isinstance(answer, Refused)
    assert not answer.suppressed
    assert answer.reason.startswith("refused: ")
    assert "not an address" not in answer.reason


@pytest.mark.parametrize("status", [401, 403, 404, 408, 500, 502, 503])
async def test_an_answer_that_says_nothing_of_the_message_is_a_fault(
    status: int, email: EmailGateway, communication: Standin
) -> None:
    communication.fault("send_email", "status", status=status)

    with pytest.raises(ProviderFault, match=f"^status {status}$"):
        await email.send(MAIL, to=somebody(), name="Anna", key=uuid7())


async def test_too_many_mails_are_told_when_to_come_again(
    email: EmailGateway, communication: Standin
) -> None:
    communication.fault("send_email", "status", status=429, retry_after_s=37)

    with pytest.raises(Throttled, match=r"^status 429$") as caught:
        await email.send(MAIL, to=somebody(), name="Anna", key=uuid7())
    assert caught.value.retry_after_s == 37


async def test_a_provider_that_is_silent_is_a_fault_and_the_repeat_the_same_mail(
    communication: Standin, mailbox: Mailbox
) -> None:
    communication.fault("send_email", "timeout_after_effect")
    impatient = email_gateway(communication.url, timeout_s=0.3)
    key, to = uuid7(), somebody()

    with pytest.raises(ProviderFault, match=r"^no answer: "):
        await impatient.send(MAIL, to=to, name="Anna", key=key)
    assert await impatient.send(MAIL, to=to, name="Anna", key=key) == Accepted(str(key))

    assert len(await mailbox.messages(to)) == 1
    await impatient.close()


async def test_a_provider_that_is_not_there_is_a_fault_and_then_left_alone() -> None:
    nowhere = email_gateway("http://127.0.0.1:9", faults=2)

    for _ in range(2):
        with pytest.raises(ProviderFault, match=r"^no answer: ") as caught:
            await nowhere.send(MAIL, to=somebody(), name="Anna", key=uuid7())
        assert not isinstance(caught.value, LeftAlone)
    with pytest.raises(LeftAlone, match="left alone"):
        await nowhere.send(MAIL, to=somebody(), name="Anna", key=uuid7())
    await nowhere.close()


async def test_neither_a_refusal_nor_a_full_provider_opens_the_circuit(
    communication: Standin,
) -> None:
    careful = email_gateway(communication.url, faults=1)
    communication.fault("send_email", "status", status=429, retry_after_s=1, times=2)

    for _ in range(2):
        with pytest.raises(Throttled):
            await careful.send(MAIL, to=somebody(), name="Anna", key=uuid7())
    assert isinstance(await careful.send(MAIL, to="?", name="Anna", key=uuid7()), Refused)
    key = uuid7()
    assert await careful.send(MAIL, to=somebody(), name="Anna", key=key) == Accepted(str(key))
    await careful.close()


async def test_a_wrong_access_key_is_a_fault(communication: Standin) -> None:
    settings = CommunicationAt(communication.url, key="d3Jvbmc=")
    stranger = EmailGateway(settings, sender=SENDER, timeout_s=5, breaker=breaker())

    with pytest.raises(ProviderFault, match=r"^status 401$"):
        await stranger.send(MAIL, to=somebody(), name="Anna", key=uuid7())
    await stranger.close()


async def test_without_a_connection_string_a_managed_identity_is_used() -> None:
    settings = CommunicationAt("", "https://mail.example/")
    gateway = EmailGateway(settings, sender=SENDER, timeout_s=5, breaker=breaker())

    endpoint, credential = gateway.access()

    assert endpoint == "https://mail.example"
    assert type(credential).__name__ == "DefaultAzureCredential"
    await gateway.close()


async def test_a_text_is_taken_under_its_key(sms: SmsGateway, mailbox: Mailbox) -> None:
    key, to = uuid7(), a_number()

    answer = await sms.send("Your order is on its way.", to=to, key=key, first_tried_at=TRIED_AT)

    (taken,) = await mailbox.messages(to, "sms")
    assert answer == Accepted(taken["id"])
    assert (taken["from"], taken["tag"]) == (NUMBER, str(key))
    assert taken["text"] == "Your order is on its way."


async def test_the_same_text_again_is_not_sent_again(sms: SmsGateway, mailbox: Mailbox) -> None:
    key, to = uuid7(), a_number()

    answers = await asyncio.gather(
        *(sms.send("On its way.", to=to, key=key, first_tried_at=TRIED_AT) for _ in range(3))
    )

    (taken,) = await mailbox.messages(to, "sms")
    assert answers == [Accepted(taken["id"])] * 3


async def test_texts_at_a_time_keep_their_own_keys(sms: SmsGateway, mailbox: Mailbox) -> None:
    told = {uuid7(): a_number() for _ in range(8)}

    await asyncio.gather(
        *(sms.send("Hello.", to=to, key=key, first_tried_at=TRIED_AT) for key, to in told.items())
    )

    tags = {to: [one["tag"] for one in await mailbox.messages(to, "sms")] for to in told.values()}
    assert tags == {to: [str(key)] for key, to in told.items()}


async def test_a_number_that_is_none_is_a_refusal(sms: SmsGateway) -> None:
    answer = await sms.send("Hello.", to="0049-nobody", key=uuid7(), first_tried_at=TRIED_AT)

    assert answer == Refused("refused: status 400")


@pytest.mark.parametrize("status", [401, 404, 500, 503])
async def test_a_text_without_a_good_answer_is_a_fault(
    status: int, sms: SmsGateway, communication: Standin
) -> None:
    communication.fault("send_sms", "status", status=status)

    with pytest.raises(ProviderFault, match=f"^status {status}$"):
        await sms.send("Hello.", to=a_number(), key=uuid7(), first_tried_at=TRIED_AT)


async def test_too_many_texts_are_told_when_to_come_again(
    sms: SmsGateway, communication: Standin
) -> None:
    communication.fault("send_sms", "status", status=429, retry_after_s=5)

    with pytest.raises(Throttled) as caught:
        await sms.send("Hello.", to=a_number(), key=uuid7(), first_tried_at=TRIED_AT)
    assert caught.value.retry_after_s == 5


async def test_a_client_serves_one_event_loop_and_the_next_gets_its_own(
    communication: Standin, mailbox: Mailbox
) -> None:
    gateway = sms_gateway(communication.url)
    to = a_number()

    async def once() -> None:
        await gateway.send("Hello.", to=to, key=uuid7(), first_tried_at=TRIED_AT)
        await gateway.close()

    await asyncio.to_thread(asyncio.run, once())
    await once()

    assert len(await mailbox.messages(to, "sms")) == 2


class _Fault:
    def __init__(self, value: str) -> None:
        self.response = type("Response", (), {"headers": {"Retry-After": value}})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("999999999", 24 * 3600),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
    ],
)
def test_a_wait_is_read_as_seconds_or_as_a_date(value: str, seconds: int | None) -> None:
    fault: Any = _Fault(value)

    assert provider._retry_after_s(fault) == seconds


def test_a_wait_until_a_date_is_the_time_that_is_left() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    fault: Any = _Fault(date)

    assert provider._retry_after_s(fault) in range(50, 92)
