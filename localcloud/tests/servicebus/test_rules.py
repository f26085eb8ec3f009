"""Which messages a correlation filter lets through."""

from uuid import UUID

import pytest

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus.message import Content
from localcloud.servicebus.rules import CorrelationFilter, Scalar, TrueFilter


def content(*properties: bytes, **application: bytes) -> Content:
    return Content.parse(
        enc.composite(wire.PROPERTIES, properties)
        + enc.described(wire.APPLICATION_PROPERTIES, enc.string_map(application))
    )


def test_the_true_filter_lets_everything_through() -> None:
    assert TrueFilter().matches(Content.parse(b""))


@pytest.mark.parametrize(
    ("expected", "actual", "matches"),
    [
        ("a", enc.string("a"), True),
        ("a", enc.symbol("a"), True),
        ("a", enc.string("A"), False),
        ("a", enc.string("ab"), False),
        ("1", enc.int32(1), False),
        (1, enc.int32(1), True),
        (1, enc.long(1), True),
        (1, enc.TRUE, False),
        (1.0, enc.uint(1), True),
        (True, enc.TRUE, True),
        (True, enc.uint(1), False),
        (False, enc.FALSE, True),
        ("", enc.NULL, False),
    ],
)
def test_application_properties_are_compared_by_kind_and_value(
    expected: Scalar, actual: bytes, *, matches: bool
) -> None:
    assert CorrelationFilter({}, {"p": expected}).matches(content(p=actual)) is matches


def test_a_missing_property_does_not_match() -> None:
    message = Content.parse(enc.described(wire.DATA, enc.binary(b"x")))
    assert not CorrelationFilter({}, {"p": "a"}).matches(message)
    assert not CorrelationFilter({"subject": "a"}, {}).matches(message)


def test_every_named_property_must_match() -> None:
    both = CorrelationFilter({"message-id": "m", "subject": "s"}, {"p": "a", "q": 2})
    message_id, subject = enc.string("m"), enc.string("s")
    absent = [enc.NULL, enc.NULL]
    assert both.matches(content(message_id, *absent, subject, p=enc.string("a"), q=enc.long(2)))
    assert not both.matches(content(message_id, *absent, subject, p=enc.string("a")))
    assert not both.matches(content(message_id, p=enc.string("a"), q=enc.long(2)))


def test_a_message_id_of_another_type_is_compared_as_text() -> None:
    wanted = CorrelationFilter({"message-id": str(UUID(int=7))}, {})
    assert wanted.matches(content(enc.uuid(UUID(int=7))))
    assert CorrelationFilter({"message-id": "12"}, {}).matches(content(enc.ulong(12)))
