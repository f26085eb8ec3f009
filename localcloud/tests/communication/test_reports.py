import uuid
from datetime import datetime
from typing import Any

import httpx
import pytest
from azure.communication.email import EmailClient
from azure.core.exceptions import HttpResponseError
from azure.eventgrid import EventGridEvent, SystemEventNames

from localcloud.communication import outcomes
from localcloud.tests.communication.conftest import (
    GRID_KEY,
    NUMBER,
    SENDER,
    address,
    ask,
    email,
    number,
    send,
    sent_to,
)
from localcloud.tests.communication.grid import Grid, until

EMAIL_EVENTS = "learn:azure/event-grid/communication-services-email-events"
SMS_EVENTS = "learn:azure/event-grid/communication-services-telephony-sms-events"
REPUTATION = (
    "learn:azure/communication-services/concepts/email/sender-reputation-managed-suppression-list"
)


def statuses(events: list[dict[str, Any]]) -> list[str]:
    return [event["data"].get("status") or event["data"]["deliveryStatus"] for event in events]


@pytest.mark.conforms(
    "Delivery reports",
    "EmailDeliveryReportReceived is published when a delivery report is received for an email.",
    source=EMAIL_EVENTS,
)
def test_the_delivery_of_an_email_is_reported_as_azure_reports_it(
    emails: EmailClient, grid: Grid
) -> None:
    to = address()
    message_id = send(emails, email(to))
    [event] = grid.expect(message_id, 1)
    times = event.pop("eventTime"), event["data"].pop("deliveryAttemptTimestamp")
    assert uuid.UUID(event.pop("id"))
    assert times[0] == times[1]
    assert datetime.fromisoformat(times[0]).utcoffset() is not None
    assert event == {
        "subject": f"sender/{SENDER}/message/{message_id}",
        "data": {
            "sender": SENDER,
            "recipient": to,
            "internetMessageId": f"<{message_id}@shop.example>",
            "messageId": message_id,
            "status": "Delivered",
            "deliveryStatusDetails": {
                "statusMessage": "",
                "recipientMailServerHostName": "mx.clients.example",
            },
        },
        "eventType": "Microsoft.Communication.EmailDeliveryReportReceived",
        "dataVersion": "1.0",
    }


@pytest.mark.conforms(
    "Delivery reports",
    "SMSDeliveryReportReceived is published when a delivery report is received for an SMS, with the"
    " tag of the message.",
    source=SMS_EVENTS,
)
def test_the_delivery_of_a_text_is_reported_as_azure_reports_it(texts: Any, grid: Grid) -> None:
    to = number()
    [result] = texts.send(NUMBER, to, "text", enable_delivery_report=True, tag="order 1001")
    [event] = grid.expect(result.message_id, 1)
    received = event["data"].pop("receivedTimestamp")
    [attempt] = event["data"].pop("deliveryAttempts")
    assert attempt == {"timestamp": received, "segmentsSucceeded": 1, "segmentsFailed": 0}
    assert event["eventType"] == "Microsoft.Communication.SMSDeliveryReportReceived"
    assert event["subject"] == "/phonenumber/4915000000000"
    assert event["data"] == {
        "messageId": result.message_id,
        "from": NUMBER,
        "to": to,
        "deliveryStatus": "Delivered",
        "deliveryStatusDetails": "Message delivered successfully",
        "tag": "order 1001",
    }


def test_the_sdk_of_event_grid_reads_the_events(
    emails: EmailClient, texts: Any, grid: Grid
) -> None:
    message_id = send(emails, email())
    [result] = texts.send(NUMBER, number(), "text", enable_delivery_report=True)
    names = SystemEventNames.AcsEmailDeliveryReportReceivedEventName
    [mail] = [EventGridEvent.from_dict(event) for event in grid.expect(message_id, 1)]
    assert mail.event_type == names.value
    [sms] = [EventGridEvent.from_dict(event) for event in grid.expect(result.message_id, 1)]
    assert sms.event_type == SystemEventNames.AcsSmsDeliveryReportReceivedEventName.value
    assert grid.batches[-1][0]["aeg-sas-key"] == GRID_KEY


@pytest.mark.conforms(
    "Delivery reports",
    '"Enable this flag to receive a delivery report for this message on the Azure Resource'
    ' EventGrid."',
    source="issue:Azure/azure-rest-api-specs/blob/main/specification/communication/data-plane/Sms"
    "/stable/2021-03-07/communicationservicessms.json",
)
def test_a_text_whose_report_nobody_wants_has_none(
    texts: Any, emails: EmailClient, http: httpx.Client, grid: Grid
) -> None:
    to = number()
    [result] = texts.send(NUMBER, to, "text")
    until(lambda: sent_to(http, to)[0]["recipients"][0]["status"], lambda said: said == "Delivered")
    grid.expect(send(emails, email(address("list"))), 2)
    assert grid.about(result.message_id) == []


@pytest.mark.conforms(
    "Delivery reports",
    "The status is Delivered, Expanded, Bounced, Suppressed, FilteredSpam, Quarantined or Failed.",
    source=EMAIL_EVENTS,
)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anyone", ["Delivered"]),
        ("bounce", ["Bounced"]),
        ("suppressed", ["Suppressed"]),
        ("spam", ["FilteredSpam"]),
        ("quarantine", ["Quarantined"]),
        ("failed", ["Failed"]),
        ("list", ["Expanded", "Delivered"]),
        ("slow", ["Delivered"]),
    ],
)
def test_an_address_decides_what_is_reported(
    emails: EmailClient, http: httpx.Client, grid: Grid, name: str, expected: list[str]
) -> None:
    to_each = (address(name), f"{uuid.uuid4().hex}@{name}.example")
    sent = [(to, send(emails, email(to))) for to in to_each]
    for to, message_id in sent:
        assert statuses(grid.expect(message_id, len(expected))) == expected
        [message] = sent_to(http, to)
        assert message["recipients"][0]["status"] == expected[-1]


def test_an_address_may_have_no_report_ever(emails: EmailClient, http: httpx.Client) -> None:
    assert outcomes.of_email("never@clients.example") == ()
    to = address("never")
    send(emails, email(to))
    [message] = sent_to(http, to)
    assert message["recipients"][0]["status"] is None


@pytest.mark.parametrize(
    ("end", "status", "failed"),
    [("0001", "Failed", 1), ("0002", "Failed", 1), ("1111", "Delivered", 0)],
)
def test_the_end_of_a_number_decides_what_is_reported(
    texts: Any, grid: Grid, end: str, status: str, failed: int
) -> None:
    [result] = texts.send(NUMBER, number(end), "text", enable_delivery_report=True)
    [event] = grid.expect(result.message_id, 1)
    assert event["data"]["deliveryStatus"] == status
    assert event["data"]["deliveryAttempts"][0]["segmentsFailed"] == failed


def test_each_recipient_has_a_report_of_its_own(emails: EmailClient, grid: Grid) -> None:
    alice, gone = address(), address("bounce")
    recipients = {"to": [{"address": alice}], "bcc": [{"address": gone}]}
    message_id = send(emails, email(recipients=recipients))
    found = {
        event["data"]["recipient"]: event["data"]["status"] for event in grid.expect(message_id, 2)
    }
    assert found == {alice: "Delivered", gone: "Bounced"}


@pytest.mark.conforms(
    "Delivery reports",
    "After a hard bounce mail to the address is Suppressed for 24 hours, and for longer with each"
    " further mail.",
    source=REPUTATION,
)
def test_an_address_that_bounced_is_suppressed(
    emails: EmailClient, http: httpx.Client, grid: Grid
) -> None:
    to = address("bounce")
    assert statuses(grid.expect(send(emails, email(to)), 1)) == ["Bounced"]
    first = until_of(http, to)
    assert statuses(grid.expect(send(emails, email(to.upper())), 1)) == ["Suppressed"]
    assert until_of(http, to) > first
    assert http.delete("/control/suppressions", params={"address": to}).json() == {"removed": 1}
    assert statuses(grid.expect(send(emails, email(to)), 1)) == ["Bounced"]


def until_of(http: httpx.Client, to: str) -> datetime:
    """Until when an address is on the managed suppression list."""
    [until] = [
        one["until"]
        for one in http.get("/control/suppressions").json()["addresses"]
        if one["address"] == to
    ]
    return datetime.fromisoformat(until)


@pytest.mark.conforms(
    "Delivery reports",
    "An email whose recipients are all suppressed fails with EmailDroppedAllRecipientsSuppressed.",
    source="learn:answers/questions/1660625/azure-communication-services-emaildroppedallrecipi",
)
def test_the_operation_fails_when_everybody_is_suppressed(emails: EmailClient) -> None:
    gone, alice = address("suppressed"), address()
    with pytest.raises(HttpResponseError) as failure:
        emails.begin_send(email(gone)).result()
    assert failure.value.error is not None
    assert failure.value.error.code == "EmailDroppedAllRecipientsSuppressed"
    both = {"to": [{"address": gone}, {"address": alice}]}
    operation_id = send(emails, email(recipients=both))
    until(lambda: ask(emails, operation_id).json()["status"], lambda status: status != "Running")
    assert ask(emails, operation_id).json() == {"id": operation_id, "status": "Succeeded"}


@pytest.mark.conforms(
    "Delivery reports",
    "EmailEngagementTrackingReportReceived is published when an email is opened or a link in it is"
    " clicked.",
    source=EMAIL_EVENTS,
)
def test_what_a_recipient_does_with_an_email_is_reported(
    emails: EmailClient, http: httpx.Client, grid: Grid
) -> None:
    to, link = address(), "https://shop.example/orders/1"
    message_id = send(emails, email(to, content={"subject": "Hi", "html": "<p>Hi</p>"}))
    grid.expect(message_id, 1)
    order = {"kind": "click", "message": message_id, "context": link, "user_agent": "a browser"}
    answer = http.post("/control/engagements", json=order)
    assert answer.status_code == 201
    event = grid.expect(message_id, 2)[1]
    assert event["id"] == answer.json()["event_id"]
    assert event["eventType"] == SystemEventNames.AcsEmailEngagementTrackingReportReceivedEventName
    assert event["data"] == {
        "sender": SENDER,
        "recipient": to,
        "messageId": message_id,
        "userActionTimestamp": event["eventTime"],
        "engagementContext": link,
        "userAgent": "a browser",
        "engagementType": "click",
    }
    [message] = sent_to(http, to)
    assert message["recipients"][0]["status"] == "Delivered"
    assert "Clicked" in http.get(message["url"]).text


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "content": {"subject": "Hi", "html": "<p>Hi</p>"},
            "userEngagementTrackingDisabled": True,
        },
    ],
    ids=["plain text", "disabled"],
)
def test_an_email_that_is_not_tracked_reports_no_engagement(
    emails: EmailClient, http: httpx.Client, changes: dict[str, Any]
) -> None:
    message_id = send(emails, email(**changes))
    answer = http.post("/control/engagements", json={"kind": "view", "message": message_id})
    assert answer.status_code == 400
