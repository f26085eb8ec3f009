"""One client's connection: SASL, open and close, and the sessions in between."""

import asyncio
import logging
from typing import Final

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import performatives as amqp
from localcloud.servicebus.errors import (
    ILLEGAL_STATE,
    INTERNAL_ERROR,
    INVALID_FIELD,
    NOT_ALLOWED,
    NOT_IMPLEMENTED,
    AmqpError,
)
from localcloud.servicebus.frames import (
    AMQP_FRAME,
    AMQP_HEADER,
    MIN_MAX_FRAME_SIZE,
    SASL_FRAME,
    SASL_HEADER,
    Frame,
    FrameReader,
    Header,
    frame,
)
from localcloud.servicebus.performatives import (
    Attach,
    Disposition,
    Fields,
    Flow,
    Transfer,
    read_performative,
)
from localcloud.servicebus.session import Session
from localcloud.servicebus.transport import FrameTransport, Service

log = logging.getLogger(__name__)

CONTAINER_ID: Final = "localcloud-servicebus"
CHANNEL_MAX: Final = 255
MECHANISMS: Final = ("MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL")
SASL_OK: Final = 0
SASL_AUTH_FAILED: Final = 1


class Connection(FrameTransport):
    """Speaks AMQP 1.0 with one peer. Whatever that sends, only its own connection suffers."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.gate = service.gate()
        self.peer_max_frame_size = MIN_MAX_FRAME_SIZE
        self._reader = FrameReader(service.limits.max_frame_bytes)
        self._sessions: dict[int, Session] = {}
        self._ended: set[int] = set()
        self._greeted = False
        self._authenticated = False
        self._opened = False
        self._expiry: asyncio.TimerHandle | None = None

    def released(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        if self._expiry is not None:
            self._expiry.cancel()

    def writable(self) -> None:
        for session in self._sessions.values():
            session.wake()

    def received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while not self.closing and (unit := self._reader.next()) is not None:
                self._on_unit(unit)
        except AmqpError as error:
            log.warning("a connection is closed: %s", error)
            self.close(error)
        except Exception:
            log.exception("a connection failed")
            self.close(AmqpError(INTERNAL_ERROR, "The broker failed; its log says why."))

    def close(self, error: AmqpError | None) -> None:
        if self.closing:
            return
        if not self._greeted:
            self.end(linger=False)  # it may not speak AMQP at all
            return
        if error is not None and not self._opened:
            self._send_open()
        reason = enc.NULL if error is None else amqp.error_list(error)
        self.send(0, enc.composite(amqp.CLOSE, (reason,)))
        self.end(linger=error is not None)

    def _on_unit(self, unit: Header | Frame) -> None:
        if isinstance(unit, Header):
            self._on_header(unit.data)
        elif unit.kind == SASL_FRAME:
            self._on_sasl(unit)
        elif unit.kind != AMQP_FRAME:
            raise AmqpError(NOT_IMPLEMENTED, f"frame type {unit.kind} is unknown")
        elif unit.body:
            self._on_frame(unit)

    def _on_header(self, header: bytes) -> None:
        if header == SASL_HEADER and not self._authenticated:
            mechanisms = enc.composite(amqp.SASL_MECHANISMS, (enc.symbol_array(MECHANISMS),))
            self.write(SASL_HEADER + frame(0, mechanisms, SASL_FRAME))
            return
        self.write(AMQP_HEADER)
        self._greeted = True
        if header != AMQP_HEADER:
            # The answer to a foreign protocol is the header that would be right (part 2, 2.2).
            log.warning("a connection is closed: it speaks another protocol")
            self.end(linger=True)

    def _on_sasl(self, unit: Frame) -> None:
        code, fields, _ = read_performative(unit.body)
        if code != amqp.SASL_INIT or self._opened:
            raise AmqpError(ILLEGAL_STATE, "an unexpected SASL frame")
        mechanism, response = fields.text(0), fields.data(1) or b""
        accepted = mechanism in MECHANISMS and (mechanism != "PLAIN" or self._plain(response))
        outcome = SASL_OK if accepted else SASL_AUTH_FAILED
        body = enc.composite(amqp.SASL_OUTCOME, (enc.ubyte(outcome),))
        self.write(frame(0, body, SASL_FRAME))
        self._authenticated = accepted
        if accepted:
            self._reader.expect_header()
        else:
            self.end(linger=True)

    def _plain(self, response: bytes) -> bool:
        _, _, credentials = response.partition(b"\x00")
        name, _, key = credentials.partition(b"\x00")
        return self.gate.trust(name.decode(errors="replace"), key.decode(errors="replace"))

    def _on_frame(self, unit: Frame) -> None:
        code, fields, payload_at = read_performative(unit.body)
        if code == amqp.OPEN:
            self._on_open(fields)
            return
        if not self._opened:
            raise AmqpError(ILLEGAL_STATE, "the first frame of a connection must be open")
        if code == amqp.CLOSE:
            self.close(None)
        elif code == amqp.BEGIN:
            self._on_begin(unit.channel, fields)
        else:
            session = self._sessions.get(unit.channel)
            if session is None:
                # The Python SDK detaches its links after it has ended their session.
                if unit.channel in self._ended:
                    return
                raise AmqpError(NOT_ALLOWED, f"no session has begun on channel {unit.channel}")
            if code == amqp.END:
                self._sessions.pop(unit.channel).close()
                self._ended.add(unit.channel)
                self.send(unit.channel, enc.composite(amqp.END, ()))
            else:
                _to_session(session, code, fields, unit.body, payload_at)

    def _on_open(self, fields: Fields) -> None:
        if self._opened:
            raise AmqpError(ILLEGAL_STATE, "the connection is open already")
        size = fields.number(2)
        if size is not None and size < MIN_MAX_FRAME_SIZE:
            raise AmqpError(INVALID_FIELD, f"max-frame-size is below {MIN_MAX_FRAME_SIZE}")
        ours = self.limits.max_frame_bytes
        self.peer_max_frame_size = ours if size is None else min(size, ours)
        idle_ms = fields.number(4)
        self.peer_idle_s = idle_ms / 1000 if idle_ms else None
        self._send_open()
        self.beat()

    def _send_open(self) -> None:
        self._opened = True
        self.send(
            0,
            enc.composite(
                amqp.OPEN,
                (
                    enc.string(CONTAINER_ID),
                    enc.NULL,
                    enc.uint(self.limits.max_frame_bytes),
                    enc.ushort(CHANNEL_MAX),
                    enc.uint(int(self.limits.idle_timeout_s * 1000)),
                ),
            ),
        )

    def _on_begin(self, channel: int, fields: Fields) -> None:
        if channel > CHANNEL_MAX:
            raise AmqpError(NOT_ALLOWED, f"channels go up to {CHANNEL_MAX}")
        if channel in self._sessions:
            raise AmqpError(ILLEGAL_STATE, f"a session has begun on channel {channel} already")
        self._ended.discard(channel)
        self._sessions[channel] = Session(self, channel, fields)

    def end_links(self, path: str, error: AmqpError) -> None:
        for session in self._sessions.values():
            session.end_links(path, error)

    def watch_tokens(self) -> None:
        """End links when the tokens behind them expire."""
        if self._expiry is not None:
            self._expiry.cancel()
        delay_s = self.gate.next_expiry_s()
        if delay_s is not None:
            self._expiry = self.loop.call_later(delay_s, self._tokens_expired)

    def _tokens_expired(self) -> None:
        # The next look is arranged first: a timer may be early, and a token that expires between
        # the two steps would otherwise be seen by neither.
        self.watch_tokens()
        for session in self._sessions.values():
            session.end_unauthorized()


def _to_session(session: Session, code: int, fields: Fields, body: bytes, payload_at: int) -> None:
    if code == amqp.TRANSFER:
        session.on_transfer(Transfer.of(fields), body[payload_at:])
    elif code == amqp.DISPOSITION:
        session.on_disposition(Disposition.of(fields))
    elif code == amqp.FLOW:
        session.on_flow(Flow.of(fields))
    elif code == amqp.ATTACH:
        session.on_attach(Attach.of(fields, body))
    elif code == amqp.DETACH:
        session.on_detach(fields.required_number(0))
    else:
        raise AmqpError(NOT_IMPLEMENTED, f"performative {code:#04x} is unknown")
