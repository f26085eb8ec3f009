"""Reads AMQP 1.0 values (OASIS AMQP 1.0 part 1) from bytes that may be hostile."""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

from localcloud.servicebus.errors import DECODE_ERROR, AmqpError

MAX_DEPTH: Final = 32
"""Deeper nesting than any real message; more is refused instead of exhausting the stack."""

MAX_EMPTY_ITEMS: Final = 65_536
"""Items without a byte of their own that one array may claim (a claim costs its sender nothing)."""

DESCRIBED: Final = 0x00
_U32: Final = struct.Struct(">I")
_I64: Final = struct.Struct(">q")


class Symbol(str):
    """ASCII text from a constrained vocabulary; equal to the `str` of the same letters."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970-01-01 UTC; equal to the `int` of the same value."""


class Described(NamedTuple):
    """A value with the descriptor that gives it its meaning."""

    descriptor: "Value"
    value: "Value"


type Value = (
    bool | int | float | str | bytes | UUID | Described | list[Value] | dict[Value, Value] | None
)
type _Reader = Callable[[bytes, int, int], tuple[Value, int]]


class MalformedValue(AmqpError):
    """The bytes are not an AMQP value."""

    def __init__(self, detail: str) -> None:
        super().__init__(DECODE_ERROR, f"malformed AMQP value: {detail}")


def decode(buffer: bytes, at: int = 0) -> tuple[Value, int]:
    """The value that starts at `at`, and the offset after it. Raises MalformedValue."""
    try:
        return _read(buffer, at, 0)
    except (IndexError, struct.error) as error:
        raise MalformedValue("it ends too early") from error
    except (UnicodeDecodeError, TypeError, ValueError, OverflowError) as error:
        raise MalformedValue(str(error)) from error


def skip(buffer: bytes, at: int) -> int:
    """The offset after the value that starts at `at`, without reading it. Raises MalformedValue."""
    try:
        end = _skip(buffer, at, 0)
    except (IndexError, struct.error) as error:
        raise MalformedValue("it ends too early") from error
    if end > len(buffer):
        raise MalformedValue("it ends too early")
    return end


def raw_items(buffer: bytes, at: int) -> list[bytes]:
    """The encoded items of the list or map at `at`, in order: a map's keys and values alternate.

    Raises MalformedValue, also for any other type and for a map with an odd number of items.
    """
    try:
        constructor = buffer[at]
        if constructor == _LIST0:
            return []
        if constructor not in (_LIST8, _LIST32, _MAP8, _MAP32):
            raise MalformedValue(f"constructor {constructor:#04x} where a list or map belongs")
        count, position, end = _bounds(buffer, at + 1, wide=constructor in (_LIST32, _MAP32))
    except (IndexError, struct.error) as error:
        raise MalformedValue("it ends too early") from error
    items = []
    for _ in range(count):
        after = skip(buffer, position)
        items.append(buffer[position:after])
        position = after
    if position != end or (constructor in (_MAP8, _MAP32) and count % 2):
        raise MalformedValue("its size and its items disagree")
    return items


def _read(buffer: bytes, at: int, depth: int) -> tuple[Value, int]:
    constructor = buffer[at]
    if constructor == DESCRIBED:
        if depth >= MAX_DEPTH:
            raise MalformedValue("it is nested too deeply")
        descriptor, at = _read(buffer, at + 1, depth + 1)
        value, at = _read(buffer, at, depth + 1)
        return Described(descriptor, value), at
    reader = _READERS.get(constructor)
    if reader is None:
        raise MalformedValue(f"unknown constructor {constructor:#04x}")
    return reader(buffer, at + 1, depth)


def _skip(buffer: bytes, at: int, depth: int) -> int:
    constructor = buffer[at]
    if constructor == DESCRIBED:
        if depth >= MAX_DEPTH:
            raise MalformedValue("it is nested too deeply")
        return _skip(buffer, _skip(buffer, at + 1, depth + 1), depth + 1)
    if constructor not in _READERS:
        raise MalformedValue(f"unknown constructor {constructor:#04x}")
    group = constructor >> 4
    if group in _FIXED_WIDTHS:
        return at + 1 + _FIXED_WIDTHS[group]
    if group % 2 == 0:  # 0xA, 0xC, 0xE carry a one-byte size; 0xB, 0xD, 0xF a four-byte size
        return at + 2 + buffer[at + 1]
    size: int = _U32.unpack_from(buffer, at + 1)[0]
    return at + 5 + size


def _bounds(buffer: bytes, at: int, *, wide: bool) -> tuple[int, int, int]:
    """(count, offset of the first item, offset after the last) of a compound at its size."""
    if wide:
        size, count = _U32.unpack_from(buffer, at)[0], _U32.unpack_from(buffer, at + 4)[0]
        first, end = at + 8, at + 4 + size
    else:
        size, count = buffer[at], buffer[at + 1]
        first, end = at + 2, at + 1 + size
    if end > len(buffer) or end < first:
        raise MalformedValue("its size exceeds what was sent")
    return count, first, end


def _constant(value: Value) -> _Reader:
    return lambda _buffer, at, _depth: (value, at)


def _empty_list(_buffer: bytes, at: int, _depth: int) -> tuple[Value, int]:
    return [], at


def _fixed(layout: str) -> _Reader:
    parser = struct.Struct(layout)
    unpack, width = parser.unpack_from, parser.size
    return lambda buffer, at, _depth: (unpack(buffer, at)[0], at + width)


def _boolean(buffer: bytes, at: int, _depth: int) -> tuple[Value, int]:
    if buffer[at] > 1:
        raise MalformedValue("a boolean is neither 0 nor 1")
    return buffer[at] == 1, at + 1


def _char(buffer: bytes, at: int, _depth: int) -> tuple[Value, int]:
    return chr(_U32.unpack_from(buffer, at)[0]), at + 4


def _timestamp(buffer: bytes, at: int, _depth: int) -> tuple[Value, int]:
    return Timestamp(_I64.unpack_from(buffer, at)[0]), at + 8


def _slice(buffer: bytes, at: int, width: int) -> bytes:
    if at + width > len(buffer):
        raise MalformedValue("it ends too early")
    return buffer[at : at + width]


def _opaque(width: int) -> _Reader:
    return lambda buffer, at, _depth: (_slice(buffer, at, width), at + width)


def _uuid(buffer: bytes, at: int, _depth: int) -> tuple[Value, int]:
    return UUID(bytes=_slice(buffer, at, 16)), at + 16


def _variable(convert: Callable[[bytes], Value], *, wide: bool) -> _Reader:
    def narrow_reader(buffer: bytes, at: int, _depth: int) -> tuple[Value, int]:
        size = buffer[at]
        return convert(_slice(buffer, at + 1, size)), at + 1 + size

    def wide_reader(buffer: bytes, at: int, _depth: int) -> tuple[Value, int]:
        size = _U32.unpack_from(buffer, at)[0]
        return convert(_slice(buffer, at + 4, size)), at + 4 + size

    return wide_reader if wide else narrow_reader


def _items(buffer: bytes, at: int, depth: int, *, wide: bool) -> tuple[list[Value], int]:
    if depth >= MAX_DEPTH:
        raise MalformedValue("it is nested too deeply")
    count, at, end = _bounds(buffer, at, wide=wide)
    items = []
    for _ in range(count):
        item, at = _read(buffer, at, depth + 1)
        items.append(item)
    if at != end:
        raise MalformedValue("its size and its items disagree")
    return items, end


def _list(*, wide: bool) -> _Reader:
    return lambda buffer, at, depth: _items(buffer, at, depth, wide=wide)


def _map(*, wide: bool) -> _Reader:
    def read(buffer: bytes, at: int, depth: int) -> tuple[Value, int]:
        items, end = _items(buffer, at, depth, wide=wide)
        if len(items) % 2:
            raise MalformedValue("a map has a key without a value")
        return dict(zip(items[::2], items[1::2], strict=True)), end

    return read


def _array(*, wide: bool) -> _Reader:
    def read(buffer: bytes, at: int, depth: int) -> tuple[Value, int]:
        if depth >= MAX_DEPTH:
            raise MalformedValue("it is nested too deeply")
        count, at, end = _bounds(buffer, at, wide=wide)
        if count == 0:
            return [], end
        descriptor: Value = None
        described = buffer[at] == DESCRIBED
        if described:
            descriptor, at = _read(buffer, at + 1, depth + 1)
        constructor = buffer[at]
        reader = _READERS.get(constructor)
        if reader is None:
            raise MalformedValue(f"unknown constructor {constructor:#04x}")
        if constructor >> 4 == _EMPTY_GROUP and count > MAX_EMPTY_ITEMS:
            raise MalformedValue("an array claims too many items")
        at += 1
        items: list[Value] = []
        for _ in range(count):
            item, at = reader(buffer, at, depth + 1)
            items.append(Described(descriptor, item) if described else item)
        if at != end:
            raise MalformedValue("its size and its items disagree")
        return items, end

    return read


def _symbol(data: bytes) -> Value:
    return Symbol(data.decode("ascii"))


_EMPTY_GROUP: Final = 0x4
_FIXED_WIDTHS: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_LIST0, _LIST8, _LIST32, _MAP8, _MAP32 = 0x45, 0xC0, 0xD0, 0xC1, 0xD1

_READERS: Final[dict[int, _Reader]] = {
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(0),
    0x44: _constant(0),
    _LIST0: _empty_list,
    0x50: _fixed(">B"),
    0x51: _fixed(">b"),
    0x52: _fixed(">B"),
    0x53: _fixed(">B"),
    0x54: _fixed(">b"),
    0x55: _fixed(">b"),
    0x56: _boolean,
    0x60: _fixed(">H"),
    0x61: _fixed(">h"),
    0x70: _fixed(">I"),
    0x71: _fixed(">i"),
    0x72: _fixed(">f"),
    0x73: _char,
    0x74: _opaque(4),  # decimals are carried, never computed with
    0x80: _fixed(">Q"),
    0x81: _fixed(">q"),
    0x82: _fixed(">d"),
    0x83: _timestamp,
    0x84: _opaque(8),
    0x94: _opaque(16),
    0x98: _uuid,
    0xA0: _variable(bytes, wide=False),
    0xA1: _variable(bytes.decode, wide=False),
    0xA3: _variable(_symbol, wide=False),
    0xB0: _variable(bytes, wide=True),
    0xB1: _variable(bytes.decode, wide=True),
    0xB3: _variable(_symbol, wide=True),
    _LIST8: _list(wide=False),
    _LIST32: _list(wide=True),
    _MAP8: _map(wide=False),
    _MAP32: _map(wide=True),
    0xE0: _array(wide=False),
    0xF0: _array(wide=True),
}
