"""The rules of a subscription: which messages it gets a copy of, and what is changed in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from localcloud.servicebus.decoding import Value
from localcloud.servicebus.message import Content
from localcloud.servicebus.sql import Parser, Property, SqlError
from localcloud.servicebus.sql_values import Evaluate

SYSTEM_PROPERTIES: Final = {
    "CorrelationId": "correlation-id",
    "MessageId": "message-id",
    "To": "to",
    "ReplyTo": "reply-to",
    "Label": "subject",
    "SessionId": "group-id",
    "ReplyToSessionId": "reply-to-group-id",
    "ContentType": "content-type",
}
"""What a correlation filter calls a property, and what AMQP calls it."""
DEFAULT_RULE: Final = "$Default"

type Scalar = str | int | float | bool
"""A value to compare with; points in time are `Timestamp`, which is an int."""


class Filter(Protocol):
    """Decides whether one message belongs to a subscription."""

    def matches(self, content: Content) -> bool: ...


@dataclass(frozen=True)
class TrueFilter:
    """Matches every message: what a subscription without rules has."""

    def matches(self, content: Content) -> bool:  # noqa: ARG002 - the interface of a filter
        return True


@dataclass(frozen=True)
class FalseFilter:
    """Matches no message."""

    def matches(self, content: Content) -> bool:  # noqa: ARG002 - the interface of a filter
        return False


@dataclass(frozen=True)
class CorrelationFilter:
    """Matches when every named property of the message has the given value.

    Text is compared with regard to case, as Service Bus does. `system` has AMQP's names.
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


@dataclass(frozen=True)
class SqlFilter:
    """Matches when an expression is true, not when it is unknown. Raises SqlError.

    `parameters` are the values of the names in it that begin with @.
    """

    expression: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    _condition: Evaluate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parser = Parser(self.expression, self.parameters)
        object.__setattr__(self, "_condition", parser.expression())
        if not parser.at_end():
            raise SqlError("something follows the end of the expression")

    def matches(self, content: Content) -> bool:
        return self._condition(content) is True


@dataclass(frozen=True)
class SqlAction:
    """Statements `SET property = expression` and `REMOVE property`, in order. Raises SqlError."""

    expression: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    _steps: list[tuple[Property, Evaluate | None]] = field(
        init=False, repr=False, compare=False, default_factory=list
    )

    def __post_init__(self) -> None:
        parser = Parser(self.expression, self.parameters)
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
            content = (
                content.with_property(target.name, value)
                if target.system
                else content.modified({target.name: value})
            )
        return content


@dataclass(frozen=True)
class Rule:
    """A filter, and the action that is done on what it lets through."""

    name: str
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
