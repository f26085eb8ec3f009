"""The AMQP performatives that the broker reads, and the outcomes both sides exchange."""

from dataclasses import dataclass
from typing import Final, Self

from localcloud.servicebus import encoding as enc
from localcloud.servicebus.decoding import Described, Value, decode, raw_items
from localcloud.servicebus.errors import DECODE_ERROR, INVALID_FIELD, AmqpError

UINT_MAX: Final = 0xFFFF_FFFF

OPEN: Final = 0x10
BEGIN: Final = 0x11
ATTACH: Final = 0x12
FLOW: Final = 0x13
TRANSFER: Final = 0x14
DISPOSITION: Final = 0x15
DETACH: Final = 0x16
END: Final = 0x17
CLOSE: Final = 0x18
ERROR: Final = 0x1D
ACCEPTED: Final = 0x24
REJECTED: Final = 0x25
RELEASED: Final = 0x26
MODIFIED: Final = 0x27
SOURCE: Final = 0x28
TARGET: Final = 0x29
SASL_MECHANISMS: Final = 0x40
SASL_INIT: Final = 0x41
SASL_OUTCOME: Final = 0x44

SETTLED: Final = 1
MIXED: Final = 2
"""Sender settle modes; `SETTLED` is what the SDKs call receive-and-delete."""

SESSION_FILTER: Final = "com.microsoft:session-filter"
TIMEOUT: Final = "com.microsoft:timeout"
_SOURCE_FILTER: Final = 7

_NAMED: Final = {
    "amqp:open:list": OPEN,
    "amqp:begin:list": BEGIN,
    "amqp:attach:list": ATTACH,
    "amqp:flow:list": FLOW,
    "amqp:transfer:list": TRANSFER,
    "amqp:disposition:list": DISPOSITION,
    "amqp:detach:list": DETACH,
    "amqp:end:list": END,
    "amqp:close:list": CLOSE,
    "amqp:accepted:list": ACCEPTED,
    "amqp:rejected:list": REJECTED,
    "amqp:released:list": RELEASED,
    "amqp:modified:list": MODIFIED,
    "amqp:source:list": SOURCE,
    "amqp:target:list": TARGET,
    "amqp:sasl-init:list": SASL_INIT,
}

ACCEPTED_OUTCOME: Final = enc.composite(ACCEPTED, ())
REJECTED_OUTCOME: Final = enc.composite(REJECTED, ())
RELEASED_OUTCOME: Final = enc.composite(RELEASED, ())
MODIFIED_OUTCOME: Final = enc.composite(MODIFIED, ())


def descriptor_code(descriptor: Value) -> int:
    """The numeric descriptor, whether it came as a number or by name; -1 when unknown."""
    if type(descriptor) is int:
        return descriptor
    return _NAMED.get(descriptor, -1) if isinstance(descriptor, str) else -1


def error_list(error: AmqpError) -> bytes:
    """The error with all three of its fields: the Python SDK fails on a shortened one."""
    fields = (enc.symbol(error.condition), enc.string(error.description), enc.NULL)
    return enc.described(ERROR, enc.list_of(fields))


def rejected(error: AmqpError) -> bytes:
    return enc.composite(REJECTED, (error_list(error),))


class Fields:
    """The fields of a performative by position; absent ones at the end read as null.

    Every reader raises AmqpError (invalid-field) for a value of another type.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Value) -> None:
        if not isinstance(values, list):
            raise AmqpError(DECODE_ERROR, "a performative is not a list")
        self._values = values

    def value(self, index: int) -> Value:
        return self._values[index] if index < len(self._values) else None

    def number(self, index: int) -> int | None:
        return None if self.value(index) is None else self.required_number(index)

    def required_number(self, index: int) -> int:
        """An unsigned number of 32 bits, as all numbers in performatives that we read are."""
        value = self.value(index)
        if type(value) is int and 0 <= value <= UINT_MAX:
            return value
        raise self._wrong(index, "an unsigned number of 32 bits")

    def flag(self, index: int) -> bool:
        value = self.value(index)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self._wrong(index, "a boolean")

    def text(self, index: int) -> str | None:
        value = self.value(index)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(index, "text")

    def data(self, index: int) -> bytes | None:
        value = self.value(index)
        if value is None or isinstance(value, bytes):
            return value
        raise self._wrong(index, "binary")

    def _wrong(self, index: int, expected: str) -> AmqpError:
        return AmqpError(INVALID_FIELD, f"field {index} of a performative is not {expected}")


def read_performative(body: bytes) -> tuple[int, Fields, int]:
    """(code, fields, offset of the payload) of a frame body. Raises AmqpError."""
    performative, end = decode(body)
    if not isinstance(performative, Described):
        raise AmqpError(DECODE_ERROR, "a frame does not start with a performative")
    return descriptor_code(performative.descriptor), Fields(performative.value), end


@dataclass(frozen=True, slots=True)
class Terminus:
    """A link's source or target: where it leads, and its bytes to echo."""

    address: str | None
    code: int
    raw: bytes

    @classmethod
    def of(cls, value: Value, raw: bytes) -> Self:
        if value is None:
            return cls(None, -1, enc.NULL)
        if not isinstance(value, Described):
            raise AmqpError(INVALID_FIELD, "a link's terminus is not described")
        return cls(Fields(value.value).text(0), descriptor_code(value.descriptor), raw)


@dataclass(frozen=True, slots=True)
class Attach:
    """A peer opens a link; `peer_receives` tells in which direction messages will flow."""

    name: str
    handle: int
    peer_receives: bool
    sender_settle_mode: int
    receiver_settle_mode: int
    source: Terminus
    target: Terminus
    initial_delivery_count: int
    session: "SessionRequest | None"

    @classmethod
    def of(cls, fields: Fields, body: bytes) -> Self:
        raw = raw_items(body, _value_offset(body))
        raw += [enc.NULL] * (7 - len(raw))
        name = fields.text(0)
        if name is None:
            raise AmqpError(INVALID_FIELD, "a link has no name")
        sender_mode, receiver_mode = fields.number(3), fields.number(4)
        source = fields.value(5)
        return cls(
            name,
            fields.required_number(1),
            fields.flag(2),
            MIXED if sender_mode is None else sender_mode,
            0 if receiver_mode is None else receiver_mode,
            Terminus.of(source, raw[5]),
            Terminus.of(fields.value(6), raw[6]),
            fields.number(9) or 0,
            SessionRequest.of(source, fields.value(13)),
        )


def _value_offset(body: bytes) -> int:
    """Where the list of a described list begins: after the marker and its descriptor."""
    _, at = decode(body, 1)
    return at


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A receiver asks for a session: a named one, or else the next, within some milliseconds."""

    name: str | None
    timeout_ms: int | None

    @classmethod
    def of(cls, source: Value, properties: Value) -> Self | None:
        """The request in the source of a link and in its properties, None if there is none."""
        if not isinstance(source, Described):
            return None
        filters = Fields(source.value).value(_SOURCE_FILTER)
        if not isinstance(filters, dict) or SESSION_FILTER not in filters:
            return None
        wanted = filters[SESSION_FILTER]
        if isinstance(wanted, Described):
            wanted = wanted.value
        timeout = properties.get(TIMEOUT) if isinstance(properties, dict) else None
        return cls(
            wanted if isinstance(wanted, str) else None, timeout if type(timeout) is int else None
        )


def source_of_session(raw: bytes, session: str) -> bytes:
    """The source that a link asked for, with the session that it got."""
    fields = raw_items(raw, _value_offset(raw))
    fields += [enc.NULL] * (_SOURCE_FILTER + 1 - len(fields))
    fields[_SOURCE_FILTER] = enc.map_of((enc.symbol(SESSION_FILTER), enc.string(session)))
    return enc.composite(SOURCE, fields)


@dataclass(frozen=True, slots=True)
class Flow:
    """Windows of a session and, when `handle` is given, the credit of one link."""

    next_incoming_id: int | None
    incoming_window: int
    handle: int | None
    delivery_count: int | None
    link_credit: int | None
    drain: bool
    echo: bool

    @classmethod
    def of(cls, fields: Fields) -> Self:
        return cls(
            fields.number(0),
            fields.required_number(1),
            fields.number(4),
            fields.number(5),
            fields.number(6),
            fields.flag(8),
            fields.flag(9),
        )


@dataclass(frozen=True, slots=True)
class Transfer:
    """One frame of a delivery; continuation frames may omit what the first one said."""

    handle: int
    delivery_id: int | None
    message_format: int
    settled: bool
    more: bool
    aborted: bool

    @classmethod
    def of(cls, fields: Fields) -> Self:
        return cls(
            fields.required_number(0),
            fields.number(1),
            fields.number(3) or 0,
            fields.flag(4),
            fields.flag(5),
            fields.flag(9),
        )


@dataclass(frozen=True, slots=True)
class Disposition:
    """Outcomes for a range of deliveries, both ends included."""

    peer_receives: bool
    first: int
    last: int
    settled: bool
    state: Value

    @classmethod
    def of(cls, fields: Fields) -> Self:
        first = fields.required_number(1)
        last = fields.number(2)
        return cls(
            fields.flag(0), first, first if last is None else last, fields.flag(3), fields.value(4)
        )
