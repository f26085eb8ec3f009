"""Reads the topology file, in the shape of Microsoft's Service Bus emulator `Config.json`."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcloud.servicebus.rule_entries import rule_of
from localcloud.servicebus.rules import Rule
from localcloud.servicebus.specs import (
    InvalidSetting,
    QueueSpec,
    SubscriptionSpec,
    TopicSpec,
)

_COMMENT_OR_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


class TopologyError(Exception):
    """The file asks for something impossible or unsupported; names the entity and property."""


@dataclass(frozen=True)
class Topology:
    """The entities of one namespace. What they forward to exists."""

    queues: tuple[QueueSpec, ...]
    topics: tuple[TopicSpec, ...]
    subscriptions: tuple[SubscriptionSpec, ...]


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
    pairs = [_topic(entry) for entry in _at(namespace, "the namespace", "Topics", list, [])]
    topics = tuple(topic for topic, _ in pairs)
    subscriptions = tuple(sub for _, subs in pairs for sub in subs)
    _refuse_twins("the namespace", (spec.name for spec in (*queues, *topics)))
    topology = Topology(queues, topics, subscriptions)
    _refuse_dead_ends(topology)
    return topology


def _queue(entry: Any) -> QueueSpec:
    name = _at(entry, "a queue", "Name", str)
    where = f"queue {name}"
    try:
        return QueueSpec.of(name, _at(entry, where, "Properties", dict, {}))
    except InvalidSetting as error:
        raise TopologyError(f"{where}: {error}") from error


def _topic(entry: Any) -> tuple[TopicSpec, Sequence[SubscriptionSpec]]:
    name = _at(entry, "a topic", "Name", str)
    where = f"topic {name}"
    try:
        topic = TopicSpec.of(name, _at(entry, where, "Properties", dict, {}))
    except InvalidSetting as error:
        raise TopologyError(f"{where}: {error}") from error
    subscriptions = [
        _subscription(name, sub) for sub in _at(entry, where, "Subscriptions", list, [])
    ]
    _refuse_twins(where, (subscription.name for subscription in subscriptions))
    return topic, subscriptions


def _subscription(topic: str, entry: Any) -> SubscriptionSpec:
    name = _at(entry, f"a subscription of topic {topic}", "Name", str)
    where = f"subscription {topic}/{name}"
    rules = [_rule(where, rule) for rule in _at(entry, where, "Rules", list, [])]
    _refuse_twins(where, (rule.name for rule in rules))
    more = {"rules": tuple(rules)} if rules else {}
    try:
        properties = _at(entry, where, "Properties", dict, {})
        return SubscriptionSpec.of(name, properties, topic=topic, **more)
    except InvalidSetting as error:
        raise TopologyError(f"{where}: {error}") from error


def _rule(subscription: str, entry: Any) -> Rule:
    where = f"{subscription}, rule {_at(entry, f'a rule of {subscription}', 'Name', str)}"
    try:
        return rule_of(entry)
    except InvalidSetting as error:
        raise TopologyError(f"{where}: {error}") from error


def _refuse_dead_ends(topology: Topology) -> None:
    """What is forwarded must arrive somewhere else."""
    sources: list[tuple[str, QueueSpec | SubscriptionSpec]] = [
        *((f"queue {spec.name}", spec) for spec in topology.queues),
        *((f"subscription {spec.topic}/{spec.name}", spec) for spec in topology.subscriptions),
    ]
    targets = {spec.name.lower() for spec in (*topology.queues, *topology.topics)}
    for where, spec in sources:
        for name, target in (
            ("ForwardTo", spec.forward_to),
            ("ForwardDeadLetteredMessagesTo", spec.forward_dead_letters_to),
        ):
            if target is not None and target.lower() not in targets:
                raise TopologyError(f"{where}: {name} names {target}, which does not exist")
            if target is not None and where == f"queue {target}":
                raise TopologyError(f"{where}: {name} names the queue itself")


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
    """Names of one kind do not differ by case alone."""
    seen = set()
    for name in names:
        if name.lower() in seen:
            raise TopologyError(f"{where}: {name} is declared twice")
        seen.add(name.lower())
