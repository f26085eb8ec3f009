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
    Rule,
    Scalar,
    SqlAction,
    SqlFilter,
    TrueFilter,
)
from localcloud.servicebus.sql import SqlError

MAX_LOCK_MS: Final = 300_000
MAX_DELIVERY_COUNT: Final = 2_000
DEFAULT_LOCK_MS: Final = 60_000
DEFAULT_MAX_DELIVERY_COUNT: Final = 10
DEFAULT_DUPLICATE_WINDOW_MS: Final = 600_000
MIN_DUPLICATE_WINDOW_MS: Final = 20_000
MAX_DUPLICATE_WINDOW_MS: Final = 7 * 24 * 3_600_000

_COMMENT_OR_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_UNSUPPORTED_FLAGS: Final = ("EnablePartitioning", "DeadLetteringOnFilterEvaluationExceptions")
_UNSUPPORTED_NAMES: Final = ("AutoDeleteOnIdle",)
_HARMLESS: Final = ("EnableBatchedOperations", "UserMetadata")


class TopologyError(Exception):
    """The file asks for something impossible or unsupported; names the entity and property."""


@dataclass(frozen=True, kw_only=True)
class QueueSpec:
    """One queue, or what a subscription has in common with one."""

    name: str
    lock_ms: int
    max_delivery_count: int
    default_ttl_ms: int | None
    dead_letter_expired: bool
    requires_session: bool
    forward_to: str | None
    forward_dead_letters_to: str | None
    duplicate_window_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class SubscriptionSpec(QueueSpec):
    """One subscription; its rules are alternatives, any of them suffices."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class TopicSpec:
    """One topic with its subscriptions."""

    name: str
    default_ttl_ms: int | None
    duplicate_window_ms: int | None
    subscriptions: tuple[SubscriptionSpec, ...]


@dataclass(frozen=True)
class Topology:
    """The entities of one namespace. What they forward to exists."""

    queues: tuple[QueueSpec, ...]
    topics: tuple[TopicSpec, ...]


def load_topology(path: Path) -> Topology:
    """The entities of the file. Raises TopologyError, naming file, entity and property."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: {error}") from error
    try:
        return parse_topology(text)
    except TopologyError as error:
        raise TopologyError(f"{path}: {error}") from error


def parse_topology(text: str) -> Topology:
    """The entities that the text declares; `//` and `/* */` comments are allowed."""

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
    queues = tuple(_queue(entry) for entry in _at(namespace, "the namespace", "Queues", list, []))
    topics = tuple(_topic(entry) for entry in _at(namespace, "the namespace", "Topics", list, []))
    _refuse_twins(
        "the namespace", [*(queue.name for queue in queues), *(topic.name for topic in topics)]
    )
    topology = Topology(queues, topics)
    _refuse_dead_ends(topology)
    return topology


def _queue(entry: Any) -> QueueSpec:
    name = _at(entry, "a queue", "Name", str)
    where = f"queue {name}"
    properties = _Properties(where, _at(entry, where, "Properties", dict, {}))
    window_ms = _duplicate_window_ms(properties, where)
    common = _common(properties, where)
    properties.refuse_the_rest()
    return QueueSpec(name=name, duplicate_window_ms=window_ms, **common)


def _topic(entry: Any) -> TopicSpec:
    name = _at(entry, "a topic", "Name", str)
    where = f"topic {name}"
    properties = _Properties(where, _at(entry, where, "Properties", dict, {}))
    ttl_ms = properties.duration_ms("DefaultMessageTimeToLive")
    window_ms = _duplicate_window_ms(properties, where)
    properties.refuse_the_rest()
    subscriptions = tuple(
        _subscription(name, sub) for sub in _at(entry, where, "Subscriptions", list, [])
    )
    _refuse_twins(where, (subscription.name for subscription in subscriptions))
    return TopicSpec(name, ttl_ms, window_ms, subscriptions)


def _subscription(topic: str, entry: Any) -> SubscriptionSpec:
    name = _at(entry, f"a subscription of topic {topic}", "Name", str)
    where = f"subscription {topic}/{name}"
    properties = _Properties(where, _at(entry, where, "Properties", dict, {}))
    rules = tuple(_rule(where, rule) for rule in _at(entry, where, "Rules", list, []))
    common = _common(properties, where)
    properties.refuse_the_rest()
    return SubscriptionSpec(name=name, rules=rules or (Rule(TrueFilter()),), **common)


def _common(properties: "_Properties", where: str) -> dict[str, Any]:
    """What queues and subscriptions share, as arguments of their specs."""
    lock_ms = properties.duration_ms("LockDuration")
    lock_ms = DEFAULT_LOCK_MS if lock_ms is None else lock_ms
    count = properties.whole("MaxDeliveryCount", DEFAULT_MAX_DELIVERY_COUNT)
    requires_session = properties.flag("RequiresSession")
    forward_to = properties.text("ForwardTo")
    if not 0 < lock_ms <= MAX_LOCK_MS:
        raise TopologyError(f"{where}: LockDuration must be above zero and at most PT5M")
    if not 1 <= count <= MAX_DELIVERY_COUNT:
        raise TopologyError(f"{where}: MaxDeliveryCount must be 1 to {MAX_DELIVERY_COUNT}")
    if requires_session and forward_to is not None:
        raise TopologyError(f"{where}: RequiresSession excludes ForwardTo")
    return {
        "lock_ms": lock_ms,
        "max_delivery_count": count,
        "default_ttl_ms": properties.duration_ms("DefaultMessageTimeToLive"),
        "dead_letter_expired": properties.flag("DeadLetteringOnMessageExpiration"),
        "requires_session": requires_session,
        "forward_to": forward_to,
        "forward_dead_letters_to": properties.text("ForwardDeadLetteredMessagesTo"),
    }


def _duplicate_window_ms(properties: "_Properties", where: str) -> int | None:
    name = "DuplicateDetectionHistoryTimeWindow"
    window_ms = properties.duration_ms(name)
    if not properties.flag("RequiresDuplicateDetection"):
        return None
    if window_ms is None:
        return DEFAULT_DUPLICATE_WINDOW_MS
    if not MIN_DUPLICATE_WINDOW_MS <= window_ms <= MAX_DUPLICATE_WINDOW_MS:
        raise TopologyError(f"{where}: {name} must be PT20S to P7D")
    return window_ms


def _refuse_dead_ends(topology: Topology) -> None:
    """What is forwarded must arrive somewhere else."""
    sources = {f"queue {spec.name}": spec for spec in topology.queues}
    for topic in topology.topics:
        sources |= {f"subscription {topic.name}/{sub.name}": sub for sub in topic.subscriptions}
    targets = {queue.name.lower() for queue in topology.queues}
    targets |= {topic.name.lower() for topic in topology.topics}
    for where, spec in sources.items():
        for name, target in (
            ("ForwardTo", spec.forward_to),
            ("ForwardDeadLetteredMessagesTo", spec.forward_dead_letters_to),
        ):
            if target is not None and target.lower() not in targets:
                raise TopologyError(f"{where}: {name} names {target}, which does not exist")
            if target is not None and where == f"queue {target}":
                raise TopologyError(f"{where}: {name} names the queue itself")


def _rule(subscription: str, entry: Any) -> Rule:
    where = f"{subscription}, rule {_at(entry, f'a rule of {subscription}', 'Name', str)}"
    properties = _at(entry, where, "Properties", dict)
    kind = _at(properties, where, "FilterType", str)
    action = _at(properties, where, "Action", dict, {}).get("SqlExpression")
    try:
        if kind == "Sql":
            sql = _at(properties, where, "SqlFilter", dict)
            chosen: Filter = SqlFilter(_at(sql, where, "SqlExpression", str))
        else:
            chosen = _filter(where, kind, properties)
        return Rule(chosen, SqlAction(str(action)) if action else None)
    except SqlError as error:
        raise TopologyError(f"{where}: {error}") from error


def _filter(where: str, kind: str, properties: Any) -> Filter:
    if kind == "True":
        return TrueFilter()
    if kind == "False":
        return SqlFilter("FALSE")
    if kind != "Correlation":
        raise TopologyError(f"{where}: FilterType {kind} is unknown")
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

    def text(self, name: str) -> str | None:
        """Some text, None when it is not given or empty."""
        return self._take(name, str, None) or None

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
