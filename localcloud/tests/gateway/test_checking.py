"""Requests are held against the OpenAPI description of their operation."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.gateway.bodies import RequestBody
from localcloud.gateway.checking import OpenApiContract
from localcloud.gateway.documents import Document
from localcloud.gateway.policy import Violation
from localcloud.gateway.policy.context import Api, Context, Request
from localcloud.gateway.policy.faults import PolicyFault
from localcloud.gateway.policy.headers import Headers

DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "paths": {
        "/orders/{order_id}": {
            "parameters": [
                {"$ref": "#/components/parameters/OrderId"},
            ],
            "get": {
                "operationId": "get_order",
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"$ref": "#/components/schemas/N"}},
                    {"name": "status", "in": "query", "schema": {"type": "string", "enum": ["a"]}},
                    {"name": "on", "in": "query", "schema": {"type": "boolean"}},
                    {
                        "name": "since",
                        "in": "query",
                        "schema": {"type": "string", "format": "date-time", "nullable": True},
                    },
                    {
                        "name": "ids",
                        "in": "query",
                        "schema": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
                    },
                    {
                        "name": "tags",
                        "in": "query",
                        "explode": False,
                        "schema": {"type": "array", "items": {"type": "string", "maxLength": 2}},
                    },
                    {"name": "If-Match", "in": "header", "schema": {"type": "string"}},
                    {"name": "Authorization", "in": "header", "schema": {"type": "integer"}},
                ],
            },
            "post": {
                "operationId": "change_order",
                "parameters": [
                    {
                        "name": "Idempotency-Key",
                        "in": "header",
                        "required": True,
                        "schema": {"type": "string", "maxLength": 8},
                    },
                    {"name": "q", "in": "query", "required": True, "schema": {"type": "string"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Change"}}
                    },
                },
            },
        }
    },
    "components": {
        "parameters": {
            "OrderId": {
                "name": "order_id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "format": "uuid"},
            }
        },
        "schemas": {
            "N": {"type": "integer", "minimum": 1, "maximum": 100},
            "Line": {
                "type": "object",
                "additionalProperties": False,
                "required": ["quantity"],
                "properties": {"quantity": {"$ref": "#/components/schemas/N"}},
            },
            "Change": {
                "type": "object",
                "additionalProperties": False,
                "required": ["lines"],
                "properties": {
                    "lines": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"$ref": "#/components/schemas/Line"},
                    },
                    "note": {"type": "string", "maxLength": 3, "pattern": "^[a-z]+$"},
                    "gift": {
                        "nullable": True,
                        "allOf": [{"$ref": "#/components/schemas/Line"}],
                    },
                    "nullable": {"type": "boolean"},
                },
            },
        },
    },
}
ID = "018f6a1e-0000-7000-8000-000000000001"
API = Api("external-v1", "external", "external-api", "v1", "/external-api/v1", "http", None)


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> OpenApiContract:
    file = tmp_path_factory.mktemp("documents") / "external.json"
    file.write_text(json.dumps(DOCUMENT), "utf-8")
    described = {
        (API.name, operation.id): operation.description
        for operation in Document(file).operations()
        if operation.description is not None
    }
    return OpenApiContract(described)


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request"}


def asked(
    operation_id: str, query: str = "", order_id: str = ID, api: Api | None = API, **headers: str
) -> Context:
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    request = Request(
        "GET",
        "http",
        "h",
        80,
        "/",
        "/",
        query,
        Headers.of(sent),
        "127.0.0.1",
        {"order_id": order_id},
        RequestBody(_nothing, 0),
    )
    return Context(
        api=api,
        operation_id=operation_id,
        request=request,
        services=None,  # type: ignore[arg-type]
        request_id="r",
    )


ALL = frozenset({"path", "query", "headers"})


def wrong(contract: OpenApiContract, context: Context) -> list[tuple[str, str, str, bool]]:
    found = contract.parameters(context, ALL)
    return [(each.place, each.name, each.detail, each.specified) for each in found]


def test_a_request_as_described_violates_nothing(contract: OpenApiContract) -> None:
    query = "limit=5&status=a&on=true&since=2026-11-24T01:02:03Z&ids=1&ids=2&tags=aa,bb"
    assert wrong(contract, asked("get_order", query, If_Match='"7"', Accept="x")) == []


@pytest.mark.parametrize(
    ("query", "name", "detail"),
    [
        ("limit=0", "limit", "must be at least 1"),
        ("limit=101", "limit", "must be at most 100"),
        ("limit=5.5", "limit", "must be of type integer"),
        ("limit=1e1", "limit", "must be of type integer"),
        ("limit=01", "limit", "must be of type integer"),
        ("limit=", "limit", "must be of type integer"),
        ("limit", "limit", "must be of type integer"),
        ("limit=+5", "limit", "must be of type integer"),
        (f"limit={'9' * 40}", "limit", "must be of type integer"),
        ("limit=1&limit=2", "limit", "may be given only once"),
        ("status=secret", "status", "must be one of the values that are allowed"),
        ("on=yes", "on", "must be of type boolean"),
        ("since=yesterday", "since", "must be a date-time"),
        ("ids=x", "ids", "must be of type integer"),
        ("ids=1&ids=2&ids=3", "ids", "must have at most 2 items"),
        ("tags=aaa,b", "tags", "must have at most 2 characters"),
        ("tags=a&tags=b", "tags", "may be given only once"),
    ],
)
def test_a_parameter_that_is_not_as_described_is_told_without_its_value(
    contract: OpenApiContract, query: str, name: str, detail: str
) -> None:
    assert wrong(contract, asked("get_order", query)) == [("query", name, detail, True)]


def test_names_and_values_of_a_query_are_decoded(contract: OpenApiContract) -> None:
    assert wrong(contract, asked("get_order", "%6Cimit=%35&&st%61tus=%61")) == []


def test_a_parameter_that_stands_nowhere_is_not_specified(contract: OpenApiContract) -> None:
    context = asked("get_order", "admin=1&Limit=5")
    assert wrong(contract, context) == [
        ("query", "admin", "is not known", False),
        ("query", "Limit", "is not known", False),
    ]


def test_a_path_parameter_has_its_format(contract: OpenApiContract) -> None:
    assert wrong(contract, asked("get_order", order_id="7")) == [
        ("path", "order_id", "must be a uuid", True)
    ]
    assert wrong(contract, asked("get_order", order_id=ID.upper())) == []
    assert wrong(contract, asked("get_order", order_id="{" + ID + "}")) != []


def test_what_is_required_and_missing_is_told(contract: OpenApiContract) -> None:
    assert wrong(contract, asked("change_order")) == [
        ("query", "q", "is required", True),
        ("headers", "Idempotency-Key", "is required", True),
    ]
    assert wrong(contract, asked("change_order", "q=", idempotency_key="x")) == []


def test_a_header_may_be_given_only_once(contract: OpenApiContract) -> None:
    context = asked("change_order", "q=1", idempotency_key="x")
    context.request.headers.add("idempotency-key", "y")
    assert wrong(contract, context) == [
        ("headers", "idempotency-key", "may be given only once", True)
    ]


def test_authorization_is_described_elsewhere(contract: OpenApiContract) -> None:
    assert wrong(contract, asked("get_order", authorization="Bearer x")) == []


def test_only_the_places_that_are_asked_for_are_looked_at(contract: OpenApiContract) -> None:
    context = asked("get_order", "admin=1", order_id="7")
    assert [v.place for v in contract.parameters(context, frozenset({"path"}))] == ["path"]


def test_an_operation_that_stands_in_no_document_is_not_looked_at(
    contract: OpenApiContract,
) -> None:
    for context in (asked("stream", "x=1"), asked("get_order", "x=1", api=None)):
        assert list(contract.parameters(context, ALL)) == []
        assert contract.content(context, "application/json", b"{") is None
        assert contract.media_types(context) == frozenset()


def body(contract: OpenApiContract, sent: bytes) -> Violation | None:
    return contract.content(asked("change_order"), "application/json", sent)


def test_the_media_types_of_an_operation_are_those_it_reads(contract: OpenApiContract) -> None:
    assert contract.media_types(asked("change_order")) == frozenset({"application/json"})
    assert contract.media_types(asked("get_order")) == frozenset()


@pytest.mark.parametrize(
    "sent",
    [
        {"lines": [{"quantity": 1}]},
        {"lines": [{"quantity": 1}], "note": "abc", "gift": None, "nullable": True},
        {"lines": [{"quantity": 1}], "gift": {"quantity": 2}},
    ],
)
def test_a_body_as_described_violates_nothing(contract: OpenApiContract, sent: object) -> None:
    assert body(contract, json.dumps(sent).encode()) is None


@pytest.mark.parametrize(
    ("sent", "name", "detail"),
    [
        ("[]", "", "must be of type object"),
        ("null", "", "must be of type object"),
        ("{}", "lines", "is required"),
        ('{"lines":[]}', "lines", "must have at least 1 items"),
        ('{"lines":[{"quantity":1},{}]}', "lines.1.quantity", "is required"),
        ('{"lines":[{"quantity":0}]}', "lines.0.quantity", "must be at least 1"),
        ('{"lines":[{"quantity":"5"}]}', "lines.0.quantity", "must be of type integer"),
        ('{"lines":[{"quantity":1.0}]}', "lines.0.quantity", "must be of type integer"),
        ('{"lines":[{"quantity":1,"price":1}]}', "lines.0.price", "is not known"),
        ('{"lines":[{"quantity":1}],"note":"abcd"}', "note", "must have at most 3 characters"),
        (
            '{"lines":[{"quantity":1}],"note":"A1"}',
            "note",
            "does not have the form that is asked for",
        ),
        ('{"lines":[{"quantity":1}],"gift":{}}', "gift.quantity", "is required"),
        ('{"lines":[{"quantity":1}],"gift":5}', "gift", "must be of type object"),
        ('{"lines":[{"quantity":1}],"note":"\\ud800"}', "", "text is not valid"),
    ],
)
def test_a_body_that_is_not_as_described_is_told_by_its_place(
    contract: OpenApiContract, sent: str, name: str, detail: str
) -> None:
    assert body(contract, sent.encode()) == Violation("body", name, detail, specified=True)


@pytest.mark.parametrize(
    "sent",
    [
        b"{",
        b"{}x",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b"\xff\xfe{\x00}\x00",
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 5000,
    ],
)
def test_what_json_readers_disagree_on_is_malformed(contract: OpenApiContract, sent: bytes) -> None:
    violation = body(contract, sent)
    assert violation is not None
    assert (violation.name, violation.reason) == ("", "malformed")


def test_a_body_that_is_required_may_not_be_missing(contract: OpenApiContract) -> None:
    assert body(contract, b"") == Violation("body", "", "a body is required", specified=True)


def test_a_document_that_is_no_json_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text('{\n  "openapi": "3.0.3",\n  "paths": ,\n}', "utf-8")
    with pytest.raises(PolicyFault) as fault:
        Document(file)
    assert str(fault.value) == f"{file}:3: no JSON: Expecting value"


def test_an_operation_that_refers_to_nothing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    operation = {"operationId": "x", "parameters": [{"$ref": "#/components/parameters/Y"}]}
    file.write_text(json.dumps({"paths": {"/x": {"get": operation}}}), "utf-8")
    with pytest.raises(PolicyFault, match="operation x: "):
        list(Document(file).operations())
