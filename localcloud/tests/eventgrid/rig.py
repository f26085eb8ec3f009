"""An Event Grid under test, as whoever publishes, subscribes and looks on sees it."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from azure.core.credentials import AzureKeyCredential
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient

from localcloud.tests.eventgrid.hook import until

MODULE = "localcloud.eventgrid"
KEY = "bm90IGEgc2VjcmV0LCBidXQgYmFzZTY0"
SCALE = "0.001"
"""A wait of ten seconds becomes ten milliseconds."""
SCOPE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid"
VERSION = {"api-version": "2022-06-15"}
_NUMBERS = itertools.count()

QUEUE_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/n/queues/"
TOPIC_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/n/topics/"
FUNCTION_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a/functions/"
DEAD_LETTERS: dict[str, Any] = {
    "endpointType": "StorageBlob",
    "properties": {
        "resourceId": (
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"
        ),
        "blobContainerName": "eventgrid-dead-letters",
    },
}


def topology(path: Path, **topics: list[dict[str, Any]]) -> Path:
    """A file with a topic of CloudEvents for each name, and `grids` of Event Grid's own schema."""
    entries = [
        {
            "name": name,
            "properties": {
                "inputSchema": "EventGridSchema" if name == "grids" else "CloudEventSchemaV1_0"
            },
            "eventSubscriptions": subscriptions,
        }
        for name, subscriptions in topics.items()
    ]
    path.write_text(json.dumps({"topics": entries}), "utf-8")
    return path


def webhook(url: str, **properties: Any) -> dict[str, Any]:
    return {"endpointType": "WebHook", "properties": {"endpointUrl": url, **properties}}


def only(kind: str) -> dict[str, Any]:
    """A filter for one type of event."""
    return {"includedEventTypes": [kind]}


def fresh(prefix: str = "sub") -> str:
    return f"{prefix}-{next(_NUMBERS)}"


def cloud(kind: str = "order.stuck.v1", **fields: Any) -> CloudEvent[Any]:
    given = {"source": "/orders", "data": {"order_id": "o-1"}, "subject": "orders/1"} | fields
    return CloudEvent(type=kind, **given)


def grid_event(kind: str = "order.stuck", **fields: Any) -> EventGridEvent:
    given = {"subject": "orders/1", "data": {"order_id": "o-1"}, "data_version": "2"} | fields
    return EventGridEvent(event_type=kind, **given)


def raw_cloud(**changes: Any) -> dict[str, Any]:
    """A CloudEvent as JSON; `...` takes an attribute away."""
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"} | changes
    return {name: value for name, value in event.items() if value is not ...}


def raw_grid(**changes: Any) -> dict[str, Any]:
    """An event of Event Grid's schema as JSON; `...` takes an attribute away."""
    event = {
        "id": "1",
        "subject": "s",
        "eventType": "t",
        "eventTime": "2026-11-24T08:00:00Z",
        "data": {},
        "dataVersion": "1",
    } | changes
    return {name: value for name, value in event.items() if value is not ...}


@dataclass(frozen=True)
class Rig:
    """One running part."""

    url: str
    http: httpx.Client

    def endpoint(self, topic: str) -> str:
        return f"{self.url}/{topic}/api/events"

    def client(self, topic: str, key: str = KEY) -> EventGridPublisherClient:
        """The SDK as it comes, except that it does not retry behind a test's back."""
        credential = AzureKeyCredential(key)
        return EventGridPublisherClient(self.endpoint(topic), credential, retry_total=0)

    def publish(self, topic: str, *events: Any) -> None:
        with self.client(topic) as client:
            client.send(list(events))

    def post(self, topic: str, content: bytes, **headers: str) -> httpx.Response:
        """A request that the SDK would not send."""
        given = {"content-type": "application/cloudevents-batch+json", "aeg-sas-key": KEY}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(
            f"/{topic}/api/events",
            params={"api-version": "2018-01-01"},
            content=content,
            headers=given,
        )

    def arm(self, topic: str, name: str, kind: str = "topics") -> str:
        return f"{SCOPE}/{kind}/{topic}/eventSubscriptions/{name}"

    def subscribe(self, topic: str, destination: dict[str, Any], **properties: Any) -> str:
        """A new subscription; its name."""
        name = fresh()
        answer = self.put(topic, name, destination=destination, **properties)
        assert answer.status_code == 201, answer.text
        return name

    def put(self, topic: str, name: str, **properties: Any) -> httpx.Response:
        body = {"properties": properties}
        return self.http.put(self.arm(topic, name), params=VERSION, json=body)

    def drop(self, topic: str, name: str) -> None:
        assert self.http.delete(self.arm(topic, name), params=VERSION).status_code == 200

    def topic(self, name: str) -> dict[str, Any]:
        topics = self.http.get("/overview").json()["topics"]
        (found,) = [topic for topic in topics if topic["name"] == name]
        return dict(found)

    def state(self, topic: str, name: str) -> dict[str, Any]:
        """A subscription as the overview shows it."""
        (found,) = [s for s in self.topic(topic)["subscriptions"] if s["name"] == name]
        return dict(found)

    def settled(self, topic: str, name: str) -> dict[str, Any]:
        """The subscription once nothing waits for it."""
        return until(
            lambda: self.state(topic, name),
            lambda s: s["pending"] == 0 and s["dead_lettering"] == 0,
        )

    def dead(self, topic: str, name: str) -> list[dict[str, Any]]:
        asked = {"topic": topic, "subscription": name}
        found: list[dict[str, Any]] = self.http.get("/dead-letters", params=asked).json()[
            "dead_letters"
        ]
        return found
