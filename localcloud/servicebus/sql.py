"""The SQL of rules: reads the expressions of filters and actions into functions of a message.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
"""

import re
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from localcloud.servicebus.decoding import Value
from localcloud.servicebus.message import Content
from localcloud.servicebus.sql_values import (
    ORDER,
    Evaluate,
    both,
    calculation,
    comparison,
    either,
    likeness,
    opposite,
)

MAX_LENGTH: Final = 1024
"""Characters in one expression, as in Azure."""
MAX_DEPTH: Final = 32
"""Expressions inside each other, so that no file exhausts the stack."""

SYSTEM_PROPERTIES: Final = {
    "contenttype": "content-type",
    "correlationid": "correlation-id",
    "label": "subject",
    "subject": "subject",
    "messageid": "message-id",
    "replyto": "reply-to",
    "replytosessionid": "reply-to-group-id",
    "sessionid": "group-id",
    "to": "to",
}
"""What follows `sys.`, in lower case, and what AMQP calls it."""

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
    r"|(?P<text>'(?:[^']|'')*')"
    r'|(?P<quoted>\[(?:[^\]]|\]\])+\]|"(?:[^"]|"")+")'
    r"|(?P<name>[A-Za-z_][\w$-]*)"
    r"|(?P<parameter>@[A-Za-z_]\w*)"
    r"|(?P<sign><>|!=|<=|>=|[=<>(),+\-*/%.;]))"
)
_CONSTANTS: Final[Mapping[str, bool | None]] = {"TRUE": True, "FALSE": False, "NULL": None}


class SqlError(Exception):
    """The expression cannot be read; the text says what was expected where."""


class Property:
    """A property of a message, of the application (user) or of the system."""

    def __init__(self, scope: str, name: str) -> None:
        self.system = scope == "sys"
        self.name = SYSTEM_PROPERTIES.get(name.lower(), "") if self.system else name
        if not self.name:
            raise SqlError(f"sys.{name} is not a property that rules know")

    def __call__(self, content: Content) -> Value:
        values = content.properties() if self.system else content.application_properties()
        return values.get(self.name)


class Parser:
    """Reads one expression from left to right. A missing property makes what needs it unknown."""

    def __init__(self, text: str, parameters: Mapping[str, Value] | None = None) -> None:
        self._parameters = {
            name if name.startswith("@") else f"@{name}": value
            for name, value in (parameters or {}).items()
        }
        if len(text) > MAX_LENGTH:
            raise SqlError(f"the expression is longer than {MAX_LENGTH} characters")
        self._tokens: list[tuple[str, str]] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise SqlError(f"{text[at:].strip()!r} cannot be read")
            kind = match.lastgroup or ""
            self._tokens.append((kind, match[kind]))
            at = match.end()
        self._at = 0
        self._depth = 0

    def _next(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "the end")

    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def accept(self, *words: str) -> str | None:
        """The next keyword or sign, in upper case, if it is one of these."""
        kind, text = self._next()
        if kind in ("name", "sign") and text.upper() in words:
            self._at += 1
            return text.upper()
        return None

    def expect(self, word: str) -> None:
        """Read a keyword or sign. Raises SqlError when something else comes."""
        if self.accept(word) is None:
            raise SqlError(f"{word} was expected before {self._next()[1]}")

    def property(self) -> Property:
        """A property with or without its scope. Raises SqlError."""
        kind, name = self._next()
        if kind not in ("name", "quoted"):
            raise SqlError(f"a property was expected before {name}")
        self._at += 1
        if kind == "name" and name.lower() in ("sys", "user") and self.accept("."):
            scope, (kind, name) = name.lower(), self._next()
            if kind not in ("name", "quoted"):
                raise SqlError(f"a property was expected before {name}")
            self._at += 1
            return Property(scope, _plain(kind, name))
        return Property("user", _plain(kind, name))

    def expression(self) -> Evaluate:
        """Anything that has a value: also conditions have one, true, false or unknown."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise SqlError(f"more than {MAX_DEPTH} expressions are inside each other")
        value = self._conjunction()
        while self.accept("OR"):
            value = either(value, self._conjunction())
        self._depth -= 1
        return value

    def _conjunction(self) -> Evaluate:
        value = self._negation()
        while self.accept("AND"):
            value = both(value, self._negation())
        return value

    def _negation(self) -> Evaluate:
        negate = False
        while self.accept("NOT"):
            negate = not negate
        value = self._predicate()
        return opposite(value) if negate else value

    def _predicate(self) -> Evaluate:
        left = self._sum()
        if sign := self.accept("=", "<>", "!=", *ORDER):
            return comparison(sign, left, self._sum())
        if self.accept("IS"):
            negate = self.accept("NOT") is not None
            self.expect("NULL")
            return lambda content: (left(content) is None) is not negate
        negate = self.accept("NOT") is not None
        if self.accept("IN"):
            return opposite(self._membership(left)) if negate else self._membership(left)
        if self.accept("LIKE"):
            pattern = self._sum()
            escape = self._sum() if self.accept("ESCAPE") else None
            value = likeness(left, pattern, escape)
            return opposite(value) if negate else value
        if negate:
            raise SqlError(f"IN or LIKE was expected before {self._next()[1]}")
        return left

    def _membership(self, left: Evaluate) -> Evaluate:
        self.expect("(")
        values = [comparison("=", left, self._sum())]
        while self.accept(","):
            values.append(comparison("=", left, self._sum()))
        self.expect(")")
        value = values[0]
        for other in values[1:]:
            value = either(value, other)
        return value

    def _sum(self) -> Evaluate:
        value = self._product()
        while sign := self.accept("+", "-"):
            value = calculation(sign, value, self._product())
        return value

    def _product(self) -> Evaluate:
        value = self._operand()
        while sign := self.accept("*", "/", "%"):
            value = calculation(sign, value, self._operand())
        return value

    def _operand(self) -> Evaluate:
        signs = 0
        while sign := self.accept("+", "-"):
            signs += sign == "-"
        value = self._atom()
        return calculation("-", lambda _: 0, value) if signs % 2 else value

    def _atom(self) -> Evaluate:
        if self.accept("("):
            value = self.expression()
            self.expect(")")
            return value
        kind, text = self._next()
        if kind in ("number", "text"):
            self._at += 1
            return _constant(_number(text) if kind == "number" else _plain(kind, text))
        if kind == "parameter":
            self._at += 1
            if text not in self._parameters:
                raise SqlError(f"the parameter {text} has no value")
            return _constant(self._parameters[text])
        if kind == "name" and text.upper() in _CONSTANTS:
            self._at += 1
            return _constant(_CONSTANTS[text.upper()])
        if kind == "name" and self._tokens[self._at + 1 : self._at + 2] == [("sign", "(")]:
            return self._function()
        return self.property()

    def _function(self) -> Evaluate:
        name = self._next()[1]
        self._at += 2
        if name.upper() == "EXISTS":
            found = self.property()
            self.expect(")")
            return lambda content: found(content) is not None
        if name.upper() == "NEWID":
            self.expect(")")
            return lambda _: uuid4()
        if name.upper() in ("P", "PROPERTY"):
            wanted = self.expression()
            self.expect(")")
            return lambda content: content.application_properties().get(str(wanted(content)))
        raise SqlError(f"{name} is not a function that rules know")


def _number(text: str) -> int | float:
    return int(text) if text.isdecimal() else float(text)


def _plain(kind: str, text: str) -> str:
    """What stands between quotes or brackets, or the name as it is."""
    return text if kind == "name" else text[1:-1].replace(text[-1] * 2, text[-1])


def _constant(value: Value) -> Evaluate:
    return lambda _: value
