"""Which paths the function app serves, and under which methods: read from its own functions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from azure.functions.decorators.function_app import FunctionRegister

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([a-z]+)(?:\(\d+\))?)?\}")
_CONSTRAINTS = {
    None: r"[^/]+",
    "guid": r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}",
    "int": r"-?[0-9]+",
    "maxlength": r"[^/]+",
}


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTP function: its name, its route below the app's prefix, its methods in upper case."""

    name: str
    template: str
    methods: frozenset[str]


def routes_of(app: FunctionRegister) -> list[Route]:
    """The HTTP functions of `app` in the order of their names, without catch-all routes."""
    routes = []
    # The SDK's own get_functions() works once per app, and that once is the worker's.
    for builder in app._function_builders:  # noqa: SLF001
        function: Any = builder._function  # noqa: SLF001
        trigger = function.get_trigger()
        if getattr(trigger, "type", None) != "httpTrigger":
            continue
        name = function.get_function_name()
        template = (trigger.route or name).strip("/")
        if "{*" not in template:
            methods = frozenset(str(method) for method in trigger.methods or ("GET", "POST"))
            routes.append(Route(name, template, methods))
    return sorted(routes, key=lambda route: route.name)


class PathIndex:
    """Answers which methods a path has."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._patterns = [(_pattern(route.template), route.methods) for route in routes]

    def methods_at(self, path: str) -> frozenset[str]:
        """Every method under which `path` (below the prefix) exists; empty if it does not."""
        found = [methods for pattern, methods in self._patterns if pattern.fullmatch(path)]
        return frozenset[str]().union(*found)


def _pattern(template: str) -> re.Pattern[str]:
    """Paths that fit `template`; like the host, without regard to case."""
    pattern, end = "", 0
    for parameter in _PARAMETER.finditer(template):
        pattern += re.escape(template[end : parameter.start()])
        pattern += _CONSTRAINTS[parameter[2]]
        end = parameter.end()
    return re.compile(pattern + re.escape(template[end:]), re.IGNORECASE)
