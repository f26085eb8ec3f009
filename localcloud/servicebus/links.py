"""What links have in common, and the pair of links that leads to a request-response node."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.errors import (
    INVALID_FIELD,
    MESSAGE_TOO_LARGE,
    NOT_ALLOWED,
    RESOURCE_LIMIT,
    AmqpError,
)
from localcloud.servicebus.message import Content
from localcloud.servicebus.performatives import UINT_MAX, Attach, Flow, Transfer

if TYPE_CHECKING:
    from localcloud.servicebus.session import Session

BATCH_FORMAT: Final = 0x80013700
"""The message format of a Service Bus batch: each data section is a whole message."""

CREDIT: Final = 1_000
MAX_PENDING_REPLIES: Final = 32


class Node(Protocol):
    """Answers requests: `$cbs`, or the `$management` of an entity."""

    def answer(self, request: Content, reply: Callable[[bytes], None]) -> None:
        """Call `reply` once with the encoded answer, now or later."""


class Link:
    """What all links share: the handshake and its end."""

    def __init__(self, session: "Session", attach: Attach) -> None:
        self.session = session
        self.attach = attach
        self.closed = False

    def accept(self) -> None:
        """Let the link work: here, by confirming it to the peer at once."""
        self.confirm_attach(self.attach.source.raw)

    def confirm_attach(self, source: bytes, properties: bytes = enc.NULL) -> None:
        """Confirm the link to the peer, with the source and the link properties that it has."""
        attach = self.attach
        self.session.send(
            enc.composite(
                amqp.ATTACH,
                (
                    enc.string(attach.name),
                    enc.uint(attach.handle),
                    enc.boolean(not attach.peer_receives),
                    enc.ubyte(attach.sender_settle_mode),
                    enc.ubyte(attach.receiver_settle_mode),
                    source,
                    attach.target.raw,
                    enc.NULL,
                    enc.NULL,
                    enc.uint(0) if attach.peer_receives else enc.NULL,
                    enc.ulong(self.session.connection.limits.max_message_bytes),
                    enc.NULL,
                    enc.NULL,
                    properties,
                ),
            )
        )

    def close(self) -> None:
        """The peer is gone, or the broker ended the link."""
        self.closed = True

    def refuse_attach(self, error: AmqpError | None) -> None:
        """An attach without source and target, then the reason: how AMQP refuses a link."""
        self.close()
        attach = self.attach
        fields = [enc.string(attach.name), enc.uint(attach.handle)]
        fields += [enc.boolean(not attach.peer_receives), *[enc.NULL] * 6]
        if attach.peer_receives:
            fields.append(enc.uint(0))
        self.session.send(enc.composite(amqp.ATTACH, fields))
        self.session.send_detach(attach.handle, error)

    def leave(self) -> None:
        """The peer ended the link, and is told that it has ended here too."""
        self.close()
        self.session.send_detach(self.attach.handle, None)

    def detach(self, error: AmqpError) -> None:
        """End the link and tell the peer why."""
        self.close()
        self.session.send_detach(self.attach.handle, error)

    def on_flow(self, flow: Flow) -> None:
        raise NotImplementedError

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:  # noqa: ARG002 - refused
        raise AmqpError(NOT_ALLOWED, "A transfer came over a link that carries none.")


class IncomingLink(Link):
    """Messages from the peer, put together from their frames."""

    def __init__(self, session: "Session", attach: Attach) -> None:
        super().__init__(session, attach)
        self._received = attach.initial_delivery_count
        self._credit = 0
        self._first: Transfer | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def accept(self) -> None:
        super().accept()
        self._grant()

    def _grant(self) -> None:
        self._credit = CREDIT
        self.session.send_flow(self.attach.handle, self._received, CREDIT)

    def on_flow(self, flow: Flow) -> None:
        if flow.echo:
            self._grant()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        first = self._first = self._first or transfer
        if first.delivery_id is None:
            raise AmqpError(INVALID_FIELD, "The first frame of a delivery has no delivery id.")
        limit = self.session.connection.limits.max_message_bytes
        self._size += len(payload)
        if self._size <= limit:
            self._parts.append(payload)
            self.session.connection.hold(len(payload))
        else:
            self._let_go()
        if transfer.more and not transfer.aborted:
            return
        data, size = b"".join(self._parts), self._size
        self._let_go()
        self._first, self._size = None, 0
        if transfer.aborted:
            return
        self._received = (self._received + 1) & UINT_MAX
        self._credit -= 1
        if self._credit <= CREDIT // 2:
            self._grant()
        if size > limit:
            self.refuse(first, _too_large(size, limit))
            return
        try:
            self.receive(first, data)
        except AmqpError as error:
            self.refuse(first, error)

    def close(self) -> None:
        super().close()
        self._let_go()

    def _let_go(self) -> None:
        self.session.connection.let_go(sum(map(len, self._parts)))
        self._parts = []

    def receive(self, transfer: Transfer, data: bytes) -> None:
        """Take one whole delivery. AmqpError rejects it."""
        raise NotImplementedError

    def confirm(self, transfer: Transfer) -> None:
        """The delivery was taken."""
        if not transfer.settled and not self.closed:
            self.session.send_disposition(transfer.delivery_id, amqp.ACCEPTED_OUTCOME, sent=False)

    def refuse(self, transfer: Transfer, error: AmqpError) -> None:
        """The delivery was not taken; a sender that does not listen loses its link instead."""
        if self.closed:
            return
        if transfer.settled:
            self.detach(error)
        else:
            self.session.send_disposition(transfer.delivery_id, amqp.rejected(error), sent=False)


class RequestLink(IncomingLink):
    """Requests to a node; the answers go to the reply link of the same node and session."""

    def __init__(self, session: "Session", attach: Attach, path: str, node: Node) -> None:
        super().__init__(session, attach)
        self._path = path
        self._node = node

    def receive(self, transfer: Transfer, data: bytes) -> None:
        request = Content.parse(data)
        self.confirm(transfer)
        self._node.answer(request, self._reply)

    def _reply(self, message: bytes) -> None:
        link = self.session.reply_link(self._path)
        if link is not None:
            link.send(message)


class OutgoingLink(Link):
    """Messages to the peer, as far as its credit goes."""

    def __init__(self, session: "Session", attach: Attach) -> None:
        super().__init__(session, attach)
        self._credit = 0
        self._delivered = 0
        self._drain = False

    def on_flow(self, flow: Flow) -> None:
        if flow.link_credit is not None:
            used = 0 if flow.delivery_count is None else self._delivered - flow.delivery_count
            self._credit = max(flow.link_credit - _signed(used), 0)
        self._drain = flow.drain
        if flow.echo and not flow.drain:
            self.session.send_flow(self.attach.handle, self._delivered, self._credit)
        self.credited()

    def credited(self) -> None:
        """There may be credit now."""
        raise NotImplementedError

    def spend(self) -> None:
        self._credit -= 1
        self._delivered = (self._delivered + 1) & UINT_MAX

    def take_back(self) -> None:
        """Undo a `spend` whose message was not sent."""
        self._credit += 1
        self._delivered = (self._delivered - 1) & UINT_MAX

    def answer_drain(self) -> None:
        """Give up the credit that is left, as the peer asked."""
        if self._drain:
            self._drain = False
            self._delivered = (self._delivered + self._credit) & UINT_MAX
            self._credit = 0
            self.session.send_flow(self.attach.handle, self._delivered, 0, drain=True)


class ReplyLink(OutgoingLink):
    """The answers of a node."""

    def __init__(self, session: "Session", attach: Attach, path: str) -> None:
        super().__init__(session, attach)
        self.path = path
        self._waiting: deque[bytes] = deque()

    def send(self, message: bytes) -> None:
        """Deliver as soon as there is credit."""
        if len(self._waiting) >= MAX_PENDING_REPLIES:
            self.detach(AmqpError(RESOURCE_LIMIT, "Too many replies wait for credit."))
            return
        self._waiting.append(message)
        self.credited()

    def credited(self) -> None:
        while self._waiting and self._credit > 0 and not self.closed:
            self.spend()
            self.session.send_transfer(
                self.attach.handle, uuid4().bytes, self._waiting.popleft(), settled=True
            )
        if not self._waiting:
            self.answer_drain()


def _signed(value: int) -> int:
    """The difference of two 32-bit serial numbers, which may have wrapped around."""
    value &= UINT_MAX
    return value - (1 << 32) if value >> 31 else value


def _too_large(size: int, limit: int) -> AmqpError:
    return AmqpError(
        MESSAGE_TOO_LARGE,
        f"The received message of {size} bytes exceeds the limit of {limit} bytes currently "
        "allowed on the link.",
    )
