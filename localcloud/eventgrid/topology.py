"""Reads the topology file: topics, system topics and their event subscriptions.

`topics` and `systemTopics` are arrays of ARM's resources (`name`, `properties`); each may hold
`eventSubscriptions`, an array of the same shape. `//` and `/* */` comments are allowed.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcloud.eventgrid.elements import Elements, SpecRefused
from localcloud.eventgrid.specs import (
    SUBSCRIPTION_NAME,
    SubscriptionSpec,
    TopicSpec,
    subscription_of,
    system_topic_of,
    topic_of,
)

_COMMENT_OR_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


@dataclass(frozen=True)
class Topology:
    """What the file declares."""

    topics: tuple[TopicSpec, ...]
    subscriptions: tuple[SubscriptionSpec, ...]


def load_topology(path: Path) -> Topology:
    """What the file declares. Raises SpecRefused, naming file, place and element."""
    try:
        return parse_topology(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, SpecRefused) as error:
        raise SpecRefused(f"{path}: {error}") from error


def parse_topology(text: str) -> Topology:
    """What the text declares. Raises SpecRefused."""

    def without_comment(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith('"') else " "

    try:
        document = json.loads(_COMMENT_OR_STRING.sub(without_comment, text))
    except ValueError as error:
        raise SpecRefused(f"not JSON: {error}") from error
    file = Elements(document, "topology")
    file.ignore("$schema")
    topics: dict[str, TopicSpec] = {}
    subscriptions: dict[tuple[str, str], SubscriptionSpec] = {}
    for member, read in (("topics", topic_of), ("systemTopics", system_topic_of)):
        for entry in file.each(member):
            owned = entry.each("eventSubscriptions")
            topic = read(entry)
            entry.end()
            if topic.name.lower() in topics:
                raise entry.wrong("name", f"{topic.name} is declared twice")
            topics[topic.name.lower()] = topic
            for child in owned:
                name, properties = _parts(child)
                if (topic.name, name.lower()) in subscriptions:
                    raise child.wrong("name", f"{name} is declared twice")
                made = subscription_of(topic, name, properties)
                subscriptions[topic.name, name.lower()] = made
    file.end()
    return Topology(tuple(topics.values()), tuple(subscriptions.values()))


def _parts(entry: Elements) -> tuple[str, dict[str, Any]]:
    name = entry.name("name", SUBSCRIPTION_NAME)
    properties: dict[str, Any] = entry.take("properties", dict)
    entry.ignore("id", "type", "systemData")
    entry.end()
    return name, properties
