"""Operators of expressions, on values whose C# types are known before any request comes."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.gateway.policy.expressions.lexer import ExpressionFault
from localcloud.gateway.policy.expressions.members import text_of

Run = Callable[[Any], Any]
"""Computes a value from the request's context."""

VALUES = frozenset({"int", "bool", "char", "Guid"})
"""Types that are never null."""
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Typed:
    """A closure and the C# type of what it gives."""

    type: str
    run: Run


def wanted(type_: str, value: Typed) -> Typed:
    """`value` if it can stand where `type_` is asked for. Raises ExpressionFault."""
    nullable = value.type == "null" and type_ not in VALUES
    if value.type != type_ and not nullable:
        raise ExpressionFault(f"expected {type_}, found {value.type}")
    return value


def binary(sign: str, left: Typed, right: Typed) -> Typed:
    """`left sign right`. Raises ExpressionFault for types that do not go together."""
    one, other = left.run, right.run
    if sign in ("&&", "||"):
        wanted("bool", left)
        wanted("bool", right)
        if sign == "&&":
            return Typed("bool", lambda context: one(context) and other(context))
        return Typed("bool", lambda context: one(context) or other(context))
    if sign in ("==", "!="):
        _check_comparable(left, right)
        compare = operator.eq if sign == "==" else operator.ne
        return Typed("bool", lambda context: compare(one(context), other(context)))
    if sign in _COMPARED:
        wanted("int", _plain(left))
        wanted("int", _plain(right))
        return Typed("bool", _ordered(_COMPARED[sign], one, other))
    if sign == "??":
        return _coalesced(left, right)
    return _sum(left, right)


def _ordered(compare: Callable[[Any, Any], bool], one: Run, other: Run) -> Run:
    """C# lifts comparisons to nullable numbers: with null on either side they are false."""

    def run(context: Any) -> bool:
        left, right = one(context), other(context)
        return left is not None and right is not None and compare(left, right)

    return run


def _check_comparable(left: Typed, right: Typed) -> None:
    types = {_plain(left).type, _plain(right).type} - {"null"}
    if len(types) > 1:
        raise ExpressionFault(f"{left.type} cannot be compared with {right.type}")
    plain = {"string", "int", "bool", "char"}
    if len(types) == 1 and "null" not in (left.type, right.type) and not types <= plain:
        raise ExpressionFault(f"{left.type} is compared by identity: cast it first")


def _plain(value: Typed) -> Typed:
    return Typed(value.type.rstrip("?"), value.run)


def _coalesced(left: Typed, right: Typed) -> Typed:
    if left.type in VALUES:
        raise ExpressionFault(f"?? needs something that can be null, not {left.type}")
    plain = _plain(left).type
    wanted(plain, right)
    one, other = left.run, right.run
    return Typed(
        plain,
        lambda context: other(context) if (value := one(context)) is None else value,
    )


def _sum(left: Typed, right: Typed) -> Typed:
    one, other = left.run, right.run
    if left.type == right.type == "int":
        return Typed("int", lambda context: one(context) + other(context))
    if "string" not in (left.type, right.type):
        raise ExpressionFault(f"{left.type} + {right.type} is outside the subset of expressions")
    return Typed("string", lambda context: text_of(one(context)) + text_of(other(context)))


def choice(condition: Typed, yes: Typed, no: Typed) -> Typed:
    """`condition ? yes : no`. Raises ExpressionFault when the two have different types."""
    test = wanted("bool", condition).run
    type_ = no.type if yes.type == "null" else yes.type
    one, other = wanted(type_, yes).run, wanted(type_, no).run
    return Typed(type_, lambda context: one(context) if test(context) else other(context))
