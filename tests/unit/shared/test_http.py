"""HTTP functions as the worker calls them: what comes in, what goes out, to the byte."""

import inspect
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import azure.functions as func
import psycopg
import pytest
from psycopg_pool import PoolTimeout, TooManyRequests
from pydantic import BaseModel

from shared.auth import ANYONE, EMPLOYEES, Caller, access
from shared.http import Api, Body, Call, Page, Reply, etag_of
from shared.idempotency import IdempotencyKey
from shared.problem import NotFound, PartnerUnavailable, Problem, TokenMissing

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
THING = UUID("0195a0a0-0000-7000-8000-000000000001")
SCOPE = "things.readwrite"
ANY = access(clients=SCOPE)


class SkuNotSold(Problem):
    status, code = 409, "sku-not-sold"


class Line(Body):
    sku: UUID
    quantity: int


class PlaceThing(Body):
    lines: list[Line]
    note: str | None = None


class Thing(BaseModel):
    id: UUID
    name: str
    made_at: datetime


class Directory:
    """Knows Alice by the header `Bearer alice`."""

    async def authenticate(self, authorization: str | None) -> Caller:
        if authorization is None:
            raise TokenMissing("this needs an access token in the Authorization header")
        return Caller("client", ALICE, scopes=frozenset({SCOPE}))


@pytest.fixture
def api() -> Api:
    return Api(Directory())


def request(
    method: str = "POST",
    *,
    body: Any = None,
    raw: bytes = b"",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    path: Mapping[str, str] | None = None,
) -> func.HttpRequest:
    """Alice's request; `body` is sent as JSON, `raw` as it is."""
    given = {
        "authorization": "Bearer alice",
        "content-type": "application/json",
        "x-correlation-id": "c-1",
    }
    return func.HttpRequest(
        method,
        "https://platform.test/api/v1/things",
        headers=given | dict(headers or {}),
        params=dict(query or {}),
        route_params=dict(path or {}),
        body=raw if body is None else json.dumps(body).encode(),
    )


def problem_of(response: func.HttpResponse) -> dict[str, Any]:
    """The problem document, whose standard members must agree with the response."""
    assert response.mimetype == "application/problem+json"
    document: dict[str, Any] = json.loads(response.get_body())
    assert document["status"] == response.status_code
    assert document["type"] == f"urn:problem-type:order-platform:{document['code']}"
    assert document["correlation_id"] == response.headers["x-correlation-id"]
    return document


def place_thing(api: Api, seen: list[Call[PlaceThing, None]] | None = None, **options: Any) -> Any:
    """An operation with a body that keeps its calls in `seen`."""

    @api.operation(body=PlaceThing, access=ANY, **options)
    async def place_thing(call: Call[PlaceThing, None]) -> None:
        if seen is not None:
            seen.append(call)

    return place_thing


def raising(api: Api, fault: Exception) -> Any:
    @api.operation(access=ANY)
    async def raising(_call: Call[None, None]) -> None:
        raise fault

    return raising


GOOD = {"lines": [{"sku": str(THING), "quantity": 2}]}


async def test_an_answer_is_exact_to_the_byte(api: Api) -> None:
    @api.operation(returns=Thing, status=201, access=ANY)
    async def make_thing(_call: Call[None, None]) -> Reply[Thing]:
        thing = Thing(id=THING, name="Käse", made_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        return Reply(thing, etag=etag_of(7), location=f"/api/v1/things/{THING}")

    response = await make_thing(request())

    assert response.status_code == 201
    assert response.get_body() == (
        b'{"id":"0195a0a0-0000-7000-8000-000000000001","name":"K\xc3\xa4se",'
        b'"made_at":"2026-01-02T03:04:05Z"}'
    )
    assert response.mimetype == "application/json"
    assert dict(response.headers) == {
        "X-Correlation-Id": "c-1",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "ETag": '"7"',
        "Location": f"/api/v1/things/{THING}",
    }


async def test_a_problem_is_exact_to_the_byte(api: Api) -> None:
    response = await raising(api, SkuNotSold("not sold: TEA", skus=["TEA"]))(request())
    assert response.status_code == 409
    assert json.loads(response.get_body()) == {
        "skus": ["TEA"],
        "type": "urn:problem-type:order-platform:sku-not-sold",
        "title": "Sku not sold",
        "status": 409,
        "detail": "not sold: TEA",
        "code": "sku-not-sold",
        "correlation_id": "c-1",
    }
    assert dict(response.headers) == {
        "X-Correlation-Id": "c-1",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


async def test_a_problem_s_members_cannot_be_overwritten(api: Api) -> None:
    response = await raising(api, SkuNotSold("no", status=200, code="fine"))(request())
    assert (problem_of(response)["status"], problem_of(response)["code"]) == (409, "sku-not-sold")


async def test_an_operation_without_an_answer_has_an_empty_body(api: Api) -> None:
    response = await place_thing(api, status=202)(request(body=GOOD))
    assert (response.status_code, response.get_body()) == (202, b"")


async def test_a_plain_value_is_an_answer(api: Api) -> None:
    @api.operation(returns=Page[int], access=ANY)
    async def list_numbers(_call: Call[None, None]) -> Page[int]:
        return Page[int](items=[1, 2], next_cursor=None)

    response = await list_numbers(request("GET"))
    assert response.get_body() == b'{"items":[1,2],"next_cursor":null}'


def test_the_worker_sees_a_plain_coroutine_function_of_one_request(api: Api) -> None:
    """The worker indexes by name and signature; a followed __wrapped__ would show `call`."""

    @api.operation(access=ANY)
    async def get_thing(_call: Call[None, None]) -> None:
        """One thing.

        More about it.
        """

    assert inspect.iscoroutinefunction(get_thing)
    assert list(inspect.signature(get_thing).parameters) == ["req"]
    assert get_thing.__name__ == "get_thing"
    assert get_thing.__doc__ == "One thing.\n\nMore about it.\n"
    operation = api.registry["get_thing"]
    assert (operation.summary, operation.description) == ("One thing.", "More about it.")


def test_names_of_operations_are_unique(api: Api) -> None:
    place_thing(api)
    with pytest.raises(ValueError, match="two operations are named place_thing"):
        place_thing(api)


def test_a_model_that_takes_unknown_fields_is_refused(api: Api) -> None:
    with pytest.raises(TypeError, match="Thing must refuse unknown fields"):
        api.operation(body=Thing, access=ANY)


async def test_a_call_carries_what_was_sent(api: Api) -> None:
    seen: list[Call[PlaceThing, None]] = []
    function = place_thing(api, seen, idempotency_key=True, if_match=True)
    headers = {"Idempotency-Key": "k-1", "If-Match": '"3"'}

    response = await function(request(body=GOOD, headers=headers, path={"thing_id": str(THING)}))

    assert response.status_code == 200
    (call,) = seen
    assert call.caller.id == ALICE
    assert call.body == PlaceThing(lines=[Line(sku=THING, quantity=2)])
    assert call.uuid("thing_id") == THING
    assert call.if_match == '"3"'
    assert call.correlation_id == "c-1"
    assert call.idempotency == IdempotencyKey(
        ALICE, "place_thing", "k-1", call.idempotency.fingerprint
    )


async def test_a_fingerprint_is_of_the_meaning_and_the_path(api: Api) -> None:
    seen: list[Call[PlaceThing, None]] = []
    function = place_thing(api, seen, idempotency_key=True)
    key = {"Idempotency-Key": "k-1"}
    line = f'{{"quantity": 2, "sku": "{THING}"}}'
    await function(request(body=GOOD, headers=key))
    await function(request(raw=f'{{ "note": null, "lines": [{line}]}}'.encode(), headers=key))
    await function(request(body=GOOD | {"note": "x"}, headers=key))
    await function(request(body=GOOD, headers=key, path={"thing_id": str(THING)}))
    same, spelled_otherwise, other_body, other_path = [c.idempotency.fingerprint for c in seen]
    assert same == spelled_otherwise
    assert len({same, other_body, other_path}) == 3


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_only_a_get_is_answered_with_not_modified(api: Api, method: str) -> None:
    @api.operation(returns=int, access=ANY)
    async def get_number(_call: Call[None, None]) -> Reply[int]:
        return Reply(1, etag='"7"')

    response = await get_number(request(method, headers={"If-None-Match": '"7"'}))
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [('"7"', 304), ('W/"7"', 304), ('"6", "7"', 304), ("*", 304), ('"6"', 200), ("7", 200)],
)
async def test_what_the_caller_has_is_not_sent_again(
    api: Api, if_none_match: str, status: int
) -> None:
    @api.operation(returns=int, access=ANY)
    async def get_number(_call: Call[None, None]) -> Reply[int]:
        return Reply(1, etag='"7"')

    response = await get_number(request("GET", headers={"If-None-Match": if_none_match}))
    assert response.status_code == status
    assert response.headers["ETag"] == '"7"'
    assert response.get_body() == (b"" if status == 304 else b"1")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc-1._X", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("a b", False),
        ("ä", False),
        ("", False),
    ],
)
async def test_a_sane_correlation_id_is_kept(api: Api, sent: str, kept: bool) -> None:
    response = await place_thing(api)(request(body=GOOD, headers={"x-correlation-id": sent}))
    answered = response.headers["X-Correlation-Id"]
    assert (answered == sent) is kept
    assert kept or UUID(answered).version == 7


async def test_a_stranger_is_refused_before_anything_is_read(api: Api) -> None:
    anonymous = func.HttpRequest("POST", "https://platform.test/", body=b"{broken")
    response = await place_thing(api)(anonymous)
    assert problem_of(response)["code"] == "token-missing"
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_caller_without_access_is_refused(api: Api) -> None:
    @api.operation(access=access(employees=EMPLOYEES))
    async def for_employees(_call: Call[None, None]) -> None: ...

    response = await for_employees(request())
    assert (response.status_code, problem_of(response)["code"]) == (403, "forbidden")


async def test_an_operation_open_to_anyone_asks_for_no_token(api: Api) -> None:
    @api.operation(returns=str, access=ANYONE)
    async def say_kind(call: Call[None, None]) -> str:
        return call.caller.kind

    response = await say_kind(func.HttpRequest("GET", "https://platform.test/", body=b""))
    assert response.get_body() == b'"anonymous"'


@pytest.mark.parametrize("key", [None, "", " ", "a b", "ä", "a" * 256, "a\x7f"])
async def test_an_idempotency_key_must_be_there_and_in_shape(api: Api, key: str | None) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    response = await place_thing(api, idempotency_key=True)(request(body=GOOD, headers=headers))
    assert problem_of(response)["code"] == "idempotency-key-required"
    assert response.status_code == 400


@pytest.mark.parametrize("if_match", [None, "", "*"])
async def test_a_change_must_name_a_version(api: Api, if_match: str | None) -> None:
    headers = {} if if_match is None else {"If-Match": if_match}
    response = await place_thing(api, if_match=True)(request(body=GOOD, headers=headers))
    assert (response.status_code, problem_of(response)["code"]) == (428, "etag-required")


async def test_an_id_that_is_none_names_nothing(api: Api) -> None:
    @api.operation(access=ANY)
    async def get_thing(call: Call[None, None]) -> None:
        call.uuid("thing_id")

    response = await get_thing(request("GET", path={"thing_id": "7"}))
    assert (response.status_code, problem_of(response)["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    "fault",
    [
        psycopg.OperationalError("host db.internal is down"),
        psycopg.errors.DeadlockDetected("deadlock"),
        psycopg.errors.QueryCanceled("timeout"),
        PoolTimeout("none free"),
        TooManyRequests("too many wait"),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_database_that_is_away_is_worth_another_try(api: Api, fault: Exception) -> None:
    response = await raising(api, fault)(request())
    assert (response.status_code, problem_of(response)["code"]) == (503, "service-unavailable")
    assert response.headers["Retry-After"] == "2"
    assert b"db.internal" not in response.get_body()


async def test_a_partner_that_is_away_is_worth_another_try(api: Api) -> None:
    response = await raising(api, PartnerUnavailable("no rates now", retry_after_s=9))(request())
    assert (response.status_code, problem_of(response)["code"]) == (503, "partner-unavailable")
    assert response.headers["Retry-After"] == "9"


async def test_a_fault_is_logged_without_the_values_it_choked_on(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        response = await raising(api, RuntimeError("alice@clients.example"))(request())
    assert problem_of(response)["code"] == "internal-error"
    assert problem_of(response)["detail"] == "something went wrong; quote the correlation id"
    (record,) = caplog.records
    assert record.getMessage().startswith("raising: builtins.RuntimeError | ")
    assert record.getMessage().endswith(" correlation_id=c-1")
    assert "alice" not in caplog.text + response.get_body().decode()


async def test_a_refusal_with_headers_of_its_own_keeps_the_common_ones(api: Api) -> None:
    response = await raising(api, NotFound("no such thing"))(request())
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


class Scribe:
    """Notes who wrote."""

    def __init__(self) -> None:
        self.writers: list[UUID] = []

    async def wrote(self, caller_id: UUID) -> None:
        self.writers.append(caller_id)


@pytest.mark.parametrize(
    ("method", "safe", "writers"),
    [("POST", False, [ALICE]), ("DELETE", False, [ALICE]), ("POST", True, []), ("GET", False, [])],
)
async def test_whoever_may_have_changed_something_is_noted(
    method: str, safe: bool, writers: list[UUID]
) -> None:
    scribe = Scribe()
    api = Api(Directory(), wrote=scribe.wrote)

    @api.operation(access=ANY, safe=safe)
    async def touch(call: Call[None, None]) -> None:
        """Touch."""

    await touch(func.HttpRequest(method, "/x", headers={"authorization": "Bearer alice"}, body=b""))

    assert scribe.writers == writers


async def test_a_write_that_fails_is_noted_too() -> None:
    scribe = Scribe()
    api = Api(Directory(), wrote=scribe.wrote)

    @api.operation(access=ANY, raises=(SkuNotSold,))
    async def touch(call: Call[None, None]) -> None:  # noqa: ARG001
        """Touch."""
        raise SkuNotSold("not sold")

    answer = await touch(
        func.HttpRequest("POST", "/x", headers={"authorization": "Bearer alice"}, body=b"")
    )

    assert (answer.status_code, scribe.writers) == (409, [ALICE])
