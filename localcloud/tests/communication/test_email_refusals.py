import base64
import uuid
from typing import Any

import httpx
import pytest
from azure.communication.email import EmailClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

from localcloud.tests.communication.conftest import KEY, SENDER, address, email, send

TEN_MIB = 10 * 1024 * 1024
SPECIFICATION = (
    "issue:Azure/azure-rest-api-specs/blob/main/specification/communication/data-plane/Email/stable"
    "/2025-09-01/CommunicationServicesEmail.json"
)


def total(http: httpx.Client) -> int:
    """How many emails were ever taken."""
    messages: int = http.get("/overview").json()["email"]["messages"]
    return messages


def refused(
    client: EmailClient, http: httpx.Client, message: dict[str, Any], operation_id: str = ""
) -> tuple[int, str, str]:
    """Status, code and message of the refusal, after which nothing was sent."""
    before = total(http)
    with pytest.raises(HttpResponseError) as refusal:
        send(client, message, operation_id or None)
    assert total(http) == before
    assert refusal.value.status_code is not None
    answer: Any = refusal.value.response
    error = answer.json()["error"]
    assert answer.headers["x-ms-error-code"] == error["code"]
    return refusal.value.status_code, error["code"], error["message"]


def attached(**changes: Any) -> list[dict[str, Any]]:
    one = {"name": "a.txt", "contentType": "text/plain", "contentInBase64": "YQ=="}
    return [one | changes]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipients": {"to": []}}, "recipients: at least one recipient is required"),
        ({"recipients": {}}, "recipients: at least one recipient is required"),
        (
            {"content": {"plainText": "text"}},
            "content.subject: Field required",
        ),
        (
            {"content": {"subject": "", "plainText": "text"}},
            "content.subject: String should have at least 1 character",
        ),
        (
            {"content": {"subject": "Hi\r\nBcc: x@y.example", "plainText": "text"}},
            "content.subject: must not contain line breaks",
        ),
        ({"content": {"subject": "Hi"}}, "content: plainText or html is required"),
        ({"senderAddress": 7}, "senderAddress: Input should be a valid string"),
        (
            {"attachments": attached(contentInBase64="not base64!")},
            "attachments.0: contentInBase64 is not valid base64",
        ),
        ({"attachments": attached(name="")}, "attachments.0.name: String should have at least 1"),
        ({"attachments": attached(contentType="text")}, "attachments.0.contentType: "),
        ({"attachments": attached(contentType="text/ж")}, "attachments.0.contentType: "),
        ({"attachments": attached(contentType="a/b;\r\nx: y")}, "attachments.0.contentType: "),
        ({"headers": {"x y": "z"}}, "body: 'x y' is no name of a header"),
        ({"headers": {"x": "1\r\nBcc: x@y.example"}}, "headers.x: must not contain line breaks"),
        ({"replyTo": [{"address": "nobody"}]}, "replyTo.0.address: Invalid format for email"),
    ],
)
def test_what_is_wrong_with_an_email_is_said(
    emails: EmailClient, http: httpx.Client, changes: dict[str, Any], message: str
) -> None:
    status, code, said = refused(emails, http, email(**changes))
    assert (status, code) == (400, "BadRequest")
    assert said.startswith(message)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "alice",
        "alice@",
        "@clients.example",
        "alice@clients",
        "alice@-clients.example",
        "alice@clients..example",
        "al ice@clients.example",
        ".alice@clients.example",
        "alice.@clients.example",
        "a..b@clients.example",
        "alice@clients.example\n",
        "alice@clients.example, bob@clients.example",
        "Alice <alice@clients.example>",
        "älice@clients.example",
        f"{'a' * 65}@clients.example",
        f"alice@{'a' * 64}.example",
    ],
)
def test_an_invalid_address_is_refused(emails: EmailClient, http: httpx.Client, wrong: str) -> None:
    recipients = {"to": [{"address": address()}], "cc": [{"address": wrong}]}
    status, code, said = refused(emails, http, email(recipients=recipients))
    assert (status, code) == (400, "BadRequest")
    assert said == "recipients.cc.0.address: Invalid format for email address."


@pytest.mark.parametrize(
    "right", ["o'neill@clients.example", "a.b+c_d-e@sub.clients.example", "1@xn--bcher-kva.example"]
)
def test_unusual_addresses_are_taken(emails: EmailClient, right: str) -> None:
    assert uuid.UUID(send(emails, email(right)))


@pytest.mark.conforms(
    "Email",
    "An email has at most 50 recipients.",
    source="learn:azure/communication-services/concepts/service-limits",
)
def test_fifty_recipients_are_the_most(emails: EmailClient, http: httpx.Client) -> None:
    many = [{"address": address()} for _ in range(25)]
    send(emails, email(recipients={"to": many, "bcc": many}))
    one_more = {"to": many, "bcc": many, "cc": [{"address": address()}]}
    assert refused(emails, http, email(recipients=one_more)) == (
        400,
        "BadRequest",
        "recipients: an email may have at most 50 recipients, this one has 51",
    )


@pytest.mark.conforms(
    "Email",
    '"Please note that we limit the total size of an email request (which includes attachments) to'
    ' 10MB."',
    source=SPECIFICATION,
)
def test_a_request_of_more_than_ten_megabytes_is_refused(
    emails: EmailClient, http: httpx.Client
) -> None:
    to = address()
    content = base64.b64encode(bytes(TEN_MIB * 3 // 4 - 3000)).decode()
    send(emails, email(to, attachments=attached(contentInBase64=content)))
    [message] = http.get("/messages", params={"to": to}).json()["messages"]
    assert message["attachments"][0]["size"] == TEN_MIB * 3 // 4 - 3000
    content = base64.b64encode(bytes(TEN_MIB * 3 // 4)).decode()
    status, code, _ = refused(emails, http, email(attachments=attached(contentInBase64=content)))
    assert (status, code) == (413, "RequestEntityTooLarge")


def test_a_sender_of_another_domain_is_refused(emails: EmailClient, http: httpx.Client) -> None:
    assert refused(emails, http, email(senderAddress="orders@elsewhere.example")) == (
        404,
        "DomainNotLinked",
        "The specified sender domain has not been linked.",
    )


def test_a_sender_that_was_not_provisioned_is_refused(
    emails: EmailClient, http: httpx.Client
) -> None:
    status, code, said = refused(emails, http, email(senderAddress="ceo@shop.example"))
    assert (status, code) == (400, "InvalidSenderUserName")
    assert said.startswith("Invalid email sender username: 'ceo'.")


def test_the_case_of_a_sender_does_not_matter(emails: EmailClient) -> None:
    assert uuid.UUID(send(emails, email(senderAddress=SENDER.upper())))


def test_an_operation_id_is_a_uuid(emails: EmailClient, http: httpx.Client) -> None:
    assert refused(emails, http, email(), "order-1001") == (
        400,
        "BadRequest",
        "Operation-Id must be a UUID.",
    )


@pytest.mark.parametrize("version", ["2019-01-01", ""])
def test_an_api_version_that_is_not_spoken_is_refused(http: httpx.Client, version: str) -> None:
    with EmailClient(
        str(http.base_url), AzureKeyCredential(KEY), api_version=version, retry_total=0
    ) as client:
        status, code, _ = refused(client, http, email())
    assert (status, code) == (400, "UnsupportedApiVersionValue")
