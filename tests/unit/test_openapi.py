"""The gateway's documents are valid, importable by API Management, and worth reading."""

import copy
import json
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import openapi_spec_validator
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "apim" / "openapi"
NAMES = ("external", "external-v2", "internal", "internal-v2", "partners")
IMPORT_RULES = (
    "https://learn.microsoft.com/azure/api-management/api-management-api-import-restrictions"
)

type Json = dict[str, Any]


def breaks(old: Json, new: Json) -> list[str]:
    found: list[str] = runpy.run_path(str(ROOT / "docs" / "compatibility.py"))["breaks"](old, new)
    return found


@pytest.fixture(scope="module", params=NAMES)
def document(request: pytest.FixtureRequest) -> Json:
    return read(request.param)


def read(name: str) -> Json:
    found: Json = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def bodies(operation: Json) -> Iterator[Json]:
    for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from holder.get("content", {}).values()


def everywhere(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from everywhere(part)
    if isinstance(value, list):
        for part in value:
            yield from everywhere(part)


def test_a_document_is_valid_openapi(document: Json) -> None:
    assert document["openapi"] == "3.0.3"
    openapi_spec_validator.validate(document)


def test_a_document_can_be_imported_by_api_management(document: Json) -> None:
    """The rules of the page at IMPORT_RULES."""
    assert len(json.dumps(document)) < 4 * 1024 * 1024
    assert document["components"].keys() == {"schemas", "securitySchemes"}
    names = [operation["operationId"] for _, operation in operations(document)]
    resources = {re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:76] for name in names}
    assert len(resources) == len(names)
    for path, operation in operations(document):
        assert len(operation["summary"]) <= 300
        assert operation.keys().isdisjoint({"externalDocs", "callbacks", "servers"})
        in_url = [p for p in operation["parameters"] if p["in"] == "path" or p["required"]]
        in_url = [p["name"].lower() for p in in_url if p["in"] != "header"]
        assert len(set(in_url)) == len(in_url)
        in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))
        for parameter in operation["parameters"]:
            assert parameter["in"] != "cookie"
            assert parameter.keys() <= {"name", "in", "required", "description", "schema"}
        for body in bodies(operation):
            assert body["schema"].keys() == {"$ref"}
    for part in everywhere(document):
        assert str(part.get("$ref", "#/")).startswith("#/")
        assert not isinstance(part.get("examples"), list)


def test_no_schema_holds_itself(document: Json) -> None:
    schemas = document["components"]["schemas"]
    uses = {
        name: {str(part["$ref"]).rsplit("/", 1)[1] for part in everywhere(schema) if "$ref" in part}
        for name, schema in schemas.items()
    }
    for name in schemas:
        below, seen = set(uses[name]), set[str]()
        while below:
            used = below.pop()
            assert used != name
            below |= uses[used] - seen
            seen.add(used)


def test_everything_is_described(document: Json) -> None:
    schemas = document["components"]["schemas"]
    silent = [name for name, schema in schemas.items() if not schema.get("description")]
    silent += [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, part in schema.get("properties", {}).items()
        if not part.get("description") and "$ref" not in part
    ]
    for _, operation in operations(document):
        named = operation["operationId"]
        silent += [f"{named} {p['name']}" for p in operation["parameters"] if not p["description"]]
        if not operation["summary"] or not operation["description"]:
            silent.append(named)

    assert silent == []


def test_every_example_fits_its_schema(document: Json) -> None:
    checked = 0
    for _, operation in operations(document):
        for body in bodies(operation):
            if "example" in body:
                schema = {**body["schema"], "components": nullable(document["components"])}
                jsonschema_rs.validator_for(schema).validate(body["example"])
                checked += 1
        if "requestBody" in operation:
            assert all("example" in b for b in operation["requestBody"]["content"].values())

    assert checked >= len(document["paths"]) * 0.9


def nullable(value: Any) -> Any:
    """OpenAPI 3.0's `nullable` in JSON Schema's words."""
    if isinstance(value, list):
        return [nullable(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {key: nullable(part) for key, part in value.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if value.get("nullable") is True else plain


def test_every_refusal_names_its_codes(document: Json) -> None:
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            for media_type, body in answer.get("content", {}).items():
                if media_type != "application/problem+json":
                    continue
                name = body["schema"]["$ref"].rsplit("/", 1)[1]
                fields = document["components"]["schemas"][name]["properties"]
                assert fields["status"]["enum"] == [int(status)]
                assert all(f"`{code}`" in answer["description"] for code in fields["code"]["enum"])


def test_version_two_calls_orders_off_by_a_post() -> None:
    for proxy in ("external", "internal"):
        one, two = read(proxy), read(f"{proxy}-v2")
        path = "/orders/{order_id}"
        old = one["paths"][path]["delete"]
        assert (old["operationId"], old["deprecated"]) == ("cancel_order_request", True)
        assert {"Deprecation", "Sunset"} <= old["responses"]["202"]["headers"].keys()
        assert f"{path}/cancellation" not in one["paths"]
        new = two["paths"][f"{path}/cancellation"]["post"]
        assert new["operationId"] == "request_cancellation"
        assert "delete" not in two["paths"][path]
        both = [{op["operationId"] for _, op in operations(each)} for each in (one, two)]
        assert both[0] ^ both[1] == {"cancel_order_request", "request_cancellation"}


def test_employees_operations_are_not_shown_to_customers() -> None:
    shown = {operation["operationId"] for _, operation in operations(read("external"))}

    assert shown.isdisjoint({"list_customers", "move_order", "create_product", "health_live"})
    assert {"place_order", "register_customer", "get_order"} <= shown


def alter(path: str, value: Any = None) -> Callable[[Json], None]:
    """Sets what the dotted path leads to; None deletes it."""

    def change(document: Json) -> None:
        *parents, last = path.split("|")
        for key in parents:
            document = document[int(key)] if isinstance(document, list) else document[key]
        if value is None:
            del document[last]
        elif isinstance(document, list):
            document.append(value)
        else:
            document[last] = value

    return change


ORDER = "components|schemas|Order|"
PLACED = "paths|/orders|post|"
REASON: Json = {"name": "why", "in": "query", "required": True, "schema": {"type": "string"}}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (alter("paths|/products/categories|get"), "list_product_categories: GET"),
        (alter(PLACED + "operationId", "buy"), "place_order: it is called buy"),
        (alter(PLACED + "responses|201"), "place_order: it does not answer 201 any more"),
        (alter(PLACED + "responses|201|headers|ETag"), "place_order: 201 has no ETag"),
        (alter(PLACED + "parameters|+", REASON), "place_order: why is required"),
        (alter(PLACED + "x-scope", "orders.buy"), "place_order: it needs the scope orders.buy"),
        (alter(ORDER + "properties|number"), "place_order: 201.number is gone"),
        (alter(ORDER + "properties|number|type", "integer"), "place_order: 201.number is integer"),
        (alter(ORDER + "properties|number|nullable", value=True), "201.number can be null"),
        (alter(ORDER + "required", ["id"]), "place_order: 201.number can be missing"),
        (alter("components|schemas|OrderStatus|enum", ["placed"]), "201.status knows"),
        (
            alter("components|schemas|PlaceOrder|required", ["lines", "reason"]),
            "place_order: the body.reason is required",
        ),
        (
            alter("components|schemas|PlaceOrder|properties|payment_method"),
            "place_order: the body.payment_method is gone",
        ),
        (
            alter("components|schemas|WantedLine|properties|quantity|maximum", 5),
            "place_order: the body.lines[].quantity has maximum 5",
        ),
        (
            alter("components|schemas|PlaceOrderConflict|properties|code|enum", ["other"]),
            "place_order: 409.code knows",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_that_breaks_clients_is_named(change: Callable[[Json], None], broken: str) -> None:
    old = read("external")
    new = copy.deepcopy(old)
    change(new)

    assert [what for what in breaks(old, new) if broken in what] != []


@pytest.mark.parametrize(
    "change",
    [
        alter(PLACED + "parameters|+", {**REASON, "required": False}),
        alter(ORDER + "properties|gift", {"type": "boolean"}),
        alter("components|schemas|PlaceOrder|properties|gift", {"type": "boolean"}),
        alter("components|schemas|WantedLine|properties|quantity|maximum", 5000),
        alter(PLACED + "description", "Buy."),
        alter("paths|/gifts", {}),
    ],
    ids=["parameter", "answer", "body", "range", "words", "path"],
)
def test_a_document_may_grow(change: Callable[[Json], None]) -> None:
    old = read("external")
    new = copy.deepcopy(old)
    change(new)

    assert breaks(old, new) == []


def test_what_is_promised_is_kept(document: Json) -> None:
    name = {json.dumps(read(n)["servers"]): n for n in NAMES}[json.dumps(document["servers"])]
    promised = json.loads((FOLDER / "promised" / f"{name}.json").read_text())

    assert breaks(promised, document) == []
    ids = [{op["operationId"] for _, op in operations(each)} for each in (promised, document)]
    assert ids[0] == ids[1], "run `make docs`"
