"""What the operators of rules do with values: three-valued logic, comparison, arithmetic, LIKE."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from localcloud.servicebus.decoding import Value
from localcloud.servicebus.message import Content

type Evaluate = Callable[[Content], Value]

ORDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}


def opposite(value: Evaluate) -> Evaluate:
    def evaluate(content: Content) -> Value:
        found = value(content)
        return not found if isinstance(found, bool) else None

    return evaluate


def both(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(content: Content) -> Value:
        values = (left(content), right(content))
        if any(value is False for value in values):
            return False
        return True if all(value is True for value in values) else None

    return evaluate


def either(left: Evaluate, right: Evaluate) -> Evaluate:
    return opposite(both(opposite(left), opposite(right)))


def comparison(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(content: Content) -> Value:
        one, other = left(content), right(content)
        if kind(one) is None or kind(one) is not kind(other):
            return None
        if sign in ORDER:
            return None if isinstance(one, bool) else ORDER[sign](one, other)  # type: ignore[arg-type]
        return (one == other) is (sign == "=")

    return evaluate


def kind(value: Value) -> type | None:
    """What a value can be compared with; None for nothing."""
    if value is None or isinstance(value, list | dict):
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float
    return str if isinstance(value, str) else type(value)


def calculation(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(content: Content) -> Value:
        one, other = left(content), right(content)
        if kind(one) is not float or kind(other) is not float:
            return None
        try:
            value = _ARITHMETIC[sign](one, other)  # type: ignore[arg-type]
        except (ZeroDivisionError, OverflowError):
            return None
        whole = isinstance(one, int) and isinstance(other, int)
        return int(value) if whole else value

    return evaluate


def likeness(left: Evaluate, pattern: Evaluate, escape: Evaluate | None) -> Evaluate:
    def evaluate(content: Content) -> Value:
        text, wanted = left(content), pattern(content)
        sign = escape(content) if escape else None
        if not isinstance(text, str) or not isinstance(wanted, str):
            return None
        return like(text, wanted, sign if isinstance(sign, str) else None)

    return evaluate


def like(text: str, pattern: str, escape: str | None) -> bool:
    """Whether the text has this form: % stands for anything, _ for one character."""
    parts = []
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            parts.append(re.escape(next(characters, character)))
        else:
            parts.append({"%": ".*", "_": "."}.get(character, re.escape(character)))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
