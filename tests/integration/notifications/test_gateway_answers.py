"""Answers that a provider should not give, or gives rarely: each is understood, or is a fault."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from uuid_utils.compat import uuid7

from blueprints.notifications.delivery_models import (
    Accepted,
    Answer,
    ProviderFault,
    Refused,
    Throttled,
)
from blueprints.notifications.models import Mail
from tests.integration.notifications.outbound import email_gateway, sms_gateway

MAIL = Mail("Subject", "Text", "<p>Text</p>")


@dataclass
class Oracle:
    """A server whose answers are told to it: to POST, and to GET."""

    url: str = ""
    post: web.Response = field(default_factory=web.Response)
    get: web.Response = field(default_factory=web.Response)
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.method)
        said = self.post if request.method == "POST" else self.get
        # An answer can be given once only.
        return web.Response(status=said.status, body=said.body, headers=said.headers)


@pytest.fixture
async def oracle() -> AsyncIterator[Oracle]:
    told = Oracle()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", told.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield told
    await runner.cleanup()


async def mail(oracle: Oracle) -> Answer:
    gateway = email_gateway(oracle.url)
    try:
        return await gateway.send(MAIL, to="anna@clients.example", name="Anna", key=uuid7())
    finally:
        await gateway.close()


async def text(oracle: Oracle) -> Answer:
    gateway = sms_gateway(oracle.url)
    tried_at = datetime(2026, 11, 24, tzinfo=UTC)
    try:
        return await gateway.send("Hi.", to="+4915112345", key=uuid7(), first_tried_at=tried_at)
    finally:
        await gateway.close()


def refused(code: str, status: int = 400) -> web.Response:
    said = {"error": {"code": code, "message": "anna@clients.example is bad", "target": "to"}}
    return web.json_response(said, status=status)


async def test_an_address_on_the_providers_list_is_suppressed(oracle: Oracle) -> None:
    oracle.post = refused("EmailDroppedAllRecipientsSuppressed")

    assert await mail(oracle) == Refused("suppressed by the provider", suppressed=True)
    assert oracle.asked == ["POST"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refused("InvalidRecipient"), "refused: InvalidRecipient"),
        (refused("anna@clients.example"), "refused: status 400"),
        (refused("TooLarge", 413), "refused: TooLarge"),
        (web.Response(status=422, text="<html>anna@clients.example</html>"), "refused: status 422"),
        (web.json_response({"error": "anna@clients.example"}, status=400), "refused: status 400"),
        (web.json_response([1], status=400), "refused: status 400"),
    ],
    ids=["a code", "an address as code", "too large", "no json", "another shape", "a list"],
)
async def test_a_refusal_is_named_by_its_code_alone(
    answer: web.Response, reason: str, oracle: Oracle
) -> None:
    oracle.post, oracle.get = answer, web.Response(status=404)

    assert await mail(oracle) == Refused(reason)
    assert oracle.asked == ["POST", "GET"]


async def test_a_conflict_with_a_mail_that_was_taken_is_that_mail(oracle: Oracle) -> None:
    oracle.post = refused("Conflict", 409)
    oracle.get = web.json_response({"id": "x", "status": "Running"})

    assert isinstance(await mail(oracle), Accepted)


async def test_a_refusal_that_cannot_be_looked_into_is_a_fault(oracle: Oracle) -> None:
    oracle.post, oracle.get = refused("BadRequest"), web.Response(status=500)

    with pytest.raises(ProviderFault, match="status 500"):
        await mail(oracle)


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "{}"])
async def test_a_mail_is_taken_whatever_is_said_along_with_it(body: str, oracle: Oracle) -> None:
    oracle.post = web.Response(status=202, text=body, content_type="application/json")

    assert isinstance(await mail(oracle), Accepted)


def result(**facts: Any) -> dict[str, Any]:
    return {"value": [{"to": "+4915112345", "httpStatusCode": 202, "successful": True} | facts]}


def failed(status: int) -> dict[str, Any]:
    return result(httpStatusCode=status, successful=False, errorMessage="+4915112345 is bad")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"value": null}',
        '{"value": 3}',
        '{"value": []}',
        json.dumps({"value": result()["value"] * 2}),
        '{"value": ["x"]}',
        json.dumps(failed(500)),
        json.dumps(failed(401)),
    ],
)
async def test_a_text_of_which_nobody_says_what_became_is_a_fault(
    body: str, oracle: Oracle
) -> None:
    oracle.post = web.Response(status=202, text=body, content_type="application/json")

    with pytest.raises(ProviderFault):
        await text(oracle)


async def test_each_recipient_of_a_text_has_an_answer_of_its_own(oracle: Oracle) -> None:
    oracle.post = web.json_response(failed(400), status=202)
    assert await text(oracle) == Refused("refused: status 400")

    oracle.post = web.json_response(failed(429), status=202)
    with pytest.raises(Throttled):
        await text(oracle)

    oracle.post = web.json_response(result(messageId="Outgoing_1"), status=202)
    assert await text(oracle) == Accepted("Outgoing_1")


async def test_nobody_follows_a_redirect_with_an_address_in_hand(oracle: Oracle) -> None:
    oracle.post = web.Response(status=307, headers={"Location": "/elsewhere"})

    for send in (mail, text):
        with pytest.raises(ProviderFault, match=r"^status 307$"):
            await send(oracle)
    assert oracle.asked == ["POST", "POST"]
