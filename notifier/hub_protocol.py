"""SignalR's JSON hub protocol, version 1: text in, messages out, and back. Pure.

Source: dotnet/aspnetcore, src/SignalR/docs/specs/HubProtocol.md. Every message ends in the
record separator; a frame or body holds one or more of them, each of them whole.
"""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import JsonValue

SEPARATOR = "\x1e"
ID_MAX_LENGTH = 64

INVOCATION, STREAM_ITEM, COMPLETION, STREAM_INVOCATION = 1, 2, 3, 4
CANCEL_INVOCATION, PING, CLOSE = 5, 6, 7


class ProtocolError(Exception):
    """The peer does not keep to the protocol; the text is for the peer."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call of the method `target`; without an id the caller wants no answer."""

    target: str
    arguments: list[JsonValue]
    id: str | None = None
    streams: bool = False
    """The caller sends or expects a stream."""


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """No more of the stream that an invocation had asked for."""


@dataclass(frozen=True, slots=True)
class Close:
    """The peer goes."""


type Message = Invocation | Ping | Cancel | Close


def split(text: str) -> list[str]:
    """The messages in `text`, without their separators. Raises ProtocolError."""
    *messages, rest = text.split(SEPARATOR)
    if rest or not messages:
        raise ProtocolError("a message must end in the record separator")
    return messages


def accept_handshake(text: str) -> None:
    """Nothing if the peer wants this protocol; raises ProtocolError otherwise."""
    request = _object(text)
    if request.get("protocol") != "json":
        raise ProtocolError("the only protocol spoken here is json")
    if request.get("version") != 1 or isinstance(request["version"], bool):
        raise ProtocolError("the only version of it is 1")


def parse(text: str) -> Message:
    """The message that a client sent after its handshake. Raises ProtocolError."""
    message = _object(text)
    kind = message.get("type")
    if isinstance(kind, bool):
        raise ProtocolError("unknown message type")
    if kind in {INVOCATION, STREAM_INVOCATION}:
        return _invocation(message, streams=kind == STREAM_INVOCATION)
    if kind == PING:
        return Ping()
    if kind == CLOSE:
        return Close()
    if kind == CANCEL_INVOCATION:
        return Cancel()
    if kind in {STREAM_ITEM, COMPLETION}:
        raise ProtocolError("nobody asked for this")
    raise ProtocolError("unknown message type")


def _invocation(message: dict[str, Any], *, streams: bool) -> Invocation:
    target, arguments = message.get("target"), message.get("arguments", [])
    identifier = message.get("invocationId")
    if not isinstance(target, str) or not isinstance(arguments, list):
        raise ProtocolError("an invocation has a target and a list of arguments")
    if identifier is not None and (
        not isinstance(identifier, str) or not 0 < len(identifier) <= ID_MAX_LENGTH
    ):
        raise ProtocolError(f"an invocationId has 1 to {ID_MAX_LENGTH} characters")
    return Invocation(target, arguments, identifier, streams or bool(message.get("streamIds")))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ProtocolError("a message must be JSON") from None
    if not isinstance(value, dict):
        raise ProtocolError("a message must be a JSON object")
    return value


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("JSON has no such number")


HANDSHAKE_ACCEPTED = "{}" + SEPARATOR
PING_TEXT = json.dumps({"type": PING}, separators=(",", ":")) + SEPARATOR


def handshake_refused(error: str) -> str:
    """The answer to a handshake that cannot be."""
    return _text({"error": error})


def invocation(target: str, *arguments: JsonValue) -> str:
    """A call that the client does not answer."""
    return _text({"type": INVOCATION, "target": target, "arguments": list(arguments)})


def completion(identifier: str, result: JsonValue) -> str:
    """What the invocation came to."""
    return _text({"type": COMPLETION, "invocationId": identifier, "result": result})


def failure(identifier: str, error: str) -> str:
    """Why the invocation came to nothing."""
    return _text({"type": COMPLETION, "invocationId": identifier, "error": error})


def close(error: str | None, *, allow_reconnect: bool) -> str:
    """The last message; a client that may come back does so by itself if it was told to."""
    document: dict[str, JsonValue] = {"type": CLOSE}
    if error is not None:
        document["error"] = error
    if allow_reconnect:
        document["allowReconnect"] = True
    return _text(document)


def _text(document: dict[str, JsonValue]) -> str:
    # ASCII only: an id that came with half a surrogate pair could not be sent back otherwise.
    return json.dumps(document, separators=(",", ":"), allow_nan=False) + SEPARATOR
