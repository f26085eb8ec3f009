"""An AMQP session: the windows of both directions, its links, and unsettled deliveries."""

from collections import deque
from typing import TYPE_CHECKING, Final
from uuid import UUID

from localcloud.servicebus import cbs
from localcloud.servicebus import encoding as enc
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.attaching import open_link, path_of, unauthorized
from localcloud.servicebus.consuming import ConsumeLink
from localcloud.servicebus.errors import (
    HANDLE_IN_USE,
    NOT_ALLOWED,
    UNATTACHED_HANDLE,
    WINDOW_VIOLATION,
    AmqpError,
    MessageLockLost,
)
from localcloud.servicebus.links import Link, ReplyLink
from localcloud.servicebus.performatives import Attach, Disposition, Fields, Flow, Transfer

if TYPE_CHECKING:
    from localcloud.servicebus.connection import Connection

WINDOW: Final = 2_048
HANDLE_MAX: Final = 255
MANAGEMENT_SUFFIX: Final = "/$management"
COORDINATOR: Final = 0x30
_TRANSFER_OVERHEAD: Final = 64


class Session:
    """One session of a connection. Delivery ids count deliveries, transfer ids their frames."""

    def __init__(self, connection: "Connection", channel: int, begin: Fields) -> None:
        self.connection = connection
        self._channel = channel
        self._links: dict[int, Link] = {}
        self._unsettled: dict[int, tuple[ConsumeLink, UUID]] = {}
        self._next_incoming = begin.required_number(1)
        self._incoming_window = WINDOW
        self._next_outgoing = 0
        self._next_delivery = 0
        self._remote_window = begin.required_number(2)
        self._blocked: deque[bytes] = deque()
        self.send(
            enc.composite(
                amqp.BEGIN,
                (
                    enc.ushort(channel),
                    enc.uint(0),
                    enc.uint(WINDOW),
                    enc.uint(WINDOW),
                    enc.uint(HANDLE_MAX),
                ),
            )
        )

    def send(self, body: bytes) -> None:
        self.connection.send(self._channel, body)

    def close(self) -> None:
        for link in tuple(self._links.values()):
            link.close()
        self._links.clear()

    def can_send(self) -> bool:
        return self._remote_window > 0 and not self._blocked and self.connection.can_send()

    def wake(self) -> None:
        """Whatever stopped deliveries is over."""
        for link in self._links.values():
            if isinstance(link, ConsumeLink):
                link.credited()

    def end_unauthorized(self) -> None:
        """End the links whose tokens have expired."""
        for link in tuple(self._links.values()):
            path = path_of(link.attach)
            if not link.closed and path != cbs.ADDRESS and not self.connection.gate.allows(path):
                link.detach(unauthorized(path))

    def end_links(self, path: str, error: AmqpError) -> None:
        """End the links to an entity, and to what lies below it, for this reason."""
        for link in tuple(self._links.values()):
            address = path_of(link.attach)
            if not link.closed and (address == path or address.startswith(f"{path}/")):
                link.detach(error)

    def reply_link(self, path: str) -> ReplyLink | None:
        """The link that carries the answers of a node."""
        for link in self._links.values():
            if isinstance(link, ReplyLink) and link.path == path and not link.closed:
                return link
        return None

    def remember(self, delivery_id: int, link: ConsumeLink, token: UUID) -> None:
        self._unsettled[delivery_id] = (link, token)

    def forget(self, link: ConsumeLink) -> None:
        """The link is gone; its deliveries stay locked, but can no longer be settled here."""
        stale = [key for key, (owner, _) in self._unsettled.items() if owner is link]
        for delivery_id in stale:
            del self._unsettled[delivery_id]

    def send_flow(
        self, handle: int, delivery_count: int, credit: int, *, drain: bool = False
    ) -> None:
        self.send(
            enc.composite(
                amqp.FLOW,
                (
                    *self._windows(),
                    enc.uint(handle),
                    enc.uint(delivery_count),
                    enc.uint(credit),
                    enc.NULL,
                    enc.TRUE if drain else enc.NULL,
                ),
            )
        )

    def _windows(self) -> tuple[bytes, bytes, bytes, bytes]:
        return (
            enc.uint(self._next_incoming),
            enc.uint(self._incoming_window),
            enc.uint(self._next_outgoing),
            enc.uint(WINDOW),
        )

    def send_detach(self, handle: int, error: AmqpError | None) -> None:
        reason = enc.NULL if error is None else amqp.error_list(error)
        self.send(enc.composite(amqp.DETACH, (enc.uint(handle), enc.TRUE, reason)))

    def send_disposition(self, delivery_id: int | None, state: bytes, *, sent: bool) -> None:
        """Settle a delivery that the broker sent, or one that it received."""
        assert delivery_id is not None
        first = enc.uint(delivery_id)
        fields = (enc.boolean(not sent), first, first, enc.TRUE, state)
        self.send(enc.composite(amqp.DISPOSITION, fields))

    def send_transfer(self, handle: int, tag: bytes, payload: bytes, *, settled: bool) -> int:
        """Send a delivery in as many frames as the peer needs; returns its delivery id."""
        delivery_id = self._next_delivery
        self._next_delivery = (delivery_id + 1) & amqp.UINT_MAX
        room = self.connection.peer_max_frame_size - _TRANSFER_OVERHEAD
        head = (
            enc.uint(handle),
            enc.uint(delivery_id),
            enc.binary(tag),
            enc.uint(0),
            enc.boolean(settled),
        )
        at = 0
        while True:
            more = at + room < len(payload)
            body = enc.composite(amqp.TRANSFER, (*head, enc.boolean(more)))
            self._blocked.append(body + payload[at : at + room])
            self._next_outgoing = (self._next_outgoing + 1) & amqp.UINT_MAX
            at += room
            if not more:
                break
        self._send_blocked()
        return delivery_id

    def _send_blocked(self) -> None:
        while self._blocked and self._remote_window > 0:
            self._remote_window -= 1
            self.send(self._blocked.popleft())

    def on_attach(self, attach: Attach) -> None:
        if attach.handle > HANDLE_MAX:
            raise AmqpError(NOT_ALLOWED, f"Handles go up to {HANDLE_MAX}.")
        if attach.handle in self._links:
            raise AmqpError(HANDLE_IN_USE, f"Handle {attach.handle} is in use.")
        try:
            link = open_link(self, attach)
        except AmqpError as error:
            link = Link(self, attach)
            self._links[attach.handle] = link  # until the peer detaches it too
            link.refuse_attach(error)
            return
        self._links[attach.handle] = link
        link.accept()

    def on_detach(self, handle: int) -> None:
        link = self._links.pop(handle, None)
        if link is None:
            raise _unattached(handle)
        if not link.closed:
            link.leave()

    def on_flow(self, flow: Flow) -> None:
        acknowledged = (
            self._next_outgoing if flow.next_incoming_id is None else flow.next_incoming_id
        )
        in_flight = (self._next_outgoing - len(self._blocked) - acknowledged) & amqp.UINT_MAX
        self._remote_window = max(flow.incoming_window - in_flight, 0)
        self._send_blocked()
        if flow.handle is not None:
            link = self._links.get(flow.handle)
            if link is None:
                raise _unattached(flow.handle)
            if not link.closed:
                link.on_flow(flow)
            return
        if flow.echo:
            self.send(enc.composite(amqp.FLOW, self._windows()))
        self.wake()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming = (self._next_incoming + 1) & amqp.UINT_MAX
        self._incoming_window -= 1
        if self._incoming_window < 0:
            raise AmqpError(WINDOW_VIOLATION, "A transfer exceeds the window of the session.")
        if self._incoming_window <= WINDOW // 2:
            self._incoming_window = WINDOW
            self.send(enc.composite(amqp.FLOW, self._windows()))
        link = self._links.get(transfer.handle)
        if link is None:
            raise _unattached(transfer.handle)
        if not link.closed:
            link.on_transfer(transfer, payload)

    def on_disposition(self, disposition: Disposition) -> None:
        if not disposition.peer_receives:
            return
        first, last = disposition.first, disposition.last
        if last - first > len(self._unsettled):
            wanted = [key for key in self._unsettled if first <= key <= last]
        else:
            wanted = list(range(first, last + 1))
        for delivery_id in wanted:
            held = self._unsettled.pop(delivery_id, None)
            if held is not None:
                link, token = held
                link.settle(delivery_id, token, disposition)
            elif not disposition.settled:
                state = amqp.rejected(MessageLockLost())
                self.send_disposition(delivery_id, state, sent=True)


def _unattached(handle: int) -> AmqpError:
    return AmqpError(UNATTACHED_HANDLE, f"No link is attached to handle {handle}.")
