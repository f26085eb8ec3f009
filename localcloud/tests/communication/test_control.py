import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azure.communication.email import EmailClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

from localcloud.tests.communication.conftest import (
    KEY,
    NUMBER,
    address,
    email,
    number,
    send,
    sent_to,
)
from localcloud.tests.communication.grid import Grid, until
from localcloud.tests.partners.part import Part


def ordered(http: httpx.Client, what: str, **wishes: Any) -> dict[str, Any]:
    answer = http.post(f"/control/{what}", json=wishes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def patient(part: Part) -> Iterator[EmailClient]:
    """The SDK with its own retries."""
    with EmailClient(part.url, AzureKeyCredential(KEY), retry_backoff_factor=0) as client:
        yield client


@pytest.mark.conforms(
    "Email",
    '"When you reach service limitations, you receive an HTTP status code 429 (too many'
    ' requests)."',
    source="learn:azure/communication-services/concepts/service-limits",
)
def test_too_many_requests_say_when_to_come_again(emails: EmailClient, http: httpx.Client) -> None:
    to = address()
    ordered(http, "faults", operation="send_email", kind="status", status=429, retry_after_s=2)
    with pytest.raises(HttpResponseError) as refusal:
        send(emails, email(to))
    assert refusal.value.status_code == 429
    assert refusal.value.error is not None
    assert refusal.value.error.code == "TooManyRequests"
    answer: Any = refusal.value.response
    assert answer.headers["Retry-After"] == "2"
    assert sent_to(http, to) == []


def test_the_sdk_tries_again_after_a_fault(patient: EmailClient, http: httpx.Client) -> None:
    to = address()
    ordered(http, "faults", operation="send_email", kind="status", match={"to": to}, times=2)
    send(patient, email(to))
    assert len(sent_to(http, to)) == 1


def test_a_connection_that_is_cut_sends_nothing(emails: EmailClient, http: httpx.Client) -> None:
    to = address()
    ordered(http, "faults", operation="send_email", kind="drop", match={"to": to})
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        send(emails, email(to))
    assert sent_to(http, to) == []


def test_an_answer_that_never_comes_is_got_by_repeating(
    part: Part, emails: EmailClient, http: httpx.Client
) -> None:
    to, operation_id = address(), str(uuid.uuid4())
    ordered(http, "faults", operation="send_email", kind="timeout_after_effect", match={"to": to})
    with (
        EmailClient(part.url, AzureKeyCredential(KEY), retry_total=0, read_timeout=0.3) as hurried,
        pytest.raises(ServiceResponseError),
    ):
        send(hurried, email(to), operation_id)
    assert send(emails, email(to), operation_id) == operation_id
    assert len(sent_to(http, to)) == 1


def test_a_text_can_meet_a_fault_too(texts: Any, http: httpx.Client) -> None:
    to = number()
    ordered(http, "faults", operation="send_sms", kind="status", status=503, match={"to": to})
    with pytest.raises(HttpResponseError) as refusal:
        texts.send(NUMBER, to, "text")
    assert refusal.value.status_code == 503
    assert sent_to(http, to) == []


def test_a_request_can_be_held_before_and_after_its_effect(
    emails: EmailClient, http: httpx.Client
) -> None:
    to = address()
    wish = {"operation": "send_email", "match": {"to": to}}
    before = ordered(http, "barriers", when="before_effect", **wish)["id"]
    after = ordered(http, "barriers", when="after_effect", **wish)["id"]
    sending = threading.Thread(target=send, args=(emails, email(to)))
    sending.start()
    for barrier, messages in ((before, 0), (after, 1)):
        reached = http.get(f"/control/barriers/{barrier}", params={"wait_s": 20}).json()
        assert reached == {"reached": True, "reached_count": 1}
        assert len(sent_to(http, to)) == messages
        http.delete(f"/control/barriers/{barrier}")
    sending.join(20)
    assert not sending.is_alive()


def test_the_ledger_tells_what_was_sent(
    emails: EmailClient, texts: Any, http: httpx.Client
) -> None:
    mail_to, text_to = address(), number()
    message_id = send(emails, email(mail_to))
    [result] = texts.send(NUMBER, text_to, "text", tag="t")
    entries = [
        http.get("/control/ledger", params={"reference": reference}).json()["entries"]
        for reference in (message_id, result.message_id)
    ]
    assert [(one["operation"], one["to"], one["subject"], one["tag"]) for [one] in entries] == [
        ("send_email", [mail_to], "Your order 1001", None),
        ("send_sms", [text_to], None, "t"),
    ]


def test_a_report_can_come_twice(emails: EmailClient, http: httpx.Client, grid: Grid) -> None:
    message_id = send(emails, email())
    [first] = grid.expect(message_id, 1)
    answer = ordered(http, "reports", kind="repeat", message=message_id)
    assert answer == {"event_id": first["id"]}
    assert grid.expect(message_id, 2) == [first, first]


def test_a_report_can_come_late_and_out_of_order(
    emails: EmailClient, http: httpx.Client, grid: Grid
) -> None:
    to = address()
    message_id = send(emails, email(to))
    grid.expect(message_id, 1)
    early = "2026-01-01T00:00:00+00:00"
    ordered(
        http,
        "reports",
        kind="new",
        message=message_id,
        recipient=to,
        status="Bounced",
        attempted_at=early,
        delay_s=0.1,
    )
    data = grid.expect(message_id, 2)[1]["data"]
    assert (data["status"], data["deliveryAttemptTimestamp"]) == ("Bounced", early)
    until(lambda: sent_to(http, to)[0]["recipients"][0]["status"], lambda said: said == "Bounced")


@pytest.mark.parametrize(
    ("channel", "whom"), [("email", "nobody@clients.example"), ("sms", "+4915100000000")]
)
def test_a_report_can_be_about_a_message_that_nobody_sent(
    http: httpx.Client, grid: Grid, channel: str, whom: str
) -> None:
    message_id = str(uuid.uuid4())
    ordered(http, "reports", kind="new", message=message_id, recipient=whom, channel=channel)
    data = grid.expect(message_id, 1)[0]["data"]
    assert data.get("recipient", data.get("to")) == whom


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"kind": "repeat", "message": "unknown"}, 404),
        ({"kind": "new", "message": "unknown"}, 400),
        ({"kind": "new", "message": "unknown", "recipient": "a@b.example", "status": "Lost"}, 400),
        ({"kind": "sideways", "message": "unknown"}, 400),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    http: httpx.Client, order: dict[str, Any], status: int
) -> None:
    published = http.get("/overview").json()["reports"]
    assert http.post("/control/reports", json=order).status_code == status
    assert http.get("/overview").json()["reports"]["waiting"] == 0
    assert http.get("/overview").json()["reports"]["refused"] == published["refused"]


def test_a_fault_of_an_operation_that_does_not_exist_is_refused(http: httpx.Client) -> None:
    answer = http.post("/control/faults", json={"operation": "fax", "kind": "drop"})
    assert answer.status_code == 400
