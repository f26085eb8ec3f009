"""One message as bytes: which parts belong to its sender, and which the broker writes."""

from collections.abc import Mapping
from typing import Final, Self

from localcloud.servicebus import encoding as enc
from localcloud.servicebus.decoding import (
    Described,
    Timestamp,
    Value,
    decode,
    raw_items,
    skip,
)
from localcloud.servicebus.errors import DECODE_ERROR, AmqpError

HEADER: Final = 0x70
DELIVERY_ANNOTATIONS: Final = 0x71
MESSAGE_ANNOTATIONS: Final = 0x72
PROPERTIES: Final = 0x73
APPLICATION_PROPERTIES: Final = 0x74
DATA: Final = 0x75
AMQP_VALUE: Final = 0x77
FOOTER: Final = 0x78

_MAX_TTL_MS: Final = 0xFFFF_FFFF

SEQUENCE_NUMBER: Final = "x-opt-sequence-number"
ENQUEUED_TIME: Final = "x-opt-enqueued-time"
ENQUEUED_SEQUENCE_NUMBER: Final = "x-opt-enqueue-sequence-number"
LOCKED_UNTIL: Final = "x-opt-locked-until"
MESSAGE_STATE: Final = "x-opt-message-state"
SCHEDULED_TIME: Final = "x-opt-scheduled-enqueue-time"
DEAD_LETTER_SOURCE: Final = "x-opt-deadletter-source"
DEAD_LETTER_REASON: Final = "DeadLetterReason"
DEAD_LETTER_DESCRIPTION: Final = "DeadLetterErrorDescription"
_BROKER_ANNOTATIONS: Final = frozenset(
    {SEQUENCE_NUMBER, ENQUEUED_TIME, ENQUEUED_SEQUENCE_NUMBER, LOCKED_UNTIL, MESSAGE_STATE}
)

PROPERTY_NAMES: Final = (
    "message-id",
    "user-id",
    "to",
    "subject",
    "reply-to",
    "correlation-id",
    "content-type",
    "content-encoding",
    "absolute-expiry-time",
    "creation-time",
    "group-id",
    "group-sequence",
    "reply-to-group-id",
)


def sections(buffer: bytes) -> list[tuple[int, int, int, int]]:
    """(code, start, offset of the value, end) of each section, in order. Raises AmqpError."""
    found = []
    at = 0
    while at < len(buffer):
        if buffer[at] != 0:
            raise AmqpError(DECODE_ERROR, "a message section is not described")
        code, value_at = decode(buffer, at + 1)
        end = skip(buffer, value_at)
        if type(code) is not int or not HEADER <= code <= FOOTER:
            raise AmqpError(DECODE_ERROR, f"unknown message section {code!r}")
        found.append((code, at, value_at, end))
        at = end
    return found


def unpack_batch(buffer: bytes) -> list[bytes]:
    """The encoded messages inside a Service Bus batch, one for each data section."""
    messages = []
    for code, _, value_at, _ in sections(buffer):
        if code == DATA:
            data, _ = decode(buffer, value_at)
            if not isinstance(data, bytes):
                raise AmqpError(DECODE_ERROR, "a batch holds something that is not a message")
            messages.append(data)
    return messages


class Content:
    """What a sender sent. Its properties and body are kept as they came, so types survive."""

    __slots__ = (
        "_annotations",
        "_application_properties",
        "_body",
        "_decoded",
        "_durable",
        "_priority",
        "_properties",
        "session",
        "ttl_ms",
    )

    def __init__(self) -> None:
        self._durable = self._priority = enc.NULL
        self.ttl_ms: int | None = None
        self.session: str | None = None
        self._annotations: dict[bytes, bytes] = {}
        self._properties = b""
        self._application_properties = b""
        self._body = b""
        self._decoded: dict[Value, Value] | None = None

    @classmethod
    def parse(cls, buffer: bytes) -> Self:
        """Read one encoded message. Raises AmqpError (decode-error) when it is malformed."""
        content = cls()
        body = []
        for code, start, value_at, end in sections(buffer):
            if code == HEADER:
                content._read_header(buffer, value_at)
            elif code == MESSAGE_ANNOTATIONS:
                content._annotations = _pairs(buffer, value_at)
            elif code == PROPERTIES:
                content._properties = buffer[start:end]
            elif code == APPLICATION_PROPERTIES:
                content._application_properties = buffer[start:end]
            elif code != DELIVERY_ANNOTATIONS:  # they speak to the next hop, which is the broker
                body.append(buffer[start:end])
        content._body = b"".join(body)
        session = content.properties().get("group-id")
        content.session = session if isinstance(session, str) else None
        content.application_properties()
        return content

    def _read_header(self, buffer: bytes, at: int) -> None:
        fields = [*raw_items(buffer, at), enc.NULL, enc.NULL, enc.NULL]
        self._durable, self._priority = fields[0], fields[1]
        ttl, _ = decode(fields[2])
        self.ttl_ms = ttl if type(ttl) is int else None

    def annotation(self, name: str) -> Value:
        encoded = self._annotations.get(enc.symbol(name))
        return None if encoded is None else decode(encoded)[0]

    def properties(self) -> dict[str, Value]:
        """The properties section by AMQP name, without the absent ones."""
        if not self._properties:
            return {}
        section, _ = decode(self._properties)
        assert isinstance(section, Described)
        if not isinstance(section.value, list):
            raise AmqpError(DECODE_ERROR, "the properties of a message are not a list")
        named = zip(PROPERTY_NAMES, section.value, strict=False)
        return {name: value for name, value in named if value is not None}

    def application_properties(self) -> dict[Value, Value]:
        """What the sender's application wrote; read once, because every rule asks for it."""
        if self._decoded is None:
            self._decoded = self._decode_application_properties()
        return self._decoded

    def _decode_application_properties(self) -> dict[Value, Value]:
        if not self._application_properties:
            return {}
        section, _ = decode(self._application_properties)
        assert isinstance(section, Described)
        if not isinstance(section.value, dict):
            raise AmqpError(DECODE_ERROR, "the application properties of a message are not a map")
        return section.value

    def value(self) -> Value:
        """The body when it is an AMQP value (as in requests to a node), otherwise None."""
        if not self._body.startswith(b"\x00"):
            return None
        section, _ = decode(self._body)
        assert isinstance(section, Described)
        return section.value if section.descriptor == AMQP_VALUE else None

    def raw_message_id(self) -> bytes:
        """The encoded message id, to be echoed as a correlation id with its type; null if none."""
        if not self._properties:
            return enc.NULL
        items = raw_items(self._properties, decode(self._properties, 1)[1])
        return items[0] if items else enc.NULL

    def due_at_ms(self) -> int | None:
        """When the message is to be enqueued, if its sender set a time."""
        due = self.annotation(SCHEDULED_TIME)
        return due if isinstance(due, Timestamp) else None

    def limited(self, limit_ms: int | None) -> "Content":
        """The message, living no longer than its topic allows."""
        if limit_ms is None or (self.ttl_ms is not None and self.ttl_ms <= limit_ms):
            return self
        return self._but(ttl_ms=limit_ms)

    def _but(self, **changes: object) -> "Content":
        """A copy in which these attributes differ."""
        copy = Content()
        for name in Content.__slots__:
            setattr(copy, name, changes.get(name, getattr(self, name)))
        return copy

    def with_source(self, queue: str) -> "Content":
        """A copy that names the queue in which it was dead-lettered, before it was forwarded."""
        noted = {enc.symbol(DEAD_LETTER_SOURCE): enc.string(queue)}
        return self._but(_annotations=self._annotations | noted)

    def with_message_id(self, message_id: str) -> None:
        """Give the message an id where its sender gave none: some SDKs cannot read one without."""
        if self.raw_message_id() != enc.NULL:
            return
        items: list[bytes] = []
        if self._properties:
            items = raw_items(self._properties, decode(self._properties, 1)[1])
        self._properties = enc.composite(PROPERTIES, [enc.string(message_id), *items[1:]])

    def with_property(self, name: str, value: Value) -> "Content":
        """A copy with another value in the properties section; None removes it."""
        items = raw_items(self._properties, self._properties_at()) if self._properties else []
        items += [enc.NULL] * (len(PROPERTY_NAMES) - len(items))
        items[PROPERTY_NAMES.index(name)] = enc.scalar(value)
        changed = self._but(_properties=enc.composite(PROPERTIES, items))
        if name == "group-id":
            changed.session = value if isinstance(value, str) else None
        return changed

    def _properties_at(self) -> int:
        return decode(self._properties, 1)[1]

    def modified(self, values: Mapping[str, Value]) -> "Content":
        """A copy with these values of application properties; None removes one."""
        if not values:
            return self
        pairs = {}
        if self._application_properties:
            value_at = decode(self._application_properties, 1)[1]
            pairs = _pairs(self._application_properties, value_at)
        pairs |= {enc.string(name): enc.scalar(value) for name, value in values.items()}
        removed = {enc.string(name) for name, value in values.items() if value is None}
        parts = [part for pair in pairs.items() if pair[0] not in removed for part in pair]
        section = enc.described(APPLICATION_PROPERTIES, enc.map_of(parts)) if parts else b""
        return self._but(_application_properties=section, _decoded=None)

    def properties_size(self) -> int:
        """Bytes of both sections of properties."""
        return len(self._properties) + len(self._application_properties)

    def size(self) -> int:
        """Bytes of what the sender's application wrote."""
        return self.properties_size() + len(self._body)

    def stored(self) -> bytes:
        """The form that is kept: everything the sender wrote, nothing that changes later."""
        return self._encoded(enc.NULL, {})

    def delivered(self, delivery_count: int, annotations: dict[str, bytes]) -> bytes:
        """The form that a receiver gets, with the broker's own annotations."""
        return self._encoded(enc.uint(delivery_count), annotations)

    def _encoded(self, delivery_count: bytes, annotations: dict[str, bytes]) -> bytes:
        ttl = enc.NULL if self.ttl_ms is None else enc.uint(min(self.ttl_ms, _MAX_TTL_MS))
        header = enc.composite(
            HEADER, (self._durable, self._priority, ttl, enc.NULL, delivery_count)
        )
        pairs = [part for pair in self._annotations.items() for part in pair]
        for name, value in annotations.items():
            pairs += (enc.symbol(name), value)
        noted = enc.described(MESSAGE_ANNOTATIONS, enc.map_of(pairs)) if pairs else b""
        return header + noted + self._properties + self._application_properties + self._body


def _pairs(buffer: bytes, at: int) -> dict[bytes, bytes]:
    """The encoded keys and values of a map, without what the broker itself annotates."""
    items = raw_items(buffer, at)
    return {
        key: value
        for key, value in zip(items[::2], items[1::2], strict=True)
        if decode(key)[0] not in _BROKER_ANNOTATIONS
    }
