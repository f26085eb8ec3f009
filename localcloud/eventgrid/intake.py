"""Reads a publish request: which events it holds, or why it is refused as a whole.

Sources: https://learn.microsoft.com/azure/event-grid/post-to-custom-topic and
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from localcloud.eventgrid.errors import GridError, bad_request
from localcloud.eventgrid.events import CLOUD, Event
from localcloud.eventgrid.specs import TopicSpec

MAX_BYTES: Final = 1024 * 1024
MAX_EVENTS: Final = 5000
MAX_DEPTH: Final = 1000
API_VERSION: Final = "2018-01-01"

_ONE: Final = "application/cloudevents+json"
_MANY: Final = "application/cloudevents-batch+json"
_ATTRIBUTE: Final = re.compile(r"[a-z0-9]+")
_INVALID: Final = "InputJsonInvalid"


def events_of(topic: TopicSpec, content_type: str, body: bytes) -> list[Event]:
    """The events of a request, in order. Raises GridError; one bad event refuses all of them."""
    kind = content_type.partition(";")[0].strip().lower()
    if topic.schema == CLOUD and kind not in {_ONE, _MANY}:
        raise bad_request(
            f"This resource is configured to receive event in 'CloudEventV10' schema. The "
            f"Content-Type header must be {_ONE} or {_MANY}, not {kind[:100]!r}.",
            "MediaTypeHeaderInvalid",
        )
    # Microsoft's quickstarts post with curl's own type, that of a form.
    if topic.schema != CLOUD and kind in {_ONE, _MANY}:
        raise bad_request(
            f"This resource is configured to receive event in 'EventGridEvent' schema. The "
            f"Content-Type header must be application/json, not {kind!r}.",
            "MediaTypeHeaderInvalid",
        )
    given = _parsed(body)
    if kind == _ONE:
        _refuse_shape(topic, given, dict)
        given = [given]
    _refuse_shape(topic, given, list)
    if len(given) > MAX_EVENTS:
        raise too_large(f"The request holds {len(given)} events, at most {MAX_EVENTS} are allowed.")
    read = _cloud if topic.schema == CLOUD else _grid
    return [
        Event(topic.schema, read(entry, f"Event {number}", topic))
        for number, entry in enumerate(given)
    ]


def too_large(message: str) -> GridError:
    return GridError(413, "RequestEntityTooLarge", message, "PayloadTooLarge")


def _parsed(body: bytes) -> Any:
    def no_constant(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    def finite(digits: str) -> float:
        number = float(digits)
        return number if math.isfinite(number) else no_constant(digits[:20])

    try:
        given = json.loads(body.decode("utf-8"), parse_constant=no_constant, parse_float=finite)
        if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
            _refuse_depth(given)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {str(error)[:200]}.", _INVALID) from None
    return given


def _refuse_depth(given: Any) -> None:
    """ValueError for JSON that is nested deeper than it can be written again."""
    level = [given]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _refuse_shape(
    topic: TopicSpec, given: Any, wanted: type[dict[str, Any]] | type[list[Any]]
) -> None:
    if not isinstance(given, wanted):
        schema = "CloudEventV10" if topic.schema == CLOUD else "EventGridEvent"
        tokens = {"dict": "StartObject", "list": "StartArray"}
        actual = type(given).__name__
        actual = tokens.get(actual, actual)
        raise bad_request(
            f"This resource is configured to receive event in '{schema}' schema. The JSON received "
            f"does not conform to the expected schema. Token Expected: {tokens[wanted.__name__]}, "
            f"Actual Token Received: '{actual}'.",
            _INVALID,
        )


def _cloud(entry: Any, where: str, _topic: TopicSpec) -> Mapping[str, Any]:
    _refuse_texts(entry, where, ("id", "source", "type"))
    if entry.get("specversion") != "1.0":
        raise bad_request(f"{where}: specversion must be '1.0'.", _INVALID)
    for name in entry:
        if name != "data_base64" and not _ATTRIBUTE.fullmatch(name):
            raise bad_request(f"{where}: {name[:50]!r} is no name of an attribute.", _INVALID)
    if "data" in entry and "data_base64" in entry:
        raise bad_request(f"{where}: data and data_base64 exclude each other.", _INVALID)
    if "data_base64" in entry:
        try:
            base64.b64decode(entry["data_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise bad_request(f"{where}: data_base64 is not base64.", _INVALID) from None
    _refuse_optional(entry, where, ("subject", "datacontenttype", "dataschema"))
    if entry.get("time") is not None:
        _refuse_time(entry["time"], where, "time")
    return dict(entry)


def _grid(entry: Any, where: str, topic: TopicSpec) -> Mapping[str, Any]:
    _refuse_texts(entry, where, ("id", "subject", "eventType"))
    _refuse_time(entry.get("eventTime"), where, "eventTime")
    _refuse_optional(entry, where, ("dataVersion", "metadataVersion", "topic"))
    named = entry.get("topic") or topic.id
    if topic.topic_type is None and named.lower() != topic.id.lower():
        raise bad_request(f"{where}: topic must be absent or {topic.id}.", _INVALID)
    if entry.get("metadataVersion") not in {None, "", "1"}:
        raise bad_request(f"{where}: metadataVersion must be absent or '1'.", _INVALID)
    return {
        "id": entry["id"],
        "topic": named,
        "subject": entry["subject"],
        "eventType": entry["eventType"],
        "data": entry.get("data"),
        "dataVersion": entry.get("dataVersion") or "",
        "metadataVersion": "1",
        "eventTime": entry["eventTime"],
    }


def _refuse_texts(entry: Any, where: str, names: tuple[str, ...]) -> None:
    if not isinstance(entry, dict):
        raise bad_request(f"{where} is no JSON object.", _INVALID)
    for name in names:
        value = entry.get(name)
        if not isinstance(value, str) or not value:
            raise bad_request(f"{where}: {name} must be a string that is not empty.", _INVALID)
        _refuse_lone_surrogates(value, where, name)


def _refuse_optional(entry: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    for name in names:
        value = entry.get(name)
        if value is not None and not isinstance(value, str):
            raise bad_request(f"{where}: {name} must be a string.", _INVALID)
        _refuse_lone_surrogates(value or "", where, name)


def _refuse_lone_surrogates(value: str, where: str, name: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad_request(f"{where}: {name} is not Unicode text.", _INVALID) from None


def _refuse_time(value: Any, where: str, name: str) -> None:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise bad_request(f"{where}: {name} must be a time as of RFC 3339.", _INVALID) from None
