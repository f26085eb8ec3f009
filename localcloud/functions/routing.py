"""Finds the function for a method and a path, by Azure's rule: first by name that matches."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from localcloud.functions.catalogue import Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.templates import Parameter, Segment, parse_template

_NOTHING: Mapping[str, str] = MappingProxyType({})
# Paths without parameters are as few as the routes; only odd spellings of them add up.
_REMEMBERED_PATHS = 1000


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTP function with its template; `methods` None takes every method."""

    function: Function
    template: str
    methods: frozenset[str] | None
    segments: tuple[Segment, ...]
    order: int
    variable: tuple[tuple[int, Segment], ...]
    """The segments with parameters and their places."""
    auth_level: str

    def values(self, path: list[str]) -> dict[str, str] | None:
        """The parameters when `path`, whose literal segments fit, fits as a whole; else None.

        Optional parameters that are absent are left out.
        """
        values: dict[str, str] = {}
        for index, segment in self.variable:
            parameter = segment.parameter
            if parameter is None:
                fits = _take_mixed(segment, path[index], values)
            elif index >= len(path):
                fits = _take_default(parameter, values)
            elif parameter.catch_all:
                fits = _take(parameter, "/".join(path[index:]), values)
            else:
                fits = _take(parameter, path[index], values)
            if not fits:
                return None
        return values


@dataclass(slots=True)
class _Node:
    """Where paths with the same beginning meet."""

    literals: dict[str, "_Node"] = field(default_factory=dict)
    other: "_Node | None" = None
    ends: list[Route] = field(default_factory=list)
    tails: list[Route] = field(default_factory=list)


class Router:
    """Which function answers.

    Routes are tried in the order of their function's name, as Azure does: not the most specific
    one wins. The tree of segments only finds those worth trying.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self._known: dict[str, Route] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for index, segment in enumerate(route.segments):
            if all(later.may_be_absent for later in route.segments[index:]):
                node.ends.append(route)
            if segment.parameter is not None and segment.parameter.catch_all:
                node.tails.append(route)
                return
            if segment.literal is not None:
                node = node.literals.setdefault(segment.literal, _Node())
            else:
                node.other = node.other or _Node()
                node = node.other
        node.ends.append(route)

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route and its parameters, or None. `path` is decoded except for `%2F`."""
        asked = f"{method} {path}"
        if (known := self._known.get(asked)) is not None:
            return known, _NOTHING
        inner = path[1:].removesuffix("/")
        segments = inner.split("/") if inner else []
        found = [
            route
            for route in _worth_trying(self._root, segments)
            if route.methods is None or method in route.methods
        ]
        if len(found) > 1:
            found.sort(key=lambda route: route.order)
        for route in found:
            if (values := route.values(segments)) is not None:
                if not values and len(self._known) < _REMEMBERED_PATHS:
                    self._known[asked] = route
                return route, values
        return None


def _worth_trying(root: _Node, path: list[str]) -> list[Route]:
    """The routes whose literal segments and length fit."""
    found: list[Route] = []
    nodes = [root]
    for text in path:
        lower, deeper = text.lower(), []
        for node in nodes:
            if node.tails:
                found += node.tails
            if (literal := node.literals.get(lower)) is not None:
                deeper.append(literal)
            if node.other is not None and text:
                deeper.append(node.other)
        nodes = deeper
    for node in nodes:
        found += node.ends
    return found


def _take(parameter: Parameter, text: str, values: dict[str, str]) -> bool:
    if not parameter.accepts(text):
        return False
    values[parameter.name] = text
    return True


def _take_default(parameter: Parameter, values: dict[str, str]) -> bool:
    if parameter.default is not None:
        values[parameter.name] = parameter.default
    return True


def _take_mixed(segment: Segment, text: str, values: dict[str, str]) -> bool:
    match = segment.pattern.fullmatch(text) if segment.pattern else None
    return match is not None and all(
        _take(parameter, value, values)
        for parameter, value in zip(segment.parameters, match.groups(), strict=True)
    )


def routes_of(functions: Iterable[Function], prefix: str) -> list[Route]:
    """The routes of the HTTP functions, which come sorted by name.

    StartRefused naming the function whose route cannot be read.
    """
    routes = []
    for order, function in enumerate(functions):
        own = str(function.fields.get("route") or function.name).strip("/")
        template = f"{prefix}/{own}".strip("/")
        try:
            segments = tuple(parse_template(template))
        except (ValueError, re.error) as error:
            raise StartRefused(f"function {function.name!r}, route {own!r}: {error}") from error
        routes.append(
            Route(
                function=function,
                template=template,
                methods=_methods(function.fields),
                segments=segments,
                order=order,
                variable=tuple((i, part) for i, part in enumerate(segments) if part.parameters),
                auth_level=str(function.fields.get("authLevel", "FUNCTION")).upper(),
            )
        )
    return routes


def _methods(fields: Mapping[str, Any]) -> frozenset[str] | None:
    methods = fields.get("methods")
    return frozenset(str(method).upper() for method in methods) if methods else None
