"""Events leave through a table: written with the change, sent after it, in order per aggregate."""

from shared.outbox.dispatcher import Dispatcher
from shared.outbox.events import Outgoing, append, lag_s, prune
from shared.outbox.sender import Sender, ServiceBusSender

__all__ = [
    "Dispatcher",
    "Outgoing",
    "Sender",
    "ServiceBusSender",
    "append",
    "lag_s",
    "prune",
]
