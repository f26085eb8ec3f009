"""Where a subscription's events go, and what becomes of those that cannot be delivered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from localcloud.eventgrid.elements import Elements

WEBHOOK: Final = "WebHook"
FUNCTION: Final = "AzureFunction"
QUEUE: Final = "ServiceBusQueue"
TOPIC: Final = "ServiceBusTopic"
KINDS: Final = (WEBHOOK, FUNCTION, QUEUE, TOPIC)
MAX_MAPPINGS: Final = 10
MAX_HEADER: Final = 4096

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PROVIDERS: Final = {
    FUNCTION: "Microsoft.Web/sites/<app>/functions",
    QUEUE: "Microsoft.ServiceBus/namespaces/<namespace>/queues",
    TOPIC: "Microsoft.ServiceBus/namespaces/<namespace>/topics",
}
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_CONTAINER: Final = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Attribute:
    """A header or message property: a fixed value, or the path of one in the event."""

    name: str
    value: str | None
    path: str | None


@dataclass(frozen=True)
class Destination:
    """An endpoint. `name` is that of the function, queue or topic, or the webhook's address."""

    kind: str
    name: str
    url: str | None
    max_events: int
    preferred_bytes: int
    attributes: tuple[Attribute, ...]

    @property
    def is_batched(self) -> bool:
        return self.max_events > 1


def destination_of(entry: Elements) -> Destination:
    """What ARM's `destination` describes. Raises SpecRefused."""
    kind = entry.choice("endpointType", KINDS)
    properties = entry.within("properties")
    entry.end()
    events, kilobytes, url = 1, 64, None
    if kind in {WEBHOOK, FUNCTION}:
        events = properties.number("maxEventsPerBatch", 1, 5000, 1)
        kilobytes = properties.number("preferredBatchSizeInKilobytes", 1, 1024, 64)
    if kind == WEBHOOK:
        url = _webhook(properties)
        parts = urlsplit(url)
        name = f"{parts.scheme}://{parts.netloc}{parts.path}"
        properties.ignore("endpointBaseUrl")
    else:
        name = _last_segment(properties, _PROVIDERS[kind])
    attributes = tuple(map(_attribute, properties.each("deliveryAttributeMappings")))
    if len(attributes) > MAX_MAPPINGS:
        raise properties.wrong("deliveryAttributeMappings", f"holds more than {MAX_MAPPINGS}")
    properties.end()
    return Destination(kind, name, url, events, kilobytes * 1024, attributes)


def container_of(entry: Elements) -> str:
    """The blob container of ARM's `deadLetterDestination`. Raises SpecRefused."""
    entry.choice("endpointType", ("StorageBlob",))
    properties = entry.within("properties")
    entry.end()
    _last_segment(properties, "Microsoft.Storage/storageAccounts")
    container = properties.name("blobContainerName", _CONTAINER)
    properties.end()
    return container


def _webhook(properties: Elements) -> str:
    """Event Grid delivers to https alone; on this machine http does as well."""
    url: str = properties.take("endpointUrl", str)
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise properties.wrong("endpointUrl", "must be https, or http on this machine")
    if parts.fragment or any(ord(character) <= ord(" ") for character in url):
        raise properties.wrong("endpointUrl", "is no address")
    return url


def _last_segment(properties: Elements, path: str) -> str:
    """The name at the end of a resource id of that type; the rest means nothing here."""
    given: str = properties.take("resourceId", str)
    pattern = re.sub(r"<\w+>", "[^/]+", path)
    found = re.fullmatch(rf"/.+/providers/{pattern}/([^/]+)", given, re.IGNORECASE)
    if found is None:
        raise properties.wrong("resourceId", f"must end with /providers/{path}/<name>")
    return found[1]


def _attribute(entry: Elements) -> Attribute:
    name = entry.name("name", _HEADER_NAME)
    if name.lower().startswith("aeg-"):
        raise entry.wrong("name", "must not begin with aeg-")
    kind = entry.choice("type", ("Static", "Dynamic"))
    properties = entry.within("properties")
    entry.end()
    value = path = None
    if kind == "Static":
        value = properties.take("value", str)
        if len(value.encode()) > MAX_HEADER:
            raise properties.wrong("value", f"is longer than {MAX_HEADER} bytes")
        properties.take("isSecret", bool, default=False)
    else:
        path = properties.take("sourceField", str)
    properties.end()
    return Attribute(name, value, path)


def without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """A subscription's `properties` as a GET shows them: no query of a webhook, no secret value.

    Source: https://learn.microsoft.com/rest/api/eventgrid/controlplane/event-subscriptions/get
    """
    shown = dict(document)
    destination = dict(shown["destination"])
    properties = dict(destination["properties"])
    if url := properties.pop("endpointUrl", None):
        parts = urlsplit(url)
        properties["endpointBaseUrl"] = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if mappings := properties.get("deliveryAttributeMappings"):
        properties["deliveryAttributeMappings"] = [_veiled(entry) for entry in mappings]
    destination["properties"] = properties
    return shown | {"destination": destination}


def _veiled(mapping: Mapping[str, Any]) -> dict[str, Any]:
    properties = dict(mapping["properties"])
    if properties.get("isSecret"):
        properties["value"] = "Hidden"
    return dict(mapping) | {"properties": properties}
