"""An event, in either schema, and what a subscriber gets of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

CLOUD: Final = "CloudEventSchemaV1_0"
GRID: Final = "EventGridSchema"
SCHEMAS: Final = (GRID, CLOUD)

_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    CLOUD: {"eventid": "id", "eventtype": "type", "eventtypeversion": "dataversion"},
    GRID: {
        "eventtype": "eventType",
        "eventtime": "eventTime",
        "dataversion": "dataVersion",
        "metadataversion": "metadataVersion",
    },
}
"""How filters may name the attributes of an event, besides the attributes' own names."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was accepted; `body` is the JSON object."""

    schema: str
    body: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def type(self) -> str:
        return str(self.body["type" if self.schema == CLOUD else "eventType"])

    @property
    def subject(self) -> str:
        return str(self.body.get("subject") or "")

    @property
    def data_version(self) -> str | None:
        """CloudEvents have none."""
        return None if self.schema == CLOUD else str(self.body.get("dataVersion") or "")

    @property
    def metadata_version(self) -> str:
        """Of a CloudEvent the version of the specification."""
        return "1.0" if self.schema == CLOUD else "1"

    def at(self, path: tuple[str, ...]) -> Any:
        """What stands at the path; None for nothing. Attribute names may be in any case."""
        return value_at(self.body, path)


def path_of(key: str, schema: str) -> tuple[str, ...]:
    """The path that a filter's key means: `Data.a.b`, `Subject`, `EventType`."""
    first, *rest = key.split(".")
    named = _NAMES[schema].get(first.lower(), first.lower())
    return (named, *rest)


def value_at(body: Any, path: tuple[str, ...]) -> Any:
    """What stands at the path in JSON; None for nothing."""
    for name in path:
        if not isinstance(body, dict):
            return None
        body = body.get(name)
    return body


def delivered(body: Mapping[str, Any], schema: str, wanted: str) -> Mapping[str, Any]:
    """The event in the schema that a subscription wants.

    Source: https://learn.microsoft.com/azure/event-grid/event-schema (input and delivery schemas)
    """
    if schema == wanted:
        return body
    cloud: dict[str, Any] = {
        "specversion": "1.0",
        "id": body["id"],
        "source": body["topic"],
        "type": body["eventType"],
        "subject": body["subject"],
        "time": body["eventTime"],
        "data": body.get("data"),
    }
    return cloud


def compact(value: Any) -> str:
    """JSON without blanks, in ASCII: any header, file or database can carry it."""
    return json.dumps(value, separators=(",", ":"))


def iso(moment: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC."""
    if moment is None:
        return None
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")
