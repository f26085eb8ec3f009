"""Binding expressions and blob name patterns, by the examples of Azure's documentation."""

import re
from typing import Any

import pytest

from localcloud.functions.blob_paths import location_of
from localcloud.functions.expressions import Pattern, Template
from localcloud.functions.facts import facts_of
from localcloud.functions.protos import RpcHttp, TypedData


@pytest.mark.conforms(
    "Blob storage",
    "blob name patterns: names, filters on beginnings and file types, doubled braces",
    source="learn:azure/azure-functions/functions-bindings-storage-blob-trigger",
)
@pytest.mark.parametrize(
    ("path", "blob", "parts"),
    [
        (
            "input/{blobname}.{blobextension}",
            "original-Blob1.txt",
            {"blobname": "original-Blob1", "blobextension": "txt"},
        ),
        ("input/original-{name}", "original-Blob1.txt", {"name": "Blob1.txt"}),
        ("input/original-{name}", "copied-Blob1.txt", None),
        ("samples/{name}.png", "a/b.png", {"name": "a/b"}),
        ("samples/{name}.png", "b.jpg", None),
        ("images/{{20140101}}-{name}", "{20140101}-soundfile.mp3", {"name": "soundfile.mp3"}),
        ("samples/{name}.{ext}", "a.b.c", {"name": "a.b", "ext": "c"}),
        ("samples", "any/thing", {}),
        ("samples/fixed", "fixed", {}),
        ("samples/a+b", "aab", None),
        ("samples/{date}-{kind}.csv", "2026-11-24-out.csv", {"date": "2026-11-24", "kind": "out"}),
    ],
)
def test_a_pattern_names_parts_of_a_blob(
    path: str, blob: str, parts: dict[str, str] | None
) -> None:
    assert Pattern(path).match(blob) == parts


@pytest.mark.parametrize("path", ["", "{name}/x", "box/{a}-{a}", "box/{a b}", "box/{a", "box/}"])
def test_a_pattern_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"container|name|brace"):
        Pattern(path)


@pytest.mark.conforms(
    "Binding expressions",
    "dot notation reaches into objects; names compare without regard to case",
    source="learn:azure/azure-functions/functions-bindings-expressions-patterns",
)
@pytest.mark.parametrize(
    ("text", "facts", "filled"),
    [
        ("strings/{BlobName}", {"blobname": "Hello.txt"}, "strings/Hello.txt"),
        (
            "s/{BlobName.FileName}.{BlobName.Extension}",
            {"BlobName": {"FileName": "HelloWorld", "Extension": "txt"}},
            "s/HelloWorld.txt",
        ),
        (
            "{n}-{yes}-{none}-{list}",
            {"n": 7, "yes": True, "none": None, "list": [1]},
            "7-True--[1]",
        ),
        ("{{not}}", {"not": "x"}, "{not}"),
        ("plain", {}, "plain"),
    ],
)
def test_an_expression_stands_for_what_the_trigger_tells(
    text: str, facts: dict[str, Any], filled: str
) -> None:
    assert Template(text).filled(facts) == filled


@pytest.mark.parametrize("text", ["{missing}", "{a.b.c}", "{a.missing}", "{rand-guid:X}"])
def test_an_expression_without_a_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Template(text).filled({"a": {"b": 1}})


@pytest.mark.conforms(
    "Binding expressions",
    "rand-guid makes a GUID, DateTime the time in UTC, with the formats of .NET",
    source="learn:azure/azure-functions/functions-bindings-expressions-patterns",
)
@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("{rand-guid}", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("{rand-guid:N}", r"[0-9a-f]{32}"),
        ("{rand-guid:B}", r"\{[0-9a-f-]{36}\}"),
        ("{DateTime}", r"20\d\d-\d\d-\d\dT\d\d-\d\d-\d\dZ"),
        ("{datetime:yyyy/MM/dd}", r"20\d\d/\d\d/\d\d"),
        ("{DateTime:HHmmss'h'fff}", r"\d{6}h\d{3}"),
    ],
)
def test_guids_and_times_are_made(text: str, shape: str) -> None:
    assert re.fullmatch(shape, Template(text).filled({}))


def test_a_format_of_time_that_is_not_known_is_refused_before_it_is_needed() -> None:
    with pytest.raises(ValueError, match="'dddd' is not known here"):
        Template("{DateTime:dddd}")


def test_a_request_tells_its_route_its_query_and_the_properties_of_its_body() -> None:
    request = RpcHttp(
        method="POST",
        headers={"x-kind": "urgent"},
        query={"page": "2"},
        params={"id": "7"},
        body=TypedData(bytes=b'{"id": "8", "page": {"no": 3}}'),
    )

    facts = facts_of(TypedData(http=request), {})

    text = "{id} {page.no} {Query.page} {headers.X-Kind}"
    assert Template(text).filled(facts) == "7 3 2 urgent"


@pytest.mark.parametrize("body", [b"\xff{", b"{", b'["id"]', b"", "text", None])
def test_a_body_that_is_no_json_object_tells_nothing(body: Any) -> None:
    assert facts_of(TypedData(bytes=body), {"Id": TypedData(string="1")}) == {"Id": "1"}


def test_the_value_of_a_message_wins_over_its_metadata() -> None:
    value = TypedData(string='{"Id": "mine"}')

    assert facts_of(value, {"Id": TypedData(string="1"), "N": TypedData(json="2")}) == {
        "Id": "mine",
        "N": 2,
    }


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("box/a/b.txt", ("box", "a/b.txt")),
        ("/box/a", ("box", "a")),
        ("https://shop.blob.core.windows.net/box/a%20b", ("box", "a b")),
        ("http://127.0.0.1:10000/devstoreaccount1/box/a", ("box", "a")),
        ("http://localhost:10000/devstoreaccount1/box/a/b", ("box", "a/b")),
    ],
)
def test_a_blob_is_named_by_its_path_or_its_url(path: str, location: tuple[str, str]) -> None:
    assert location_of(path) == location


@pytest.mark.parametrize("path", ["", "box", "box/", "https://shop.blob.core.windows.net/box"])
def test_a_path_that_names_no_blob_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="names no blob"):
        location_of(path)
