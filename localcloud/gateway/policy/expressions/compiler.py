"""Turns an expression's tree into a closure, checking types as the C# compiler would."""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

from localcloud.gateway.policy.expressions import members, operators
from localcloud.gateway.policy.expressions.lexer import ExpressionFault
from localcloud.gateway.policy.expressions.operators import VALUES, Run, Typed, wanted
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

_CAST: Mapping[str, tuple[type, ...]] = {
    "Jwt": (Jwt,),
    "string": (str,),
    "bool": (bool,),
    "int": (int,),
}


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
            inner = wanted("bool", compiled(of)).run
            return Typed("bool", lambda context: not inner(context))
        case Binary(sign, left, right):
            return operators.binary(sign, compiled(left), compiled(right))
        case Choice(condition, yes, no):
            return operators.choice(compiled(condition), compiled(yes), compiled(no))
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
    return f"{type_}?" if type_ in VALUES else type_


def _safely(of: Typed, read: Callable[[Any], Any]) -> Run:
    if of.type in VALUES:
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
        if of.type in VALUES:
            raise ExpressionFault(f"?. needs something that can be null, not {of.type}")
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
        wanted(type_, argument).run for type_, argument in zip(method.takes, arguments, strict=True)
    ]


def _variable(of: Typed, generic: str, arguments: list[Typed]) -> Typed:
    """`Variables.GetValueOrDefault<T>(name, default)`; a value of another type is an error."""
    if generic not in _CAST or len(arguments) != 2:  # noqa: PLR2004 - name and default
        raise ExpressionFault("GetValueOrDefault needs a type and a default: <string>(name, null)")
    name, default = wanted("string", arguments[0]).run, wanted(generic, arguments[1]).run
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
