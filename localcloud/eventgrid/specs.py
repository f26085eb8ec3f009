"""Topics and event subscriptions as ARM describes them.

Source: https://learn.microsoft.com/azure/templates/microsoft.eventgrid/eventsubscriptions
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.eventgrid.destinations import (
    QUEUE,
    TOPIC,
    Destination,
    container_of,
    destination_of,
)
from localcloud.eventgrid.elements import Elements
from localcloud.eventgrid.events import CLOUD, GRID, SCHEMAS
from localcloud.eventgrid.filters import Filter, filter_of

SCOPE: Final = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/localcloud"
MAX_ATTEMPTS: Final = 30
MAX_MINUTES: Final = 1440

TOPIC_NAME: Final = re.compile(r"[A-Za-z0-9-]{3,50}")
SUBSCRIPTION_NAME: Final = re.compile(r"[A-Za-z0-9-]{3,64}")


@dataclass(frozen=True)
class TopicSpec:
    """A topic, or a system topic when it has a `topic_type`."""

    name: str
    schema: str
    topic_type: str | None = None
    keys_open: bool = True

    @property
    def kind(self) -> str:
        """The last segment of the resource's type."""
        return "systemTopics" if self.topic_type else "topics"

    @property
    def id(self) -> str:
        """The resource id."""
        return f"{SCOPE}/providers/Microsoft.EventGrid/{self.kind}/{self.name}"


@dataclass(frozen=True)
class SubscriptionSpec:
    """An event subscription. `document` is what ARM's `properties` say of it."""

    topic: str
    name: str
    destination: Destination
    filter: Filter
    schema: str
    attempts: int
    minutes: int
    container: str | None
    expires_at: float | None
    document: Mapping[str, Any]

    @property
    def needs_handshake(self) -> bool:
        return self.destination.url is not None


def topic_of(entry: Elements) -> TopicSpec:
    """The topic that an element of `topics` describes. Raises SpecRefused."""
    name = entry.name("name", TOPIC_NAME)
    entry.ignore("id", "type", "location", "tags", "sku", "kind", "systemData")
    properties = entry.within("properties", {})
    schema = properties.choice("inputSchema", SCHEMAS, GRID)
    # Who reaches the local topic stands inside the network that a private topic is reached from.
    properties.choice("publicNetworkAccess", ("Enabled", "Disabled"), "Enabled")
    keys_open = not properties.take("disableLocalAuth", bool, default=False)
    properties.choice("minimumTlsVersionAllowed", ("1.0", "1.1", "1.2"), "1.2")
    properties.ignore("endpoint", "provisioningState", "metricResourceId")
    properties.end()
    return TopicSpec(name, schema, keys_open=keys_open)


def system_topic_of(entry: Elements) -> TopicSpec:
    """The topic that an element of `systemTopics` describes. Raises SpecRefused."""
    name = entry.name("name", TOPIC_NAME)
    entry.ignore("id", "type", "location", "tags", "systemData")
    properties = entry.within("properties")
    topic_type = properties.take("topicType", str)
    properties.take("source", str, "")
    properties.ignore("provisioningState", "metricResourceId")
    properties.end()
    return TopicSpec(name, GRID, topic_type)


def subscription_of(topic: TopicSpec, name: str, document: Mapping[str, Any]) -> SubscriptionSpec:
    """The subscription whose ARM `properties` are `document`. Raises SpecRefused."""
    entry = Elements(document, f"{topic.name}/{name}.properties")
    destination = destination_of(entry.within("destination"))
    chosen = filter_of(entry.within("filter", {}))
    default = CLOUD if topic.schema == CLOUD else GRID
    schema = entry.choice("eventDeliverySchema", SCHEMAS, default)
    if topic.schema == CLOUD and schema != CLOUD:
        raise entry.wrong("eventDeliverySchema", "must be that of the topic, CloudEventSchemaV1_0")
    policy = entry.within("retryPolicy", {})
    attempts = policy.number("maxDeliveryAttempts", 1, MAX_ATTEMPTS, MAX_ATTEMPTS)
    minutes = policy.number("eventTimeToLiveInMinutes", 1, MAX_MINUTES, MAX_MINUTES)
    policy.end()
    dead = entry.take("deadLetterDestination", dict, {})
    container = None
    if dead:
        container = container_of(Elements(dead, f"{entry.place}.deadLetterDestination"))
    expires_at = _expiry(entry)
    entry.strings("labels")
    entry.ignore("topic", "provisioningState")
    entry.end()
    _refuse_both_ids(entry, destination)
    return SubscriptionSpec(
        topic.name,
        name,
        destination,
        chosen,
        schema,
        attempts,
        minutes,
        container,
        expires_at,
        dict(document),
    )


def _expiry(entry: Elements) -> float | None:
    given: str | None = entry.take("expirationTimeUtc", str, "") or None
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise entry.wrong("expirationTimeUtc", f"{given!r} is no time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _refuse_both_ids(entry: Elements, destination: Destination) -> None:
    """Source: https://learn.microsoft.com/azure/event-grid/delivery-properties (Service Bus)."""
    names = {attribute.name.lower() for attribute in destination.attributes}
    if destination.kind in {QUEUE, TOPIC} and {"sessionid", "messageid"} <= names:
        raise entry.wrong("destination", "may set SessionId or MessageId, not both")
