import json
import uuid
from typing import Any

import httpx
import pytest
from azure.communication.sms.aio import SmsClient as AsyncSmsClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy

from localcloud.tests.communication.conftest import KEY, NUMBER, number, sent_to, sms_client
from localcloud.tests.partners.part import Part

EXAMPLE = (
    "issue:Azure/azure-rest-api-specs/blob/main/specification/communication/data-plane/Sms/stable"
    "/2021-03-07/examples/send.json"
)
FIRST_SENT = "Mon, 01 Apr 2019 06:22:03 GMT"


class Repeatable(SansIOHTTPPolicy[Any, Any]):
    """Gives the recipients of a text ids of the caller's choice, before it is signed."""

    def __init__(self, request_id: str, first_sent: str | None = FIRST_SENT) -> None:
        self._ids = {"repeatabilityRequestId": request_id, "repeatabilityFirstSent": first_sent}

    def on_request(self, request: Any) -> None:
        body = json.loads(request.http_request.body)
        for recipient in body["smsRecipients"]:
            recipient.update(self._ids)
        request.http_request.set_json_body(body)


def repeatable(part: Part, request_id: str, first_sent: str | None = FIRST_SENT) -> Any:
    policies = [Repeatable(request_id, first_sent)]
    return sms_client(part, per_call_policies=policies)


def post(part: Part, texts: Any, body: Any) -> httpx.Response:
    """Whatever body, signed as the SDK signs."""
    client = texts._sms_service_client._client
    request = client.post(
        f"{part.url}/sms?api-version=2021-03-07", headers={"Content-Type": "application/json"}
    )
    request.set_json_body(body)
    answer = client._pipeline.run(request).http_response
    return httpx.Response(answer.status_code, content=answer.body())


def raw(part: Part, texts: Any, **changes: Any) -> list[dict[str, Any]]:
    body = {"from": NUMBER, "message": "text", "smsRecipients": []} | changes
    value: list[dict[str, Any]] = post(part, texts, body).json()["value"]
    return value


@pytest.mark.conforms(
    "SMS",
    "Each recipient of a text has a result of its own; a number that is not E.164 has 400 and"
    ' "Invalid To phone number format.", and the others get their text.',
    source=EXAMPLE,
)
def test_the_sdk_texts_several_recipients(texts: Any, http: httpx.Client) -> None:
    to = [number(), "015112345678", number()]
    results = texts.send(NUMBER, to, "Your parcel is here. ✓", tag="order 1001")
    assert [(result.to, result.http_status_code, result.successful) for result in results] == [
        (to[0], 202, True),
        (to[1], 400, False),
        (to[2], 202, True),
    ]
    assert results[1].error_message == "Invalid To phone number format."
    assert results[1].message_id is None
    assert results[0].message_id.startswith("Outgoing_")
    [message] = sent_to(http, to[2])
    assert message["id"] == results[2].message_id
    assert (message["channel"], message["from"], message["to"]) == ("sms", NUMBER, [to[2]])
    assert (message["text"], message["tag"]) == ("Your parcel is here. ✓", "order 1001")


async def test_the_asynchronous_sdk_texts_too(part: Part, http: httpx.Client) -> None:
    to = number()
    credential: Any = KEY  # a key is taken, whatever the annotation says
    async with AsyncSmsClient(part.url, credential) as client:
        [result] = await client.send(NUMBER, to, "text")
    assert result.successful
    assert [message["id"] for message in sent_to(http, to)] == [result.message_id]


@pytest.mark.parametrize(
    "wrong", ["", "+", "+0123456789", "+49 151 1234", "+4915a", f"+{'1' * 16}"]
)
def test_a_number_that_is_none_gets_nothing(texts: Any, http: httpx.Client, wrong: str) -> None:
    before = http.get("/overview").json()["sms"]["messages"]
    [result] = texts.send(NUMBER, wrong, "text")
    assert (result.http_status_code, result.successful) == (400, False)
    assert http.get("/overview").json()["sms"]["messages"] == before


@pytest.mark.conforms(
    "SMS",
    "The same repeatability request id is accepted again with the same message id, and nothing is"
    " sent twice.",
    source=EXAMPLE,
)
def test_repeating_a_text_sends_nothing_more(part: Part, http: httpx.Client) -> None:
    to, client = number(), repeatable(part, str(uuid.uuid4()))
    [first] = client.send(NUMBER, to, "text", enable_delivery_report=True)
    [second] = client.send(NUMBER, to, "text", enable_delivery_report=True)
    assert (second.message_id, second.http_status_code) == (first.message_id, 202)
    assert len(sent_to(http, to)) == 1


def test_the_result_of_a_repeatable_text_says_that_it_was_accepted(part: Part, texts: Any) -> None:
    recipient = {
        "to": number(),
        "repeatabilityRequestId": str(uuid.uuid4()),
        "repeatabilityFirstSent": FIRST_SENT,
    }
    [first] = raw(part, texts, smsRecipients=[recipient])
    assert first["repeatabilityResult"] == "accepted"
    assert raw(part, texts, smsRecipients=[recipient]) == [first]
    [plain] = raw(part, texts, smsRecipients=[{"to": number()}])
    assert "repeatabilityResult" not in plain


def test_a_repeatability_id_is_not_good_for_another_text(
    part: Part, texts: Any, http: httpx.Client
) -> None:
    to, request_id = number(), str(uuid.uuid4())
    repeatable(part, request_id).send(NUMBER, to, "text")
    recipient = {
        "to": to,
        "repeatabilityRequestId": request_id,
        "repeatabilityFirstSent": FIRST_SENT,
    }
    [rejected] = raw(part, texts, smsRecipients=[recipient], message="another")
    assert rejected == {
        "to": to,
        "httpStatusCode": 400,
        "errorMessage": "The repeatability-request-id was used for another request.",
        "successful": False,
        "repeatabilityResult": "rejected",
    }
    assert [message["text"] for message in sent_to(http, to)] == ["text"]


@pytest.mark.conforms(
    "SMS",
    '"Request sent with Invalid DateTime value for repeatability-first-sent. Expected is DateTime'
    ' ,RFC1123 pattern."',
    source=EXAMPLE,
)
@pytest.mark.parametrize("first_sent", [None, "", "yesterday"])
def test_a_repeatable_text_says_when_it_was_first_sent(
    part: Part, http: httpx.Client, first_sent: str | None
) -> None:
    to = number()
    [result] = repeatable(part, str(uuid.uuid4()), first_sent).send(NUMBER, to, "text")
    assert result.error_message == (
        "Request sent with Invalid DateTime value for repeatability-first-sent."
        " Expected is DateTime ,RFC1123 pattern."
    )
    assert sent_to(http, to) == []


def test_a_repeatability_id_is_a_uuid(part: Part, http: httpx.Client) -> None:
    to = number()
    [result] = repeatable(part, "order-1001").send(NUMBER, to, "text")
    assert (result.http_status_code, result.successful) == (400, False)
    assert sent_to(http, to) == []


@pytest.mark.parametrize(
    ("sender", "status"), [("+14255550123", 401), ("15000000000", 400), ("Shop", 400)]
)
def test_a_number_that_the_resource_does_not_own_sends_nothing(
    texts: Any, http: httpx.Client, sender: str, status: int
) -> None:
    to = number()
    with pytest.raises(HttpResponseError) as refusal:
        texts.send(sender, to, "text")
    assert refusal.value.status_code == status
    assert sent_to(http, to) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"smsRecipients": []}, "smsRecipients: List should have at least 1 item"),
        (
            {"smsRecipients": [{"to": "+49151"}] * 101},
            "smsRecipients: List should have at most 100",
        ),
        ({"smsRecipients": [{}]}, "smsRecipients.0.to: Field required"),
        ({"message": "x" * 2049}, "message: String should have at most 2048 characters"),
        ({"message": None}, "message: Input should be a valid string"),
        ({"smsSendOptions": {}}, "smsSendOptions.enableDeliveryReport: Field required"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(
    part: Part, texts: Any, changes: dict[str, Any], said: str
) -> None:
    body = {"from": NUMBER, "message": "text", "smsRecipients": [{"to": number()}]} | changes
    answer = post(part, texts, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(said)
