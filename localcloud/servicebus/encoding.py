"""Writes AMQP 1.0 values: one function per type, from Python to its encoded bytes."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from localcloud.servicebus.decoding import Timestamp

NULL: Final = b"\x40"
TRUE: Final = b"\x41"
FALSE: Final = b"\x42"
EMPTY_LIST: Final = b"\x45"

_SYMBOL_CONSTRUCTOR: Final = 0xB3
_STRING_CONSTRUCTOR: Final = 0xB1
TIMESTAMP_CONSTRUCTOR: Final = 0x83
LONG_CONSTRUCTOR: Final = 0x81

_BYTE_LIMIT: Final = 256
_SMALL_COMPOUND: Final = 254  # the one-byte size also counts the one-byte count
_LONG_LIMIT: Final = 1 << 63
_H, _I, _i, _Q, _q, _d = (struct.Struct(f">{code}") for code in "HIiQqd")


def boolean(value: bool) -> bytes:
    return TRUE if value else FALSE


def ubyte(value: int) -> bytes:
    return bytes((0x50, value))


def ushort(value: int) -> bytes:
    return b"\x60" + _H.pack(value)


def uint(value: int) -> bytes:
    if value == 0:
        return b"\x43"
    return bytes((0x52, value)) if value < _BYTE_LIMIT else b"\x70" + _I.pack(value)


def ulong(value: int) -> bytes:
    if value == 0:
        return b"\x44"
    return bytes((0x53, value)) if value < _BYTE_LIMIT else b"\x80" + _Q.pack(value)


def int32(value: int) -> bytes:
    return b"\x71" + _i.pack(value)


def long(value: int) -> bytes:
    return b"\x81" + _q.pack(value)


def double(value: float) -> bytes:
    return b"\x82" + _d.pack(value)


def timestamp(milliseconds: int) -> bytes:
    """A point in time as milliseconds since 1970-01-01 UTC."""
    return b"\x83" + _q.pack(milliseconds)


def uuid(value: UUID) -> bytes:
    return b"\x98" + value.bytes


def binary(value: bytes) -> bytes:
    return _variable(0xA0, value)


def string(value: str) -> bytes:
    return _variable(0xA1, value.encode())


def symbol(value: str) -> bytes:
    return _variable(0xA3, value.encode("ascii"))


def scalar(value: object) -> bytes:
    """A simple value in the AMQP type that is nearest to its Python type, null for all others."""
    if isinstance(value, bool):
        return boolean(value)
    if isinstance(value, Timestamp):
        return timestamp(value)
    if isinstance(value, int):
        return long(value) if -_LONG_LIMIT <= value < _LONG_LIMIT else double(float(value))
    if isinstance(value, float):
        return double(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, bytes):
        return binary(value)
    return uuid(value) if isinstance(value, UUID) else NULL


def list_of(items: Sequence[bytes]) -> bytes:
    """A list of encoded items."""
    return EMPTY_LIST if not items else _compound(0xC0, b"".join(items), len(items))


def map_of(items: Sequence[bytes]) -> bytes:
    """A map from encoded keys and values, alternating."""
    return _compound(0xC1, b"".join(items), len(items))


def string_map(entries: Mapping[str, bytes]) -> bytes:
    """A map from strings to encoded values."""
    return map_of([part for key, value in entries.items() for part in (string(key), value)])


def array_of(constructor: int, items: Iterable[bytes]) -> bytes:
    """An array; `items` are encoded with `constructor` each, whose byte the array writes once."""
    bodies = [item[1:] for item in items]
    body = bytes((constructor,)) + b"".join(bodies)
    return b"\xf0" + _I.pack(len(body) + 4) + _I.pack(len(bodies)) + body


def symbol_array(names: Iterable[str]) -> bytes:
    encoded = [name.encode("ascii") for name in names]
    return array_of(_SYMBOL_CONSTRUCTOR, [b"\xb3" + _I.pack(len(name)) + name for name in encoded])


def string_array(texts: Iterable[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return array_of(_STRING_CONSTRUCTOR, [b"\xb1" + _I.pack(len(text)) + text for text in encoded])


def described(code: int, value: bytes) -> bytes:
    """A value described by a numeric descriptor below 256."""
    return bytes((0x00, 0x53, code)) + value


def described_by(code: int, value: bytes) -> bytes:
    """A value described by any numeric descriptor."""
    return b"\x00" + ulong(code) + value


def composite(code: int, fields: Sequence[bytes]) -> bytes:
    """A described list, without the nulls at its end (which mean the same as absence)."""
    count = len(fields)
    while count and fields[count - 1] == NULL:
        count -= 1
    return described(code, list_of(fields[:count]))


def _variable(narrow: int, data: bytes) -> bytes:
    if len(data) < _BYTE_LIMIT:
        return bytes((narrow, len(data))) + data
    return bytes((narrow + 0x10,)) + _I.pack(len(data)) + data


def _compound(narrow: int, body: bytes, count: int) -> bytes:
    if len(body) < _SMALL_COMPOUND and count < _BYTE_LIMIT:
        return bytes((narrow, len(body) + 1, count)) + body
    return bytes((narrow + 0x10,)) + _I.pack(len(body) + 4) + _I.pack(count) + body
