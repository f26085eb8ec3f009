import base64
import uuid

import httpx
import pytest
from azure.communication.email import EmailClient
from azure.communication.email.aio import EmailClient as AsyncEmailClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

from localcloud.tests.communication.conftest import (
    KEY,
    SENDER,
    address,
    ask,
    email,
    send,
    sent_to,
)
from localcloud.tests.communication.grid import until
from localcloud.tests.partners.part import Part

SPECIFICATION = (
    "issue:Azure/azure-rest-api-specs/blob/main/specification/communication/data-plane/Email/stable"
    "/2025-09-01/CommunicationServicesEmail.json"
)


@pytest.mark.conforms(
    "Email",
    "The service accepts an email with 202, an Operation-Location and a Retry-After, and the"
    " operation succeeds later.",
    source=SPECIFICATION,
)
def test_the_sdk_sends_an_email_and_waits_for_its_operation(
    emails: EmailClient, http: httpx.Client
) -> None:
    to = address()
    headers: dict[str, str] = {}
    poller = emails.begin_send(
        email(to), raw_response_hook=lambda answer: headers.update(answer.http_response.headers)
    )
    operation_id = poller.result()["id"]
    assert poller.result() == {"id": operation_id, "status": "Succeeded"}
    [message] = sent_to(http, to)
    assert message["id"] == operation_id
    assert message["subject"] == "Your order 1001"
    assert message["status"] == "Succeeded"
    assert "Retry-After" not in headers, "it is only sent while the operation runs"


async def test_the_asynchronous_sdk_sends_an_email_and_waits_for_its_operation(
    part: Part, http: httpx.Client
) -> None:
    to = address()
    async with AsyncEmailClient(part.url, AzureKeyCredential(KEY)) as client:
        poller = await client.begin_send(email(to))
        assert (await poller.result())["status"] == "Succeeded"
    assert len(sent_to(http, to)) == 1


def test_the_first_answer_says_where_and_when_to_ask_again(emails: EmailClient, part: Part) -> None:
    operation_id = str(uuid.uuid4())
    seen: list[httpx.Headers] = []
    emails.begin_send(
        email(),
        operation_id=operation_id,
        polling=False,
        raw_response_hook=lambda answer: seen.append(httpx.Headers(answer.http_response.headers)),
    )
    [headers] = seen
    assert headers["Operation-Location"] == (
        f"{part.url}/emails/operations/{operation_id}?api-version=2025-09-01"
    )
    assert headers["Retry-After"] == "1"


@pytest.mark.conforms(
    "Email",
    "A repeated request that matches the previous one is answered as that was, and nothing is"
    " sent twice.",
    source="learn:rest/api/communication/repeatable-requests",
)
def test_repeating_an_operation_id_sends_nothing_more(
    emails: EmailClient, http: httpx.Client
) -> None:
    to, operation_id = address(), str(uuid.uuid4())
    assert send(emails, email(to), operation_id) == operation_id
    assert send(emails, email(to), operation_id.upper()) == operation_id
    assert len(sent_to(http, to)) == 1


@pytest.mark.conforms(
    "Email",
    "A repeated request that does not match the previous one is refused with 400.",
    source="learn:rest/api/communication/repeatable-requests",
)
def test_an_operation_id_is_not_good_for_another_message(
    emails: EmailClient, http: httpx.Client
) -> None:
    to, operation_id = address(), str(uuid.uuid4())
    send(emails, email(to), operation_id)
    other = email(to, content={"subject": "Another", "plainText": "text"})
    with pytest.raises(HttpResponseError) as refusal:
        send(emails, other, operation_id)
    assert refusal.value.status_code == 400
    assert [message["subject"] for message in sent_to(http, to)] == ["Your order 1001"]


def test_everything_that_an_email_has_is_kept(emails: EmailClient, http: httpx.Client) -> None:
    to, cc, bcc = address(), address("bruno"), address("chloe")
    send(
        emails,
        email(
            recipients={
                "to": [{"address": to, "displayName": "Alice Moreau"}],
                "cc": [{"address": cc}],
                "bcc": [{"address": bcc}],
            },
            content={"subject": "Grüße ✓", "plainText": "Text", "html": "<p>Text</p>"},
            headers={"x-order": "1001"},
            replyTo=[{"address": "help@shop.example"}],
            attachments=[
                {
                    "name": "invoice.pdf",
                    "contentType": "application/pdf",
                    "contentInBase64": base64.b64encode(b"%PDF-1.7").decode(),
                }
            ],
        ),
    )
    [message] = sent_to(http, bcc)
    seq = message.pop("seq")
    for varying in ("id", "sent_at", "recipients", "status"):
        del message[varying]
    assert message == {
        "channel": "email",
        "from": SENDER,
        "to": [to],
        "cc": [cc],
        "bcc": [bcc],
        "subject": "Grüße ✓",
        "text": "Text",
        "html": "<p>Text</p>",
        "headers": {"x-order": "1001"},
        "reply_to": ["help@shop.example"],
        "attachments": [{"name": "invoice.pdf", "content_type": "application/pdf", "size": 8}],
        "tag": None,
        "url": f"/mail/{seq}",
    }
    saved = http.get(f"/mail/{seq}/attachments/0")
    assert saved.content == b"%PDF-1.7"
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''invoice.pdf"


def test_an_operation_that_nobody_began_is_not_found(emails: EmailClient) -> None:
    answer = ask(emails, str(uuid.uuid4()))
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NotFound"


@pytest.mark.conforms(
    "Email",
    "The operation of an email is NotStarted or Running, with a Retry-After, until it is settled.",
    source=SPECIFICATION,
)
def test_the_operation_of_a_slow_email_is_not_started_at_first(emails: EmailClient) -> None:
    poller = emails.begin_send(email(address("slow")), polling=False)
    begun = poller.result()
    assert begun["status"] == "NotStarted"

    seen: list[tuple[str, bool]] = []

    def look() -> str:
        answer = ask(emails, begun["id"])
        status: str = answer.json()["status"]
        seen.append((status, "Retry-After" in answer.headers))
        return status

    until(look, lambda status: status == "Succeeded")
    assert set(seen) <= {("NotStarted", True), ("Running", True), ("Succeeded", False)}
    order = ["NotStarted", "Running", "Succeeded"]
    assert [status for status, _ in seen] == sorted((s for s, _ in seen), key=order.index)


@pytest.mark.conforms(
    "Email",
    "An operation that fails says so with the code EmailDropped and why.",
    source=SPECIFICATION.replace(
        "CommunicationServicesEmail.json",
        "examples/GetOperationStatusReturnsFailedTerminalStatus.json",
    ),
)
def test_the_operation_of_an_email_that_cannot_be_delivered_fails(emails: EmailClient) -> None:
    poller = emails.begin_send(email(address("failed")))
    with pytest.raises(HttpResponseError) as failure:
        poller.result()
    assert failure.value.error is not None
    assert failure.value.error.code == "EmailDropped"
