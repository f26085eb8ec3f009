"""Where the parts of the local cloud around the dashboard answer, and with which keys."""

from collections.abc import Callable
from dataclasses import dataclass

from localcloud import environment
from localcloud.dashboard.hub import TaskHub
from localcloud.dashboard.mailboxes import KEY_NAME, Broker
from localcloud.dashboard.neighbours import Neighbour
from localcloud.dashboard.peeking import Window
from localcloud.ports import HOST
from localcloud.state import CloudRecord, StateFolder

STOPPED = "No local cloud runs here."


@dataclass(frozen=True, slots=True)
class Addresses:
    """Of one running cloud."""

    broker: Broker
    window: Window
    platform: TaskHub
    eventgrid: Neighbour
    communication: Neighbour


type Find = Callable[[], Addresses | None]
"""Looks up the cloud that runs now; None when none does."""


def find(folder: StateFolder) -> Addresses | None:
    """The cloud that runs on that state folder."""
    record = folder.running()
    if record is None:
        return None
    secrets, ports = folder.secrets(), record.ports
    connection = (
        f"Endpoint=sb://{HOST}:{ports['servicebus']};SharedAccessKeyName={KEY_NAME};"
        f"SharedAccessKey={secrets.servicebus};UseDevelopmentEmulator=true;"
    )
    return Addresses(
        broker_of(folder, record),
        Window(connection),
        TaskHub(environment.database_url(ports, "platform", secrets.platform)),
        _neighbour(record, "eventgrid", "Event Grid"),
        _neighbour(record, "communication", "Communication Services"),
    )


def broker_of(folder: StateFolder, record: CloudRecord) -> Broker:
    """The administration API of a cloud's broker."""
    port = record.ports["servicebus-admin"]
    return Broker(HOST, port, folder.secrets().servicebus, folder.servicebus_certificate)


def _neighbour(record: CloudRecord, part: str, title: str) -> Neighbour:
    runs = any(each.name == part for each in record.parts)
    return Neighbour(part, title, environment.url(record.ports, part) if runs else None)
