"""The hub protocol's codec: what is written is read, and nothing makes it raise anything else."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier import hub_protocol
from notifier.hub_protocol import Cancel, Close, Invocation, Ping, ProtocolError

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def one(text: str) -> dict[str, Any]:
    """The only message in `text`."""
    (message,) = hub_protocol.split(text)
    document: dict[str, Any] = json.loads(message)
    return document


@given(
    target=st.text(),
    arguments=st.lists(JSON),
    identifier=st.none() | st.text(min_size=1, max_size=64),
)
def test_an_invocation_is_read_as_it_was_written(
    target: str, arguments: list[Any], identifier: str | None
) -> None:
    document = {"type": 1, "target": target, "arguments": arguments}
    if identifier is not None:
        document["invocationId"] = identifier
    assert hub_protocol.parse(json.dumps(document)) == Invocation(target, arguments, identifier)


@given(st.lists(st.text().map(json.dumps), min_size=1))
def test_messages_are_split_where_they_were_joined(messages: list[str]) -> None:
    text = "".join(message + hub_protocol.SEPARATOR for message in messages)
    assert hub_protocol.split(text) == messages


@given(st.text() | JSON.map(json.dumps))
def test_whatever_comes_is_a_message_or_a_breach_of_the_protocol(text: str) -> None:
    for read in (hub_protocol.split, hub_protocol.parse, hub_protocol.accept_handshake):
        with contextlib.suppress(ProtocolError):
            read(text)


@given(target=st.text(), argument=JSON, identifier=st.text(), error=st.text())
def test_what_is_sent_is_ascii_and_ends_in_the_only_separator(
    target: str, argument: Any, identifier: str, error: str
) -> None:
    texts = {
        hub_protocol.invocation(target, argument): {
            "type": 1,
            "target": target,
            "arguments": [argument],
        },
        hub_protocol.completion(identifier, argument): {
            "type": 3,
            "invocationId": identifier,
            "result": argument,
        },
        hub_protocol.failure(identifier, error): {
            "type": 3,
            "invocationId": identifier,
            "error": error,
        },
    }
    for text, document in texts.items():
        assert text.isascii()
        assert one(text) == document


def test_a_half_surrogate_in_an_id_comes_back_as_it_was() -> None:
    call = hub_protocol.parse('{"type":1,"target":"Resume","invocationId":"\\ud800"}')
    assert isinstance(call, Invocation)
    assert call.id == "\ud800"
    assert hub_protocol.completion(call.id, None).encode() == (
        b'{"type":3,"invocationId":"\\ud800","result":null}\x1e'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type":6}', Ping()),
        ('{"type":7}', Close()),
        ('{"type":7,"error":"x","allowReconnect":true}', Close()),
        ('{"type":5,"invocationId":"1"}', Cancel()),
        ('{"type":1,"target":"A"}', Invocation("A", [])),
        ('{"type":1,"target":"A","arguments":[],"headers":{"a":"b"}}', Invocation("A", [])),
        ('{"type":1,"target":"A","streamIds":["1"]}', Invocation("A", [], streams=True)),
        ('{"type":4,"target":"A","invocationId":"1"}', Invocation("A", [], "1", streams=True)),
    ],
)
def test_messages_of_the_specification_are_understood(text: str, message: object) -> None:
    assert hub_protocol.parse(text) == message


@pytest.mark.parametrize("text", ["", "{}", '{"type":6}\x1erest'])
def test_a_message_without_its_end_is_none(text: str) -> None:
    with pytest.raises(ProtocolError, match="must end in the record separator"):
        hub_protocol.split(text)


def test_a_close_says_whether_to_come_back() -> None:
    assert one(hub_protocol.close(None, allow_reconnect=False)) == {"type": 7}
    assert one(hub_protocol.close("gone", allow_reconnect=True)) == {
        "type": 7,
        "error": "gone",
        "allowReconnect": True,
    }


def test_only_the_json_protocol_of_version_one_is_spoken() -> None:
    hub_protocol.accept_handshake('{"protocol":"json","version":1}')
    for text in ('{"protocol":"json","version":true}', '{"protocol":"json","version":2}'):
        with pytest.raises(ProtocolError, match="the only version of it is 1"):
            hub_protocol.accept_handshake(text)
