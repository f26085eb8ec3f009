"""Queue and blob outputs, blob inputs, and the expressions in their names, on a real Azurite."""

import json
import re

import pytest

from localcloud.tests.functions.running_host import eventually
from localcloud.tests.functions.stores import Stores


@pytest.mark.conforms(
    "Queue storage",
    "an output takes text, bytes and lists, each element of which is a message",
    source="learn:azure/azure-functions/functions-bindings-storage-queue-output",
)
@pytest.mark.parametrize(
    ("kind", "body", "messages"),
    [
        ("str", "some words", ["some words"]),
        ("str", "", [""]),
        ("bytes", "b\x00ytes", ["b\x00ytes"]),
        ("list", '["one", "two", "three"]', ["one", "three", "two"]),
    ],
)
def test_a_queue_output_sends_what_it_was_given(
    stores: Stores, kind: str, body: str, messages: list[str]
) -> None:
    answer = stores.host.http.post("/api/put", params={"kind": kind}, content=body.encode())

    assert answer.text == f"put {kind}"
    assert sorted(stores.received("out-work", len(messages))) == messages


def test_a_message_object_is_sent_as_the_json_that_the_worker_makes_of_it(stores: Stores) -> None:
    assert stores.host.http.post("/api/put_message", content=b"whole").text == "message"

    (text,) = stores.received("out-work", 1)
    assert json.loads(text) == {"id": None, "body": "whole"}


@pytest.mark.conforms(
    "Binding expressions",
    '"When a trigger payload is JSON, you can refer to its properties in configuration for'
    ' other bindings in the same function and in function code."',
    source="learn:azure/azure-functions/functions-bindings-expressions-patterns",
)
def test_an_expression_names_the_queue_and_the_triggers_json_has_the_values(
    stores: Stores,
) -> None:
    """Azure: "When a trigger payload is JSON, you can refer to its properties in configuration for
    other bindings in the same function".
    """
    stores.queue("forward").send_message(json.dumps({"to": "Elsewhere", "text": "hello"}))

    assert stores.received("elsewhere", 1) == ["hello"]


def test_an_output_that_fails_fails_the_execution(stores: Stores) -> None:
    """The message is tried again, and given up like one whose function failed."""
    for order in ({"to": "no such name!", "text": "x"}, {"text": "y"}):
        text = json.dumps(order)
        stores.queue("forward").send_message(text)

        assert stores.received("forward-poison", 1) == [text]

        seen = [note["dequeue_count"] for note in stores.noted("forwarded", body=order)]
        assert seen == [1, 2, 3, 4, 5]
    assert "no value for {to}: the trigger does not tell it" in stores.host.log


def test_a_blob_input_reads_what_the_message_names_and_an_output_writes_under_its_values(
    stores: Stores,
) -> None:
    """Azure: "You can refer directly to `FileName` as `BlobName.FileName`"."""
    stores.container("texts").upload_blob("Moby.txt", "Call me Ishmael")
    labels = stores.queue("labels")
    labels.send_message(json.dumps({"page": {"title": "Moby"}, "number": 7}))
    labels.send_message(json.dumps({"page": {"title": "Missing"}, "number": 8}))

    assert stores.appeared("printed", "Moby-7-1.txt") == "7: Call me Ishmael"
    assert stores.appeared("printed", "Missing-8-1.txt") == "8: nothing"


@pytest.mark.conforms(
    "Binding expressions",
    '"in a queue trigger function, `{queueTrigger}` resolves to the queue message text"',
    source="learn:azure/azure-functions/functions-bindings-expressions-patterns",
)
def test_the_message_the_time_and_a_guid_may_be_part_of_a_name(stores: Stores) -> None:
    """Azure: "The binding expression `DateTime` resolves to `DateTime.UtcNow`"; "in a queue trigger
    function, `{queueTrigger}` resolves to the queue message text".
    """
    stores.queue("names").send_message("Hello World")
    made = stores.container("made")
    eventually(lambda: list(made.list_blob_names()) != [], 30)

    (name,) = made.list_blob_names()
    date = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ"
    guid = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
    assert re.fullmatch(f"Hello World/{date}/{guid}", name)
    assert stores.text("made", name) == "for Hello World"


def test_the_values_of_a_route_name_blobs_and_an_output_writes_over_what_is_there(
    stores: Stores,
) -> None:
    http = stores.host.http
    assert http.post("/api/pages/front", content="one").text == "none"
    assert http.post("/api/pages/front", content="two").text == "one"
    assert stores.text("pages", "front.txt") == "two"
