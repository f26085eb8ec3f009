"""Events leave through a table: written with the change, sent after it, in order per aggregate."""

from shared.outbox.channels import EVENT_GRID, SERVICE_BUS, Outgoing
from shared.outbox.dispatcher import Dispatcher
from shared.outbox.dispatchers import Dispatchers
from shared.outbox.events import PUBLISHED, append, prune
from shared.outbox.publisher import EventGridPublisher
from shared.outbox.sender import Sender, ServiceBusSender

__all__ = [
    "EVENT_GRID",
    "PUBLISHED",
    "SERVICE_BUS",
    "Dispatcher",
    "Dispatchers",
    "EventGridPublisher",
    "Outgoing",
    "Sender",
    "ServiceBusSender",
    "append",
    "prune",
]
