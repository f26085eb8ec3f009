"""Turns an expression's tree into a closure, checking types as the C# compiler would."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from localcloud.gateway.policy.expressions import members
from localcloud.gateway.policy.expressions.lexer import ExpressionFault
from localcloud.gateway.policy.expressions.members import text_of
from localcloud.gateway.policy.expressions.syntax import (
    Binary,
    Call,
    Cast,
    Choice,
    Index,
    Literal,
    Member,
    Name,
    New,
    Node,
    Not,
)
from localcloud.gateway.policy.jwt import Jwt

Run = Callable[[Any], Any]
"""Computes a value from the request's context."""

_CAST: Mapping[str, tuple[type, ...]] = {
    "Jwt": (Jwt,),
    "string": (str,),
    "bool": (bool,),
    "int": (int,),
}
_VALUES = frozenset({"int", "bool", "char", "Guid"})
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


def compiled(node: Node) -> Typed:
    """The closure of `node`. Raises ExpressionFault for what would not compile in C#."""
    match node:
        case Literal(type_, value):
            return Typed(type_, lambda _: value)
        case Name(name):
            if name != "context":
                raise ExpressionFault(f"{name} is outside the subset of expressions")
            return Typed("Context", lambda context: context)
        case Member():
            return _member(node)
        case Call():
            return _call(node)
        case Index(of, key):
            return _index(compiled(of), compiled(key))
        case New(type_, arguments):
            return _new(type_, [compiled(argument) for argument in arguments])
        case _:
            return _operation(node)


def _operation(node: Cast | Not | Binary | Choice) -> Typed:
    match node:
        case Cast(type_, of):
            return _cast(type_, compiled(of))
        case Not(of):
            inner = _wanted("bool", compiled(of)).run
            return Typed("bool", lambda context: not inner(context))
        case Binary(sign, left, right):
            return _binary(sign, compiled(left), compiled(right))
        case Choice(condition, yes, no):
            return _choice(compiled(condition), compiled(yes), compiled(no))
        case _:
            assert_never(node)


def _dotted(node: Node) -> str | None:
    """`A.B.C` when the node is nothing but names; None otherwise."""
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Member) and not node.safe:
        start = _dotted(node.of)
        return None if start is None else f"{start}.{node.name}"
    return None


def _member(node: Member) -> Typed:
    constant = members.CONSTANTS.get(_dotted(node) or "")
    if constant is not None:
        return Typed(constant, lambda _: None)
    of = _owner(node)
    found = members.PROPERTIES.get((of.type, node.name))
    if found is None:
        raise ExpressionFault(f"{of.type}.{node.name} is outside the subset of expressions")
    gives, read = found
    inner = of.run
    if node.safe:
        return Typed(_lifted(gives), _safely(of, read))
    return Typed(gives, lambda context: read(inner(context)))


def _owner(node: Member) -> Typed:
    """What the member is asked of; after `?.` C# carries null on, so we want `?.` again."""
    before = node.of.of if isinstance(node.of, Call) else node.of
    if isinstance(before, Member) and before.safe and not node.safe:
        raise ExpressionFault(f"write ?.{node.name} after {before.name}, which may be null")
    return compiled(node.of)


def _lifted(type_: str) -> str:
    return f"{type_}?" if type_ in _VALUES else type_


def _safely(of: Typed, read: Callable[[Any], Any]) -> Run:
    if of.type in _VALUES:
        raise ExpressionFault(f"?. needs something that can be null, not {of.type}")
    inner = of.run

    def run(context: Any) -> Any:
        value = inner(context)
        return None if value is None else read(value)

    return run


def _call(node: Call) -> Typed:
    arguments = [compiled(argument) for argument in node.arguments]
    static = members.STATICS.get(_dotted(node.of) or "")
    if static is not None:
        runs = _arguments(static, arguments, node.of.name)
        run_static = static.run
        return Typed(static.gives, lambda context: run_static(*[run(context) for run in runs]))
    of = _owner(node.of)
    if of.type == "Variables" and node.of.name == "GetValueOrDefault":
        return _variable(of, node.generic, arguments)
    overloads = members.METHODS.get((of.type, node.of.name))
    if overloads is None or node.generic:
        raise ExpressionFault(f"{of.type}.{node.of.name}() is outside the subset of expressions")
    fitting = [method for method in overloads if len(method.takes) == len(arguments)]
    if not fitting:
        raise ExpressionFault(f"{of.type}.{node.of.name}() takes other arguments")
    return _invoked(of, fitting[0], arguments, node.of)


def _invoked(of: Typed, method: members.Method, arguments: list[Typed], member: Member) -> Typed:
    runs = _arguments(method, arguments, member.name)
    inner, run_method = of.run, method.run
    if member.safe:
        return Typed(
            _lifted(method.gives),
            lambda context: (
                None
                if (value := inner(context)) is None
                else run_method(value, *[run(context) for run in runs])
            ),
        )
    if len(runs) == 1:
        only = runs[0]
        return Typed(method.gives, lambda context: run_method(inner(context), only(context)))
    return Typed(
        method.gives,
        lambda context: run_method(inner(context), *[run(context) for run in runs]),
    )


def _arguments(method: members.Method, arguments: list[Typed], name: str) -> list[Run]:
    if len(arguments) != len(method.takes):
        raise ExpressionFault(f"{name}() takes {len(method.takes)} arguments")
    return [
        _wanted(wanted, argument).run
        for wanted, argument in zip(method.takes, arguments, strict=True)
    ]


def _wanted(type_: str, value: Typed) -> Typed:
    nullable = value.type == "null" and type_ not in _VALUES
    if value.type != type_ and not nullable:
        raise ExpressionFault(f"expected {type_}, found {value.type}")
    return value


def _variable(of: Typed, generic: str, arguments: list[Typed]) -> Typed:
    """`Variables.GetValueOrDefault<T>(name, default)`; a value of another type is an error."""
    if generic not in _CAST or len(arguments) != 2:  # noqa: PLR2004 - name and default
        raise ExpressionFault("GetValueOrDefault needs a type and a default: <string>(name, null)")
    name, default = _wanted("string", arguments[0]).run, _wanted(generic, arguments[1]).run
    inner, allowed = of.run, _CAST[generic]

    def run(context: Any) -> Any:
        values = inner(context)
        key = name(context)
        return _checked(values[key], allowed) if key in values else default(context)

    return Typed(generic, run)


def _checked(value: Any, allowed: tuple[type, ...]) -> Any:
    if value is not None and type(value) not in allowed:
        raise TypeError("the value is of another type")
    return value


def _index(of: Typed, key: Typed) -> Typed:
    found = members.INDEXED.get((of.type, key.type))
    if found is None:
        raise ExpressionFault(f"{of.type}[{key.type}] is outside the subset of expressions")
    gives, read = found
    inner, at = of.run, key.run
    return Typed(gives, lambda context: read(inner(context), at(context)))


def _cast(type_: str, of: Typed) -> Typed:
    if of.type == type_:
        return of
    if of.type not in ("object", "null"):
        raise ExpressionFault(f"{of.type} cannot be cast to {type_}")
    inner, allowed = of.run, _CAST[type_]
    return Typed(type_, lambda context: _checked(inner(context), allowed))


def _new(type_: str, parts: list[Typed]) -> Typed:
    runs = [part.run for part in parts]
    if type_ == "JProperty":
        if len(parts) != 2 or parts[0].type != "string":  # noqa: PLR2004 - name and value
            raise ExpressionFault("new JProperty takes a name and a value")
        _json(parts[1])
        return Typed("JProperty", lambda context: (runs[0](context), runs[1](context)))
    if type_ == "JArray":
        for part in parts:
            _json(part)
        return Typed("JArray", lambda context: [run(context) for run in runs])
    if any(part.type != "JProperty" for part in parts):
        raise ExpressionFault("new JObject takes properties")
    return Typed("JObject", lambda context: _object([run(context) for run in runs]))


def _json(part: Typed) -> None:
    if part.type not in members.JSON_VALUES:
        raise ExpressionFault(f"{part.type} is no value of JSON")


def _object(properties: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(properties)
    if len(made) != len(properties):
        raise ValueError("a property stands twice in a JObject")
    return made


def _binary(sign: str, left: Typed, right: Typed) -> Typed:
    one, other = left.run, right.run
    if sign in ("&&", "||"):
        _wanted("bool", left)
        _wanted("bool", right)
        if sign == "&&":
            return Typed("bool", lambda context: one(context) and other(context))
        return Typed("bool", lambda context: one(context) or other(context))
    if sign in ("==", "!="):
        _comparable(left, right)
        compare = operator.eq if sign == "==" else operator.ne
        return Typed("bool", lambda context: compare(one(context), other(context)))
    if sign in _COMPARED:
        _wanted("int", _plain(left))
        _wanted("int", _plain(right))
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


def _comparable(left: Typed, right: Typed) -> None:
    types = {_plain(left).type, _plain(right).type} - {"null"}
    if len(types) > 1:
        raise ExpressionFault(f"{left.type} cannot be compared with {right.type}")
    plain = {"string", "int", "bool", "char"}
    if len(types) == 1 and "null" not in (left.type, right.type) and not types <= plain:
        raise ExpressionFault(f"{left.type} is compared by identity: cast it first")


def _plain(value: Typed) -> Typed:
    return Typed(value.type.rstrip("?"), value.run)


def _coalesced(left: Typed, right: Typed) -> Typed:
    if left.type in _VALUES:
        raise ExpressionFault(f"?? needs something that can be null, not {left.type}")
    plain = _plain(left).type
    _wanted(plain, right)
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


def _choice(condition: Typed, yes: Typed, no: Typed) -> Typed:
    test = _wanted("bool", condition).run
    type_ = no.type if yes.type == "null" else yes.type
    one, other = _wanted(type_, yes).run, _wanted(type_, no).run
    return Typed(type_, lambda context: one(context) if test(context) else other(context))
