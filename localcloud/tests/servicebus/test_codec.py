"""Values, frames and messages survive the wire, and hostile bytes never do more than fail."""

import struct
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus.decoding import (
    MAX_DEPTH,
    Described,
    MalformedValue,
    Symbol,
    Value,
    decode,
    raw_items,
    skip,
)
from localcloud.servicebus.errors import AmqpError
from localcloud.servicebus.frames import AMQP_HEADER, Frame, FrameReader, Header, frame
from localcloud.servicebus.message import Content, unpack_batch
from localcloud.servicebus.outcomes import Outcome
from localcloud.servicebus.performatives import (
    Attach,
    Disposition,
    Flow,
    Transfer,
    read_performative,
)

type Encoded = tuple[Value, bytes]


def encoded(value: Value, data: bytes) -> Encoded:
    return value, data


scalars = st.one_of(
    st.just((None, enc.NULL)),
    st.booleans().map(lambda v: encoded(v, enc.boolean(v))),
    st.integers(0, 255).map(lambda v: encoded(v, enc.ubyte(v))),
    st.integers(0, 2**16 - 1).map(lambda v: encoded(v, enc.ushort(v))),
    st.integers(0, 2**32 - 1).map(lambda v: encoded(v, enc.uint(v))),
    st.integers(0, 2**64 - 1).map(lambda v: encoded(v, enc.ulong(v))),
    st.integers(-(2**31), 2**31 - 1).map(lambda v: encoded(v, enc.int32(v))),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: encoded(v, enc.long(v))),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: encoded(v, enc.timestamp(v))),
    st.uuids().map(lambda v: encoded(v, enc.uuid(v))),
    st.binary(max_size=600).map(lambda v: encoded(v, enc.binary(v))),
    st.text(max_size=300).map(lambda v: encoded(v, enc.string(v))),
    st.text(st.characters(codec="ascii"), max_size=300).map(
        lambda v: encoded(Symbol(v), enc.symbol(v))
    ),
)


def containers(items: st.SearchStrategy[Encoded]) -> st.SearchStrategy[Encoded]:
    lists = st.lists(items, max_size=12).map(
        lambda pairs: encoded([v for v, _ in pairs], enc.list_of([data for _, data in pairs]))
    )
    maps = st.dictionaries(st.text(max_size=20), items, max_size=8).map(
        lambda pairs: encoded(
            {key: value for key, (value, _) in pairs.items()},
            enc.string_map({key: data for key, (_, data) in pairs.items()}),
        )
    )
    composites = st.tuples(st.integers(0, 255), items).map(
        lambda pair: encoded(Described(pair[0], pair[1][0]), enc.described(pair[0], pair[1][1]))
    )
    return st.one_of(lists, maps, composites)


values = st.recursive(scalars, containers, max_leaves=30)


@given(values)
def test_a_value_is_read_as_it_was_written(pair: Encoded) -> None:
    value, data = pair
    assert decode(data) == (value, len(data))
    assert skip(data, 0) == len(data)


@given(values)
def test_a_shortened_value_is_malformed(pair: Encoded) -> None:
    _, data = pair
    for end in {0, len(data) // 2, len(data) - 1}:
        with pytest.raises(MalformedValue):
            decode(data[:end])


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_arbitrary_bytes_are_a_value_or_malformed(data: bytes) -> None:
    try:
        value, end = decode(data)
    except MalformedValue:
        return
    assert skip(data, 0) == end
    del value


@given(st.lists(scalars, max_size=300))
def test_the_items_of_a_list_are_their_own_bytes(pairs: list[Encoded]) -> None:
    items = [data for _, data in pairs]
    assert raw_items(enc.list_of(items), 0) == items


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x43", 0),
        (b"\x44", 0),
        (b"\x45", []),
        (b"\x51\xff", -1),
        (b"\x54\x80", -128),
        (b"\x55\x80", -128),
        (b"\x56\x01", True),
        (b"\x61\xff\xfe", -2),
        (b"\x72" + struct.pack(">f", 1.5), 1.5),
        (b"\x82" + struct.pack(">d", -2.25), -2.25),
        (b"\x73\x00\x01\xf6\x00", "😀"),
        (b"\x74\x00\x00\x00\x01", b"\x00\x00\x00\x01"),
        (b"\xe0\x04\x02\x50\x07\x08", [7, 8]),
        (b"\xe0\x02\x00\x40", []),
        (b"\xf0\x00\x00\x00\x08\x00\x00\x00\x01\x00\x53\x07\x44", [Described(7, 0)]),
        (enc.symbol_array(["a", "b"]), ["a", "b"]),
        (enc.array_of(0x98, [enc.uuid(UUID(int=3))]), [UUID(int=3)]),
    ],
)
def test_rarer_encodings_are_read(data: bytes, value: Value) -> None:
    assert decode(data) == (value, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x01",
        b"\xff",
        b"\x56\x02",
        b"\xa1\x02\xff\xfe",
        b"\xa3\x01\xff",
        b"\x73\xff\xff\xff\xff",
        b"\xb0\xff\xff\xff\xff",
        b"\xd0\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xc0\x01\x05",
        b"\xc0\x03\x01\x40\x40",
        b"\xc1\x02\x01\x40",
        b"\xc1\x04\x02\x45\x40\x40",
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x41",
        b"\xc0\x03\x01" * 200,
        b"\x00" * 200,
    ],
)
def test_hostile_values_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedValue):
        decode(data)


def test_nesting_ends_at_its_limit() -> None:
    data = enc.NULL
    for _ in range(MAX_DEPTH):
        data = enc.list_of([data])
    assert decode(data)[1] == len(data)
    with pytest.raises(MalformedValue, match="nested too deeply"):
        decode(enc.list_of([data]))


@given(st.binary(max_size=120))
@settings(max_examples=500)
def test_arbitrary_frame_bodies_only_fail_as_amqp_errors(body: bytes) -> None:
    for data in (body, b"\x00\x53\x12" + body, b"\x00\x53\x14\xc0" + body):
        try:
            _, fields, _ = read_performative(data)
            for kind in (Flow, Transfer, Disposition):
                kind.of(fields)
            Attach.of(fields, data)
            Outcome.of(fields.value(4))
        except AmqpError:
            continue


@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=90)), max_size=8), st.data())
def test_frames_are_found_however_the_bytes_arrive(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = AMQP_HEADER + b"".join(frame(channel, body) for channel, body in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, found = FrameReader(512), list[Header | Frame]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:end])
        while (unit := reader.next()) is not None:
            found.append(unit)
    assert found == [Header(AMQP_HEADER), *(Frame(0, channel, body) for channel, body in frames)]


@given(st.binary(max_size=120))
@settings(max_examples=500)
def test_arbitrary_messages_only_fail_as_amqp_errors(data: bytes) -> None:
    for candidate in (
        data,
        b"\x00\x53\x73" + data,
        b"\x00\x53\x72" + data + b"\x00\x53\x75\xa0\x00",
    ):
        try:
            content = Content.parse(candidate)
            unpack_batch(candidate)
        except AmqpError:
            continue
        assert Content.parse(content.stored()).stored() == content.stored()


def symbol_map(entries: dict[str, bytes]) -> bytes:
    return enc.map_of([part for key, item in entries.items() for part in (enc.symbol(key), item)])


def sample() -> bytes:
    notes = {"x-custom": enc.uuid(UUID(int=5)), wire.SEQUENCE_NUMBER: enc.long(99)}
    return b"".join(
        (
            enc.composite(wire.HEADER, (enc.TRUE, enc.ubyte(7), enc.uint(5_000), enc.NULL)),
            enc.described(wire.DELIVERY_ANNOTATIONS, symbol_map({"x-hop": enc.TRUE})),
            enc.described(wire.MESSAGE_ANNOTATIONS, symbol_map(notes)),
            enc.composite(wire.PROPERTIES, (enc.ulong(8), enc.NULL, enc.NULL, enc.string("s"))),
            enc.described(wire.APPLICATION_PROPERTIES, enc.string_map({"n": enc.int32(4)})),
            enc.described(wire.DATA, enc.binary(b"one")),
            enc.described(wire.DATA, enc.binary(b"two")),
            enc.described(wire.FOOTER, symbol_map({"x-sum": enc.long(1)})),
        )
    )


def test_a_delivered_message_is_what_was_sent_with_the_brokers_annotations() -> None:
    content = Content.parse(sample())
    content.with_message_id("unused")
    delivered = content.delivered(3, {wire.SEQUENCE_NUMBER: enc.long(12)})
    found = [(code, decode(delivered, at)[0]) for code, _, at, _ in wire.sections(delivered)]
    assert found == [
        (wire.HEADER, [True, 7, 5_000, None, 3]),
        (wire.MESSAGE_ANNOTATIONS, {"x-custom": UUID(int=5), "x-opt-sequence-number": 12}),
        (wire.PROPERTIES, [8, None, None, "s"]),
        (wire.APPLICATION_PROPERTIES, {"n": 4}),
        (wire.DATA, b"one"),
        (wire.DATA, b"two"),
        (wire.FOOTER, {"x-sum": 1}),
    ]


@pytest.mark.parametrize("properties", [(), (enc.NULL, enc.NULL, enc.string("to-me"))])
def test_a_message_without_an_id_gets_one(properties: tuple[bytes, ...]) -> None:
    section = enc.composite(wire.PROPERTIES, properties) if properties else b""
    content = Content.parse(section + enc.described(wire.DATA, enc.binary(b"x")))
    content.with_message_id("given")
    assert content.properties()["message-id"] == "given"
    assert content.properties().get("to") == ("to-me" if properties else None)


def test_dead_lettering_leaves_the_original_alone() -> None:
    content = Content.parse(sample())
    dead = content.modified({"DeadLetterReason": "why"})
    assert dead.application_properties() == {"n": 4, "DeadLetterReason": "why"}
    assert content.application_properties() == {"n": 4}
    assert Content.parse(dead.stored()).application_properties() == dead.application_properties()


def test_a_topic_shortens_the_life_of_a_message_but_never_prolongs_it() -> None:
    content = Content.parse(sample())
    content = content.limited(int(timedelta(days=14).total_seconds() * 1000))
    assert content.ttl_ms == 5_000
    content = content.limited(10)
    assert content.ttl_ms == 10
