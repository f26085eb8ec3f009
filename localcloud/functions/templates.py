"""Reads ASP.NET Core route templates, as the routes of HTTP functions are written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from localcloud.functions.constraints import Check, constraint

_PARAMETER = re.compile(r"(?P<stars>\*{0,2})(?P<name>[^*:=?/{}]+)(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A `{…}` of a template. `catch_all` takes the rest of the path, also an empty one."""

    name: str
    checks: tuple[Check, ...] = ()
    optional: bool = False
    catch_all: bool = False
    default: str | None = None

    def accepts(self, text: str) -> bool:
        return all(check(text) for check in self.checks)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part between slashes: only text, only a parameter, or a mixture.

    `literal` is in lower case; the groups of a mixture's `pattern` are its `parameters` in order.
    """

    literal: str | None = None
    parameter: Parameter | None = None
    pattern: re.Pattern[str] | None = None
    parameters: tuple[Parameter, ...] = ()

    @property
    def may_be_absent(self) -> bool:
        """Whether a path that ends before this segment may fit."""
        parameter = self.parameter
        return parameter is not None and (
            parameter.optional or parameter.catch_all or parameter.default is not None
        )


def parse_template(template: str) -> list[Segment]:
    """The segments of `template`. ValueError says what is wrong with it."""
    text = template.strip("/")
    segments = [_segment(list(_parts(part))) for part in _split(text)] if text else []
    names: set[str] = set()
    for index, segment in enumerate(segments):
        ends_template = index == len(segments) - 1 and segment.parameter is not None
        for parameter in segment.parameters:
            if parameter.name.lower() in names:
                raise ValueError(f"the parameter {parameter.name!r} occurs twice")
            names.add(parameter.name.lower())
            if (parameter.catch_all or parameter.optional) and not ends_template:
                kind = "catch-all" if parameter.catch_all else "optional"
                raise ValueError(
                    f"the {kind} parameter {parameter.name!r} must be the last segment"
                )
    return segments


def _segment(parts: list[str | Parameter]) -> Segment:
    parameters = tuple(part for part in parts if isinstance(part, Parameter))
    if not parameters:
        return Segment(literal="".join(str(part) for part in parts).lower())
    if len(parts) == 1:
        return Segment(parameter=parameters[0], parameters=parameters)
    if any(isinstance(a, Parameter) and isinstance(b, Parameter) for a, b in pairwise(parts)):
        raise ValueError("two parameters follow each other without text between them")
    pattern = "".join(re.escape(part) if isinstance(part, str) else "(.+)" for part in parts)
    return Segment(pattern=re.compile(pattern, re.IGNORECASE), parameters=parameters)


def _split(text: str) -> list[str]:
    """Cut at the slashes outside braces; a regex constraint may hold some."""
    segments, depth, begin = [], 0, 0
    for index, char in enumerate(text):
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
        elif char == "/" and depth == 0:
            segments.append(text[begin:index])
            begin = index + 1
    segments.append(text[begin:])
    if depth:
        raise ValueError("the braces do not balance")
    if "" in segments:
        raise ValueError("two slashes follow each other")
    return segments


def _parts(segment: str) -> Iterator[str | Parameter]:
    index, text = 0, ""
    while index < len(segment):
        char = segment[index]
        if segment[index : index + 2] in {"{{", "}}"}:
            text += char
            index += 2
        elif char == "{":
            if text:
                yield text
                text = ""
            end = _closing(segment, index)
            yield _parameter(segment[index + 1 : end].replace("{{", "{").replace("}}", "}"))
            index = end + 1
        else:
            text += char
            index += 1
    if text:
        yield text


def _closing(segment: str, begin: int) -> int:
    """Index of the brace that closes the one at `begin`; doubled braces stand for themselves."""
    index = begin + 1
    while index < len(segment):
        if segment[index : index + 2] in {"{{", "}}"}:
            index += 2
        elif segment[index] == "}":
            return index
        else:
            index += 1
    raise ValueError("the braces do not balance")


def _parameter(inside: str) -> Parameter:
    match = _PARAMETER.fullmatch(inside)
    if match is None:
        raise ValueError(f"{{{inside}}} is no parameter")
    rest = match["rest"]
    optional = rest.endswith("?")
    rest = rest.removesuffix("?")
    constraints, default = _constraints(rest)
    if optional and default is not None:
        raise ValueError(f"{{{inside}}} cannot be optional and have a default")
    return Parameter(
        name=match["name"].strip(),
        checks=tuple(constraint(text) for text in constraints),
        optional=optional,
        catch_all=bool(match["stars"]),
        default=default,
    )


def _constraints(rest: str) -> tuple[list[str], str | None]:
    """Cut `:a:b(…)=default` outside parentheses."""
    found: list[str] = []
    depth, begin = 0, 0
    for index, char in enumerate(rest):
        depth += (char == "(") - (char == ")")
        if depth or char not in ":=":
            continue
        if index > begin:
            found.append(rest[begin + 1 : index])
        begin = index
        if char == "=":
            return found, rest[index + 1 :]
    if len(rest) > begin + 1:
        found.append(rest[begin + 1 :])
    return found, None
