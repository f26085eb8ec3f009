"""The rules of a subscription: which messages it gets a copy of, and what is changed in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from localcloud.servicebus.decoding import Value
from localcloud.servicebus.message import Content
from localcloud.servicebus.sql import Evaluate, Parser, Property, SqlError

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


class SqlFilter:
    """Matches when an expression is true, not when it is unknown. Raises SqlError."""

    def __init__(self, expression: str) -> None:
        parser = Parser(expression)
        self._condition = parser.expression()
        if not parser.at_end():
            raise SqlError("something follows the end of the expression")

    def matches(self, content: Content) -> bool:
        return self._condition(content) is True


class SqlAction:
    """Statements `SET property = expression` and `REMOVE property`, in order. Raises SqlError."""

    def __init__(self, statements: str) -> None:
        parser = Parser(statements)
        self._steps: list[tuple[Property, Evaluate | None]] = []
        while not parser.at_end():
            if parser.accept("REMOVE"):
                self._steps.append((parser.property(), None))
            else:
                parser.expect("SET")
                target = parser.property()
                parser.expect("=")
                self._steps.append((target, parser.expression()))
            if not parser.at_end():
                parser.expect(";")

    def apply(self, content: Content) -> Content:
        """The changed copy."""
        for target, expression in self._steps:
            value = None if expression is None else expression(content)
            change = content.with_property if target.system else content.with_application_property
            content = change(target.name, value)
        return content


@dataclass(frozen=True)
class Rule:
    """A filter, and the action that is done on what it lets through."""

    filter: Filter
    action: SqlAction | None = None


def copies(rules: Sequence[Rule], content: Content) -> Iterable[Content]:
    """What a subscription gets: a copy for each matching rule with an action, and one for the rest.

    https://learn.microsoft.com/azure/service-bus-messaging/topic-filters#actions
    """
    matching = [rule.action for rule in rules if rule.filter.matches(content)]
    if None in matching:
        yield content
    for action in matching:
        if action is not None:
            yield action.apply(content)


def _same(actual: Value, expected: Scalar) -> bool:
    """Equal and of one kind: in Python True == 1, for a filter it is not."""
    if isinstance(actual, bool) or isinstance(expected, bool):
        return actual is expected
    if isinstance(actual, int | float) and isinstance(expected, int | float):
        return actual == expected
    return isinstance(actual, str) and actual == expected
