"""What a partner sends counts when it is signed over these very bytes, a moment ago."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from pydantic import BaseModel, SecretStr

from shared.auth import ANYONE, PARTNER, Caller
from shared.http import Api, Call
from shared.problem import Problem, ServiceUnavailable, SignatureExpired, SignatureInvalid
from shared.secrets import Secrets
from shared.secrets.environment import Environment
from shared.webhooks import Signatures
from tests.rig.secrets import known

KEY, OTHER = "a-key-of-the-partner", "the-key-that-follows"
NOW = 1_764_000_000
BODY = b'{"id": "evt_1",  "type": "thing.moved", "more": "\xc3\xa9"}'


def sign(body: bytes = BODY, *, at: int = NOW, key: str = KEY) -> str:
    return hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def header(body: bytes = BODY, *, at: int = NOW, key: str = KEY) -> str:
    return f"t={at},v1={sign(body, at=at, key=key)}"


def signatures(keys: str = KEY) -> Signatures:
    return Signatures(known(keys), clock=lambda: NOW)


@pytest.mark.parametrize("at", [NOW, NOW - 300, NOW + 300])
async def test_a_signature_of_a_moment_ago_is_good(at: int) -> None:
    await signatures().check(f" {header(at=at)} ", BODY)


@pytest.mark.parametrize("at", [NOW - 301, NOW + 301, 0])
async def test_an_old_one_is_refused_as_such(at: int) -> None:
    with pytest.raises(SignatureExpired):
        await signatures().check(header(at=at), BODY)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        sign(),
        f"v1={sign()}",
        f"t={NOW}",
        f"t={NOW},v1=",
        f"t={NOW},v0={sign()}",
        f"t={NOW},v1={sign().upper()}",
        f"t={NOW},v1={sign()[:-1]}",
        f"t={NOW},v1={sign()},v1={sign()},v1={sign()}",
        f"t={NOW}, v1={sign()}",
        f"t=-{NOW},v1={sign()}",
        f"t={NOW + 1},v1={sign()}",
        f"t=0{NOW},v1={sign()}",
        f"t=\u0661,v1={sign()}",
        header(BODY + b" "),
        header(b""),
        header(key=OTHER),
        header(at=NOW - 10_000, key=OTHER),
    ],
)
async def test_anything_else_proves_nothing(sent: str | None) -> None:
    with pytest.raises(SignatureInvalid):
        await signatures().check(sent, BODY)


async def test_while_the_key_is_changed_both_count_on_either_side() -> None:
    both = signatures(f"{OTHER}, {KEY}")

    await both.check(header(), BODY)
    await both.check(header(key=OTHER), BODY)
    await signatures().check(f"t={NOW},v1={sign(key=OTHER)},v1={sign()}", BODY)
    with pytest.raises(SignatureInvalid):
        await both.check(header(key=f"{OTHER}, {KEY}"), BODY)


async def test_a_key_that_was_changed_meanwhile_is_asked_for() -> None:
    settings = SimpleNamespace(key=SecretStr(KEY))
    checks = Signatures(Secrets(Environment(settings)).named("key"), clock=lambda: NOW)
    await checks.check(header(), BODY)

    settings.key = SecretStr(OTHER)

    await checks.check(header(key=OTHER), BODY)
    with pytest.raises(SignatureInvalid):
        await checks.check(header(), BODY)


@pytest.mark.parametrize("keys", ["", ",", "short", f"{KEY},short", f"{KEY},{OTHER},{KEY}1"])
async def test_without_a_proper_key_nothing_is_checked_and_nothing_let_in(keys: str) -> None:
    with pytest.raises(ServiceUnavailable):
        await signatures(keys).check(header(key=keys), BODY)


class Notice(BaseModel):
    id: str
    type: str


class Nobody:
    async def authenticate(self, authorization: str | None) -> Caller:
        raise AssertionError(authorization)


async def sent(body: bytes, headers: Mapping[str, str]) -> tuple[int, Any, list[Notice]]:
    """Status and problem of the answer, and what reached the handler."""
    api, taken = Api(Nobody()), list[Notice]()

    @api.operation(access=PARTNER, body=Notice, status=204, signed=signatures())
    async def take_notice(call: Call[Notice, None]) -> None:
        """Take notice."""
        assert call.caller.kind == "partner"
        taken.append(call.body)

    request = func.HttpRequest(
        "POST",
        "https://platform.test/",
        headers={"content-type": "application/json"} | dict(headers),
        body=body,
    )
    response = await take_notice(request)
    return response.status_code, json.loads(response.get_body() or "null"), taken


async def test_a_signed_notice_is_taken_with_fields_that_we_do_not_know() -> None:
    status, problem, taken = await sent(BODY, {"webhook-signature": header()})

    assert (status, problem, taken) == (204, None, [Notice(id="evt_1", type="thing.moved")])


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (BODY, {}, 401, "signature-invalid"),
        (BODY, {"authorization": "Bearer x"}, 401, "signature-invalid"),
        (BODY + b" ", {"webhook-signature": header()}, 401, "signature-invalid"),
        (BODY, {"webhook-signature": header(at=NOW - 301)}, 401, "signature-expired"),
        (b"{", {"webhook-signature": header(b"{")}, 400, "malformed-json"),
        (b"{}", {"webhook-signature": header(b"{}")}, 400, "invalid-request"),
        (b" " * 262_145, {"webhook-signature": header(b" " * 262_145)}, 413, "body-too-large"),
    ],
)
async def test_what_is_not_signed_or_not_a_notice_never_gets_to_the_handler(
    body: bytes, headers: Mapping[str, str], status: int, code: str
) -> None:
    answered, problem, taken = await sent(body, headers)

    assert (answered, problem["code"], taken) == (status, code, [])


@pytest.mark.parametrize("refusal", [SignatureInvalid, SignatureExpired])
def test_a_refusal_names_what_is_asked_for(refusal: type[Problem]) -> None:
    assert refusal("no").headers() == {"WWW-Authenticate": 'Webhook-Signature realm="webhooks"'}


def test_partners_operations_are_signed_and_no_others() -> None:
    api = Api(Nobody())

    with pytest.raises(TypeError):
        api.operation(access=PARTNER)
    with pytest.raises(TypeError):
        api.operation(access=ANYONE, signed=signatures())
