"""Cuts the byte stream into protocol headers and frames, and wraps bodies into frames."""

import struct
from typing import Final, NamedTuple

from localcloud.servicebus.errors import FRAMING_ERROR, AmqpError

SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
HEADER_SIZE: Final = 8
MIN_MAX_FRAME_SIZE: Final = 512
"""Every peer must accept frames of this size (AMQP 1.0 part 2, section 2.4.1)."""

AMQP_FRAME: Final = 0
SASL_FRAME: Final = 1
EMPTY_FRAME: Final = b"\x00\x00\x00\x08\x02\x00\x00\x00"
_FRAME_HEAD: Final = struct.Struct(">IBBH")
_SMALLEST_DATA_OFFSET: Final = 2


class Header(NamedTuple):
    """A protocol header: eight bytes that name the protocol and version."""

    data: bytes


class Frame(NamedTuple):
    """A frame; an empty body only says that the peer is alive."""

    kind: int
    channel: int
    body: bytes


def frame(channel: int, body: bytes, kind: int = AMQP_FRAME) -> bytes:
    return _FRAME_HEAD.pack(len(body) + HEADER_SIZE, _SMALLEST_DATA_OFFSET, kind, channel) + body


class FrameReader:
    """Collects received bytes until a header or frame is whole.

    It never holds more than one unfinished frame and what arrived with it.
    """

    def __init__(self, max_frame_size: int) -> None:
        self._max_frame_size = max_frame_size
        self._buffer = bytearray()
        self._at = 0
        self._header_expected = True

    def expect_header(self) -> None:
        """The next eight bytes are a protocol header (at the start, and after SASL)."""
        self._header_expected = True

    def feed(self, data: bytes) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> Header | Frame | None:
        """The next header or frame, or None until more bytes arrive.

        Raises AmqpError (framing-error) when the bytes cannot be a frame.
        """
        available = len(self._buffer) - self._at
        if available < HEADER_SIZE:
            return None
        start = self._at
        if self._header_expected:
            self._header_expected = False
            self._at += HEADER_SIZE
            return Header(bytes(self._buffer[start : self._at]))
        size, data_offset, kind, channel = _FRAME_HEAD.unpack_from(self._buffer, start)
        body_at = data_offset * 4
        if size > self._max_frame_size:
            raise AmqpError(
                FRAMING_ERROR, f"a frame of {size} bytes; at most {self._max_frame_size} are read"
            )
        if data_offset < _SMALLEST_DATA_OFFSET or body_at > size:
            raise AmqpError(FRAMING_ERROR, "a frame whose size or data offset is impossible")
        if available < size:
            return None
        self._at += size
        return Frame(kind, channel, bytes(self._buffer[start + body_at : start + size]))
