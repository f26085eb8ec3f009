"""The link over which a client publishes to a topic or queue."""

from typing import TYPE_CHECKING, Final

from localcloud.servicebus.broker import Entity
from localcloud.servicebus.errors import AmqpError
from localcloud.servicebus.links import IncomingLink
from localcloud.servicebus.message import Content, unpack_batch
from localcloud.servicebus.performatives import Attach, Transfer

if TYPE_CHECKING:
    from localcloud.servicebus.session import Session

BATCH_FORMAT: Final = 0x80013700
"""The message format of a Service Bus batch: each data section is a whole message."""


class PublishLink(IncomingLink):
    """Messages for a topic or queue. Each is confirmed when it is on disk."""

    def __init__(self, session: "Session", attach: Attach, entity: Entity) -> None:
        super().__init__(session, attach)
        self._entity = entity

    def receive(self, transfer: Transfer, data: bytes) -> None:
        encoded = unpack_batch(data) if transfer.message_format == BATCH_FORMAT else [data]
        contents = [Content.parse(message) for message in encoded]
        connection = self.session.connection

        def stored(failure: AmqpError | None) -> None:
            connection.publish_finished()
            if failure is None:
                self.confirm(transfer)
            else:
                self.refuse(transfer, failure)

        connection.publish_started()
        try:
            connection.broker.publish(self._entity, contents, stored)
        except AmqpError:
            connection.publish_finished()
            raise
