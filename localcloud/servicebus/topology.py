"""Reads the topology file, in the shape of Microsoft's Service Bus emulator `Config.json`."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcloud.servicebus.rules import (
    SYSTEM_PROPERTIES,
    CorrelationFilter,
    Filter,
    Scalar,
    TrueFilter,
)

MAX_LOCK_MS: Final = 300_000
MAX_DELIVERY_COUNT: Final = 2_000
DEFAULT_LOCK_MS: Final = 60_000
DEFAULT_MAX_DELIVERY_COUNT: Final = 10

_COMMENT_OR_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_UNSUPPORTED_FLAGS: Final = (
    "RequiresSession",
    "RequiresDuplicateDetection",
    "EnablePartitioning",
    "DeadLetteringOnFilterEvaluationExceptions",
)
_UNSUPPORTED_NAMES: Final = ("ForwardTo", "ForwardDeadLetteredMessagesTo", "AutoDeleteOnIdle")
_HARMLESS: Final = (
    "DuplicateDetectionHistoryTimeWindow",
    "EnableBatchedOperations",
    "UserMetadata",
)


class TopologyError(Exception):
    """The file asks for something impossible or unsupported; names the entity and property."""


@dataclass(frozen=True)
class SubscriptionSpec:
    """One subscription; its filters are alternatives, any of them suffices."""

    name: str
    lock_ms: int
    max_delivery_count: int
    default_ttl_ms: int | None
    dead_letter_expired: bool
    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class TopicSpec:
    """One topic with its subscriptions."""

    name: str
    default_ttl_ms: int | None
    subscriptions: tuple[SubscriptionSpec, ...]


def load_topology(path: Path) -> tuple[TopicSpec, ...]:
    """The topics that the file declares. Raises TopologyError, naming file, entity and property."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: {error}") from error
    try:
        return parse_topology(text)
    except TopologyError as error:
        raise TopologyError(f"{path}: {error}") from error


def parse_topology(text: str) -> tuple[TopicSpec, ...]:
    """The topics that the text declares; `//` and `/* */` comments are allowed."""

    def without_comment(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith('"') else " "

    try:
        document = json.loads(_COMMENT_OR_STRING.sub(without_comment, text))
    except json.JSONDecodeError as error:
        raise TopologyError(f"not JSON: {error}") from error
    namespaces = _at(
        _at(document, "the file", "UserConfig", dict), "UserConfig", "Namespaces", list
    )
    if len(namespaces) != 1:
        raise TopologyError(f"UserConfig: Namespaces holds {len(namespaces)}, exactly 1 is served")
    namespace = namespaces[0]
    if _at(namespace, "the namespace", "Queues", list, []):
        raise TopologyError("the namespace: Queues are not supported yet")
    topics = tuple(_topic(entry) for entry in _at(namespace, "the namespace", "Topics", list, []))
    _refuse_twins("the namespace", (topic.name for topic in topics))
    return topics


def _topic(entry: Any) -> TopicSpec:
    name = _at(entry, "a topic", "Name", str)
    where = f"topic {name}"
    properties = _Properties(where, _at(entry, where, "Properties", dict, {}))
    ttl = properties.duration_ms("DefaultMessageTimeToLive")
    properties.refuse_the_rest()
    subscriptions = tuple(
        _subscription(name, sub) for sub in _at(entry, where, "Subscriptions", list, [])
    )
    _refuse_twins(where, (subscription.name for subscription in subscriptions))
    return TopicSpec(name, ttl, subscriptions)


def _subscription(topic: str, entry: Any) -> SubscriptionSpec:
    name = _at(entry, f"a subscription of topic {topic}", "Name", str)
    where = f"subscription {topic}/{name}"
    properties = _Properties(where, _at(entry, where, "Properties", dict, {}))
    lock_ms = properties.duration_ms("LockDuration")
    spec = SubscriptionSpec(
        name=name,
        lock_ms=DEFAULT_LOCK_MS if lock_ms is None else lock_ms,
        max_delivery_count=properties.whole("MaxDeliveryCount", DEFAULT_MAX_DELIVERY_COUNT),
        default_ttl_ms=properties.duration_ms("DefaultMessageTimeToLive"),
        dead_letter_expired=properties.flag("DeadLetteringOnMessageExpiration"),
        filters=tuple(_filter(where, rule) for rule in _at(entry, where, "Rules", list, []))
        or (TrueFilter(),),
    )
    properties.refuse_the_rest()
    if not 0 < spec.lock_ms <= MAX_LOCK_MS:
        raise TopologyError(f"{where}: LockDuration must be above zero and at most PT5M")
    if not 1 <= spec.max_delivery_count <= MAX_DELIVERY_COUNT:
        raise TopologyError(f"{where}: MaxDeliveryCount must be 1 to {MAX_DELIVERY_COUNT}")
    return spec


def _filter(subscription: str, entry: Any) -> Filter:
    where = f"{subscription}, rule {_at(entry, f'a rule of {subscription}', 'Name', str)}"
    properties = _at(entry, where, "Properties", dict)
    if properties.get("Action"):
        raise TopologyError(f"{where}: Action is not supported yet")
    kind = _at(properties, where, "FilterType", str)
    if kind == "True":
        return TrueFilter()
    if kind != "Correlation":
        raise TopologyError(f"{where}: FilterType {kind} is not supported yet, only Correlation")
    conditions = dict(_at(properties, where, "CorrelationFilter", dict))
    application: dict[str, Scalar] = dict(conditions.pop("Properties", None) or {})
    system = {}
    for name, value in conditions.items():
        if name not in SYSTEM_PROPERTIES:
            raise TopologyError(f"{where}: CorrelationFilter has no property {name}")
        if not isinstance(value, str):
            raise TopologyError(f"{where}: {name} must be text")
        system[SYSTEM_PROPERTIES[name]] = value
    for name, value in application.items():
        if not isinstance(value, str | int | float | bool):
            raise TopologyError(f"{where}: property {name} must be text, a number or a boolean")
    if not system and not application:
        raise TopologyError(f"{where}: CorrelationFilter is empty")
    return CorrelationFilter(system, application)


class _Properties:
    """The properties of one entity: read one by one, and refused if any remains unread."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self._where = where
        self._values = dict(values)

    def _take(self, name: str, kind: type, default: Any) -> Any:
        value = self._values.pop(name, None)
        if value is None:
            return default
        if type(value) is not kind:
            raise TopologyError(f"{self._where}: {name} must be of type {kind.__name__}")
        return value

    def flag(self, name: str) -> bool:
        return bool(self._take(name, bool, default=False))

    def whole(self, name: str, default: int) -> int:
        return int(self._take(name, int, default))

    def duration_ms(self, name: str) -> int | None:
        """An ISO 8601 duration in milliseconds, None when it is not given."""
        text = self._take(name, str, None)
        if text is None:
            return None
        match = _DURATION.fullmatch(text)
        if match is None or not any(match.groups()):
            raise TopologyError(f"{self._where}: {name} is not a duration such as PT30S: {text!r}")
        parts = {unit: float(number or 0) for unit, number in match.groupdict().items()}
        hours = parts["days"] * 24 + parts["hours"]
        return int(((hours * 60 + parts["minutes"]) * 60 + parts["seconds"]) * 1000)

    def refuse_the_rest(self) -> None:
        for name in _UNSUPPORTED_FLAGS:
            if self._take(name, bool, default=False):
                raise TopologyError(f"{self._where}: {name} is not supported yet")
        for name in _UNSUPPORTED_NAMES:
            if self._take(name, str, None):
                raise TopologyError(f"{self._where}: {name} is not supported yet")
        for name in _HARMLESS:
            self._values.pop(name, None)
        if self._values:
            raise TopologyError(f"{self._where}: unknown property {next(iter(self._values))}")


_REQUIRED: Final = object()


def _at(parent: Any, where: str, name: str, kind: type, default: Any = _REQUIRED) -> Any:
    if not isinstance(parent, dict):
        raise TopologyError(f"{where} must be an object")
    value = parent.get(name)
    if value is None:
        if default is _REQUIRED:
            raise TopologyError(f"{where}: {name} is missing")
        return default
    if not isinstance(value, kind):
        raise TopologyError(f"{where}: {name} must be of type {kind.__name__}")
    return value


def _refuse_twins(where: str, names: Iterable[str]) -> None:
    """Entity names do not differ by case alone."""
    seen = set()
    for name in names:
        if name.lower() in seen:
            raise TopologyError(f"{where}: {name} is declared twice")
        seen.add(name.lower())
