"""The bytes below a connection: frames in one write per turn, back pressure, heartbeats."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from localcloud.servicebus.cbs import Bearers, TokenGate
from localcloud.servicebus.errors import CONNECTION_FORCED, RESOURCE_LIMIT, AmqpError
from localcloud.servicebus.frames import EMPTY_FRAME, frame
from localcloud.servicebus.namespace import Namespace

LINGER_S: Final = 1.0
"""How long a connection closed by the broker stays, so that the peer can read the reason."""

_SHORTEST_BEAT_S: Final = 0.02
_HIGH_WATER: Final = 256 * 1024
_UNREAD_LIMIT: Final = 8 * 1024 * 1024
_BACKLOG_LIMIT: Final = 64 * 1024 * 1024
_PARTIAL_LIMIT: Final = 32 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one connection may ask for."""

    max_message_bytes: int = 256 * 1024
    max_frame_bytes: int = 256 * 1024
    idle_timeout_s: float = 240.0


@dataclass(frozen=True)
class Service:
    """What all connections share."""

    namespace: Namespace
    keys: Mapping[str, str]
    limits: Limits
    bearers: Bearers | None = None
    connections: "set[FrameTransport]" = field(default_factory=set)

    def gate(self) -> TokenGate:
        """Where a client shows its tokens."""
        return TokenGate(self.keys, self.bearers)


class FrameTransport(asyncio.Protocol):
    """Sends frames, and holds a peer back that sends faster than disk or network can follow."""

    def __init__(self, service: Service) -> None:
        self.namespace = service.namespace
        self.broker = service.namespace.broker
        self.limits = service.limits
        self.peer_idle_s: float | None = None
        self.loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self.loop.create_future()
        self.closing = False
        self._connections = service.connections
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._partial_bytes = 0
        self._publishing = 0
        self._congested = False
        self._held_back = False
        self._heard_at = self._spoke_at = self.loop.time()
        self._pulse: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports only look like asyncio's, so there is nothing to check at run time.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._connections.add(self)
        self.beat()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.closing = True
        self._connections.discard(self)
        self.released()
        if self._pulse is not None:
            self._pulse.cancel()
        if not self.gone.done():
            self.gone.set_result(None)

    def released(self) -> None:
        """The connection carries nothing any more."""
        raise NotImplementedError

    def writable(self) -> None:
        """The peer reads again."""
        raise NotImplementedError

    def end_links(self, path: str, error: AmqpError) -> None:
        """End the links to an entity, and to what lies below it, for this reason."""
        raise NotImplementedError

    def close(self, error: AmqpError | None) -> None:
        """Say goodbye, with the reason, and end the connection."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        if not self.closing:
            self.received(data)

    def received(self, data: bytes) -> None:
        """Bytes came from the peer."""
        raise NotImplementedError

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        self._regulate()
        self.writable()

    def send(self, channel: int, body: bytes) -> None:
        """Queue a frame; what is queued in one turn of the loop leaves together."""
        self.write(frame(channel, body))

    def write(self, data: bytes) -> None:
        if self.closing:
            return
        if not self._outbox:
            self.loop.call_soon(self._flush)
        self._outbox.append(data)
        self._outbox_bytes += len(data)

    def _flush(self) -> None:
        if self.closing or not self._outbox:
            return
        was_full = self._outbox_bytes >= _HIGH_WATER
        self._spoke_at = self.loop.time()
        self._transport.write(b"".join(self._outbox))
        self._outbox.clear()
        self._outbox_bytes = 0
        self._regulate()
        if was_full:
            self.writable()

    def can_send(self) -> bool:
        """Whether the peer reads fast enough to be sent more messages."""
        return not self._congested and self._outbox_bytes < _HIGH_WATER

    def end(self, *, linger: bool) -> None:
        """Send what is queued and end the connection."""
        self._flush()
        self.closing = True
        self.released()
        if linger:
            # Closing with unread bytes would reset the connection and lose what was just said.
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self.loop.call_later(LINGER_S, self._transport.close)
        else:
            self._transport.close()

    def hold(self, size: int) -> None:
        """Account for bytes of unfinished deliveries. AmqpError when they are too many."""
        self._partial_bytes += size
        if self._partial_bytes > _PARTIAL_LIMIT:
            raise AmqpError(RESOURCE_LIMIT, "Too many deliveries are unfinished.")

    def let_go(self, size: int) -> None:
        """These bytes are no longer held."""
        self._partial_bytes -= size

    def publish_started(self) -> None:
        self._publishing += 1
        self._regulate()

    def publish_finished(self) -> None:
        self._publishing -= 1
        self._regulate()

    def _regulate(self) -> None:
        """Stop reading while the disk, or the peer itself, is too slow for what it sends."""
        if self.closing:
            return
        backlog = self.broker.store.backlog_bytes if self._publishing else 0
        unread = self._transport.get_write_buffer_size()
        hold_back = backlog > _BACKLOG_LIMIT or unread > _UNREAD_LIMIT
        if hold_back != self._held_back:
            self._held_back = hold_back
            if hold_back:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def beat(self) -> None:
        """Send a heartbeat when the peer needs one; give up a peer that has fallen silent."""
        if self.closing:
            return
        now = self.loop.time()
        # A peer learns half of the time that it really has (part 2, section 2.4.5).
        if now - self._heard_at > 2 * self.limits.idle_timeout_s:
            self.close(AmqpError(RESOURCE_LIMIT, "The connection was idle for too long."))
            return
        if self.peer_idle_s is not None and now - self._spoke_at >= self.peer_idle_s / 4:
            self.write(EMPTY_FRAME)
        waits = [wait for wait in (self.limits.idle_timeout_s, self.peer_idle_s) if wait]
        if self._pulse is not None:
            self._pulse.cancel()
        self._pulse = self.loop.call_later(max(min(waits) / 4, _SHORTEST_BEAT_S), self.beat)


def end_links(service: Service, path: str, error: AmqpError) -> None:
    """End every link to an entity, and to what lies below it, for this reason."""
    for connection in tuple(service.connections):
        connection.end_links(path, error)


def shut_down(service: Service) -> list["asyncio.Future[None]"]:
    """Tell every peer that the broker goes away; the futures end when the connections have."""
    connections = tuple(service.connections)
    for connection in connections:
        connection.close(AmqpError(CONNECTION_FORCED, "The broker is shutting down."))
    return [connection.gone for connection in connections]
