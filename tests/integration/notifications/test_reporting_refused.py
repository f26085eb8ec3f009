"""What comes instead of a delivery report is refused, and no address is written anywhere."""

import json
import logging
from typing import Any
from uuid import uuid4

import pytest

from shared.inbox import Rejected
from tests.integration.notifications.grid import receive, report, sent
from tests.integration.notifications.outbound import Outbound
from tests.integration.shared.deliveries import message


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}


SECRET = "secret.person@clients.example"
GOOD = report("an id", SECRET, "Delivered", id="an-event")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed: json_invalid"),
        (b"\xff{", "malformed: json_invalid"),
        (b"[" * 100_000, "malformed: json_invalid"),
        (f'"{SECRET}"'.encode(), "malformed: model_type"),
        (json.dumps([GOOD, GOOD]).encode(), "malformed: model_type"),
        (json.dumps(without(GOOD, "id")).encode(), "malformed: id missing"),
        (
            json.dumps(GOOD | {"id": f"{SECRET} \0"}).encode(),
            "malformed: id string_pattern_mismatch",
        ),
        (json.dumps(without(GOOD, "eventType")).encode(), "malformed: type missing"),
        (json.dumps(GOOD | {"data": SECRET}).encode(), "malformed: data dict_type"),
        (
            json.dumps(GOOD | {"data": without(GOOD["data"], "recipient")}).encode(),
            "malformed: recipient missing",
        ),
        (
            json.dumps(GOOD | {"data": GOOD["data"] | {"recipient": f"\ud800{SECRET}"}}).encode(),
            "malformed: recipient string_unicode",
        ),
        (
            json.dumps(GOOD | {"data": GOOD["data"] | {"messageId": "\0"}}).encode(),
            "malformed: messageId string_pattern_mismatch",
        ),
        (
            json.dumps(GOOD | {"eventType": "Microsoft.Communication.SMSReceived"}).encode(),
            "unknown type: Microsoft.Communication.SMSReceived",
        ),
    ],
)
async def test_what_is_no_report_is_refused_and_the_reason_names_nobody(
    body: bytes, reason: str, outbound: Outbound, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    id_ = str(uuid4())

    with pytest.raises(Rejected):
        await outbound.reporting.receive(message(body, message_id=id_))

    rows = await outbound.rows(
        "SELECT consumer, reason FROM messaging.rejections WHERE message_id = %s", id_
    )
    assert rows == [{"consumer": "delivery-reports", "reason": reason}]
    assert "secret.person" not in caplog.text


async def test_the_address_of_a_report_is_kept_nowhere(
    outbound: Outbound, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    anna = outbound.people.meet()
    _, key = await sent(outbound, anna)

    detail = f"550 5.1.1 <{anna.email}> unknown"
    await receive(outbound, report(key, anna.email, f"Bounced {anna.email}", detail))
    await receive(outbound, report(key, anna.email, "Bounced", detail))

    assert anna.email not in await outbound.everything_written() + caplog.text
