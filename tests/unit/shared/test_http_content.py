"""Bodies and query strings: what is read, and what is refused field by field."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import azure.functions as func
import pytest
from pydantic import Field, field_validator

from shared.auth import Caller, access
from shared.http import Api, Body, Call, Query

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
THING = UUID("0195a0a0-0000-7000-8000-000000000001")
SCOPE = "things.readwrite"
ANY = access(clients=SCOPE)


class Line(Body):
    sku: UUID
    quantity: Annotated[int, Field(ge=1, le=999)]


class PlaceThing(Body):
    lines: Annotated[list[Line], Field(min_length=1)]
    note: str | None = None
    wanted_at: datetime | None = None

    @field_validator("note")
    @classmethod
    def _polite(cls, note: str | None) -> str | None:
        if note == "rude":
            raise ValueError("Be polite")
        return note


class ListThings(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    text: str | None = None
    placed_from: datetime | None = None


class Alice:
    """Whoever calls is Alice."""

    async def authenticate(self, authorization: str | None) -> Caller:  # noqa: ARG002 - as asked
        return Caller("client", ALICE, scopes=frozenset({SCOPE}))


@pytest.fixture
def api() -> Api:
    return Api(Alice())


def request(
    method: str = "POST",
    *,
    body: Any = None,
    raw: bytes = b"",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> func.HttpRequest:
    """A request; `body` is sent as JSON, `raw` as it is."""
    return func.HttpRequest(
        method,
        "https://platform.test/api/v1/things",
        headers={"content-type": "application/json"} | dict(headers or {}),
        params=dict(query or {}),
        body=raw if body is None else json.dumps(body).encode(),
    )


def problem_of(response: func.HttpResponse) -> dict[str, Any]:
    assert response.mimetype == "application/problem+json"
    document: dict[str, Any] = json.loads(response.get_body())
    return document


def place_thing(api: Api, seen: list[Call[PlaceThing, None]] | None = None) -> Any:
    """An operation with a body that keeps its calls in `seen`."""

    @api.operation(body=PlaceThing, access=ANY)
    async def place_thing(call: Call[PlaceThing, None]) -> None:
        if seen is not None:
            seen.append(call)

    return place_thing


GOOD = {"lines": [{"sku": str(THING), "quantity": 2}]}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"lines": [}',
        b'{"lines": []} {}',
        b"{'lines': []}",
        b'{"note": NaN}',
        b'{"note": -Infinity}',
        b'{"note": "a", "note": "b"}',
        b'{"lines": [{"quantity": 1, "quantity": 2}]}',
        b'{"note": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"note": ' + b"1" * 5000 + b"}",
        b'{"note": "\x00"}',
    ],
    ids=lambda raw: raw[:20].decode("latin-1"),
)
async def test_broken_json_is_refused(api: Api, raw: bytes) -> None:
    seen: list[Call[PlaceThing, None]] = []
    response = await place_thing(api, seen)(request(raw=raw))
    assert (response.status_code, problem_of(response)["code"]) == (400, "malformed-json")
    assert seen == []


MISSING, FORBIDDEN_EXTRA = "Field required", "Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("lines", MISSING)]),
        ([], [("", "Input should be an object")]),
        ({"lines": []}, [("lines", "List should have at least 1 item after validation, not 0")]),
        ({"lines": [{"sku": str(THING)}]}, [("lines.0.quantity", MISSING)]),
        (
            {"lines": [{"sku": str(THING), "quantity": 0}]},
            [("lines.0.quantity", "Input should be greater than or equal to 1")],
        ),
        (
            {"lines": [{"sku": str(THING), "quantity": 10**9}]},
            [("lines.0.quantity", "Input should be less than or equal to 999")],
        ),
        (
            {"lines": [{"sku": str(THING), "quantity": "2"}]},
            [("lines.0.quantity", "Input should be a valid integer")],
        ),
        (
            {"lines": [{"sku": str(THING), "quantity": True}]},
            [("lines.0.quantity", "Input should be a valid integer")],
        ),
        (
            {"lines": [{"sku": "secret-value", "quantity": 1}]},
            [("lines.0.sku", "Input should be a valid UUID")],
        ),
        (GOOD | {"wanted_at": "secret"}, [("wanted_at", "Input should be a valid datetime")]),
        (GOOD | {"admin": True}, [("admin", FORBIDDEN_EXTRA)]),
        (GOOD | {"note": "rude"}, [("note", "Be polite")]),
        (GOOD | {"note": "a\0b"}, [("note", "Text is not valid")]),
        (GOOD | {"note": "\ud800"}, [("note", "Text is not valid")]),
        (GOOD | {"n\0": 1}, [("", "Text is not valid")]),
    ],
    ids=str,
)
async def test_a_body_that_breaks_the_rules_is_refused_field_by_field(
    api: Api, body: Any, errors: list[tuple[str, str]]
) -> None:
    seen: list[Call[PlaceThing, None]] = []
    response = await place_thing(api, seen)(request(body=body))
    document = problem_of(response)
    assert (response.status_code, document["code"]) == (400, "invalid-request")
    assert [(error["field"], error["message"]) for error in document["errors"]] == errors
    assert b"secret" not in response.get_body()
    assert seen == []


async def test_characters_beyond_the_basic_plane_are_text(api: Api) -> None:
    seen: list[Call[PlaceThing, None]] = []
    await place_thing(api, seen)(request(body=GOOD | {"note": "🍵 \\u0000"}))
    assert seen[0].body.note == "🍵 \\u0000"


async def test_only_so_many_errors_are_named(api: Api) -> None:
    response = await place_thing(api)(request(body={f"field{n}": 1 for n in range(1000)}))
    assert len(problem_of(response)["errors"]) == 20


async def test_a_body_may_have_256_kib_and_no_byte_more(api: Api) -> None:
    full = json.dumps(GOOD).encode().ljust(256 * 1024)
    assert (await place_thing(api)(request(raw=full))).status_code == 200
    response = await Api(Alice()).operation(access=ANY)(_nothing)(request(raw=full + b" "))
    assert problem_of(response)["code"] == "body-too-large"
    response = await place_thing(Api(Alice()))(request(raw=full + b" "))
    assert (response.status_code, problem_of(response)["limit_bytes"]) == (413, 262144)


async def _nothing(_call: Call[None, None]) -> None: ...


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json;charset="utf-8"', 200),
        ("application/json; charset=utf-16", 415),
        ("application/merge-patch+json", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
async def test_bodies_are_json_in_utf8(api: Api, content_type: str, status: int) -> None:
    response = await place_thing(api)(request(body=GOOD, headers={"content-type": content_type}))
    assert response.status_code == status
    if status == 415:
        assert problem_of(response)["code"] == "unsupported-media-type"


async def test_an_operation_without_a_body_takes_none(api: Api) -> None:
    response = await api.operation(access=ANY)(_nothing)(request(body={}))
    assert problem_of(response)["code"] == "invalid-request"


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"limit": "0"}, "limit", "Input should be greater than or equal to 1"),
        ({"limit": "many"}, "limit", "Input should be a valid integer"),
        ({"limit": "1,2"}, "limit", "Input should be a valid integer"),
        ({"placed_from": "secret"}, "placed_from", "Input should be a valid datetime or date"),
        ({"admin": "true"}, "admin", FORBIDDEN_EXTRA),
        ({"text": "a\0"}, "text", "Text is not valid"),
    ],
)
async def test_a_query_that_breaks_the_rules_is_refused(
    api: Api, query: dict[str, str], field: str, message: str
) -> None:
    @api.operation(query=ListThings, access=ANY)
    async def list_things(_call: Call[None, ListThings]) -> None: ...

    document = problem_of(await list_things(request("GET", query=query)))
    assert (document["code"], document["errors"]) == (
        "invalid-request",
        [{"field": field, "message": message}],
    )


async def test_a_query_is_read_with_its_types(api: Api) -> None:
    @api.operation(query=ListThings, returns=ListThings, access=ANY)
    async def list_things(call: Call[None, ListThings]) -> ListThings:
        return call.query

    query = {"limit": "7", "placed_from": "2026-01-02T03:04:05Z"}
    response = await list_things(request("GET", query=query))
    assert response.get_body() == b'{"limit":7,"text":null,"placed_from":"2026-01-02T03:04:05Z"}'


async def test_an_operation_without_a_query_takes_no_parameters(api: Api) -> None:
    response = await place_thing(api)(request(body=GOOD, query={"debug": "1"}))
    assert problem_of(response)["errors"] == [{"field": "debug", "message": FORBIDDEN_EXTRA}]
