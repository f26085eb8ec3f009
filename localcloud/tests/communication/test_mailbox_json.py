from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from azure.communication.email import EmailClient

from localcloud.tests.communication.conftest import (
    NUMBER,
    SENDER,
    address,
    email,
    number,
    send,
    sent_to,
)
from localcloud.tests.communication.grid import Grid, until


def test_messages_are_told_oldest_first_from_a_number_on(
    emails: EmailClient, http: httpx.Client
) -> None:
    to = address()
    ids = [send(emails, email(to)) for _ in range(3)]
    first = sent_to(http, to.upper())[0]["seq"]
    answer = http.get("/messages", params={"to": to, "since": first, "limit": 1}).json()
    assert [message["id"] for message in answer["messages"]] == [ids[1]]
    answer = http.get("/messages", params={"to": to, "since": answer["next"]}).json()
    assert [message["id"] for message in answer["messages"]] == [ids[2]]
    rest = http.get("/messages", params={"to": to, "since": answer["next"]}).json()
    assert rest == {"messages": [], "next": None}


def test_messages_are_told_from_a_time_on(emails: EmailClient, http: httpx.Client) -> None:
    to = address()
    send(emails, email(to))
    [message] = sent_to(http, to)
    at = datetime.fromisoformat(message["sent_at"])
    assert at.tzinfo == UTC
    for since, count in (
        (message["sent_at"], 1),
        ("2999-01-01T00:00:00+01:00", 0),
        ("2026-01-01", 1),
    ):
        answer = http.get("/messages", params={"to": to, "since": since}).json()
        assert len(answer["messages"]) == count


def test_messages_of_one_channel_are_told(
    emails: EmailClient, texts: Any, http: httpx.Client
) -> None:
    before = http.get("/overview").json()["latest"]
    since = before[0]["seq"] if before else 0
    send(emails, email())
    texts.send(NUMBER, number(), "text")
    for channel in ("email", "sms"):
        query = {"channel": channel, "since": since}
        found = http.get("/messages", params=query).json()["messages"]
        assert [message["channel"] for message in found] == [channel]


@pytest.mark.parametrize(
    "query",
    [
        {"channel": "fax"},
        {"since": "yesterday"},
        {"since": "0001-01-01T00:00:00+23:59"},
        {"limit": "0"},
        {"limit": "1001"},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    http: httpx.Client, query: dict[str, str]
) -> None:
    answer = http.get("/messages", params=query)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadRequest"


def test_one_message_is_told_by_its_number(emails: EmailClient, http: httpx.Client) -> None:
    to = address()
    send(emails, email(to))
    [message] = sent_to(http, to)
    assert http.get(f"/messages/{message['seq']}").json()["id"] == message["id"]
    for unknown in ("0", "x", "9" * 30):
        assert http.get(f"/messages/{unknown}").status_code == 404


def test_the_overview_counts_messages_and_what_became_of_them(
    emails: EmailClient, texts: Any, http: httpx.Client, grid: Grid
) -> None:
    until(lambda: http.get("/overview").json()["reports"]["waiting"], lambda waiting: waiting == 0)
    before = http.get("/overview").json()
    gone, to = address("bounce"), number("0004")
    recipients = {"to": [{"address": gone}, {"address": address()}]}
    grid.expect(send(emails, email(recipients=recipients)), 2)
    texts.send(NUMBER, to, "Your parcel\nis here", enable_delivery_report=True)
    after = http.get("/overview").json()
    assert after["email"]["messages"] == before["email"]["messages"] + 1
    assert after["email"]["recipients"] == before["email"]["recipients"] + 2
    bounced = before["email"]["by_status"].get("Bounced", 0)
    assert after["email"]["by_status"]["Bounced"] == bounced + 1
    assert after["sms"]["recipients"] == before["sms"]["recipients"] + 1
    fates = after["sms"]["awaiting"], *after["sms"]["by_status"].values()
    assert sum(fates) == after["sms"]["recipients"]
    assert after["suppressed"] == before["suppressed"] + 1
    assert after["senders"] == [SENDER, NUMBER]
    text, mail = after["latest"][:2]
    assert (text["title"], text["to"], text["status"]) == ("Your parcel is here", [to], None)
    assert (mail["title"], mail["status"]) == ("Your order 1001", "Bounced")
    assert http.get(mail["url"]).status_code == 200
