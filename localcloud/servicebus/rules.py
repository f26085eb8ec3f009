"""The filters of a subscription: which messages it gets a copy of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from localcloud.servicebus.decoding import Value
from localcloud.servicebus.message import Content

SYSTEM_PROPERTIES: Final = {
    "ContentType": "content-type",
    "CorrelationId": "correlation-id",
    "Label": "subject",
    "Subject": "subject",
    "MessageId": "message-id",
    "ReplyTo": "reply-to",
    "ReplyToSessionId": "reply-to-group-id",
    "SessionId": "group-id",
    "To": "to",
}
"""What a correlation filter calls a property, and what AMQP calls it."""

type Scalar = str | int | float | bool


class Filter(Protocol):
    """Decides whether one message belongs to a subscription."""

    def matches(self, content: Content) -> bool: ...


class TrueFilter:
    """Matches every message: what a subscription without rules has."""

    def matches(self, content: Content) -> bool:  # noqa: ARG002 - the interface of a filter
        return True


@dataclass(frozen=True)
class CorrelationFilter:
    """Matches when every named property of the message has the given value.

    Text is compared with regard to case, as Service Bus does.
    """

    system: Mapping[str, str]
    application: Mapping[str, Scalar]

    def matches(self, content: Content) -> bool:
        if self.application:
            properties = content.application_properties()
            if not all(_same(properties.get(k), v) for k, v in self.application.items()):
                return False
        if self.system:
            named = content.properties()
            return all(k in named and str(named[k]) == v for k, v in self.system.items())
        return True


def _same(actual: Value, expected: Scalar) -> bool:
    """Equal and of one kind: in Python True == 1, for a filter it is not."""
    if isinstance(actual, bool) or isinstance(expected, bool):
        return actual is expected
    if isinstance(actual, int | float) and isinstance(expected, int | float):
        return actual == expected
    return isinstance(actual, str) and actual == expected
