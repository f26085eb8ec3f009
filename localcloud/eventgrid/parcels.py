"""What travels to a subscriber: the event's JSON, and the facts that stand beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.eventgrid.destinations import Attribute
from localcloud.eventgrid.events import CLOUD, Event, delivered, path_of
from localcloud.eventgrid.specs import SubscriptionSpec

Properties = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Parcel:
    """One event on its way to one subscription. `attempts` are those before this one."""

    seq: int
    guid: str
    published_at: float
    attempts: int
    attempted_at: float | None
    outcome: str | None
    event: Event
    text: str

    @classmethod
    def of(cls, row: Mapping[str, Any], spec: SubscriptionSpec, schema: str) -> "Parcel":
        """From a row of DUE; `schema` is that of the topic."""
        body = json.loads(row["body"])
        text = row["body"]
        if schema != spec.schema:
            text = json.dumps(delivered(body, schema, spec.schema))
        return cls(
            row["event"],
            row["guid"],
            row["published_at"],
            row["attempts"],
            row["attempted_at"],
            row["outcome"],
            Event(schema, body),
            text,
        )


def properties_of(spec: SubscriptionSpec, parcel: Parcel) -> Properties:
    """What Event Grid itself says of a delivery.

    Source: https://learn.microsoft.com/azure/event-grid/handler-service-bus (message headers)
    """
    facts: Properties = {
        "aeg-subscription-name": spec.name.upper(),
        "aeg-delivery-count": str(parcel.attempts),
        "aeg-event-type": "Notification",
        "aeg-metadata-version": "1.0" if spec.schema == CLOUD else "1",
        "aeg-output-event-id": parcel.guid,
    }
    version = parcel.event.data_version
    if version is not None and spec.schema != CLOUD:
        facts["aeg-data-version"] = version
    return facts


def chosen_properties(attributes: Sequence[Attribute], event: Event) -> Properties:
    """What the subscription adds. A path at which no string, number or boolean stands adds none."""
    chosen: Properties = {}
    for attribute in attributes:
        value: Any = attribute.value
        if attribute.path is not None:
            value = event.at(path_of(attribute.path, event.schema))
        if isinstance(value, str | int | float):
            chosen[attribute.name] = value
    return chosen
