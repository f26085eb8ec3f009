"""Operations where they are served: the registry joined with the function app's routes."""

import re
from dataclasses import dataclass

from shared.http.api import Api, Operation

_VERSION = re.compile(r"v[0-9]+")
_PARAMETER = re.compile(r"\{(\w+)(?::(\w+)(?:\(\d+\))?)?\}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation at its place: `path` is below the version, `parameters` its names in order."""

    operation: Operation
    method: str
    version: str
    path: str
    parameters: tuple[tuple[str, str], ...]

    @property
    def service(self) -> str:
        """The part of the platform that it belongs to: the path's first word."""
        return self.path.split("/")[1]


def endpoints_of(api: Api) -> list[Endpoint]:
    """Every operation of `api` under each of its methods, by path and method."""
    found = []
    for route in api.routes():
        first, _, rest = route.template.partition("/")
        version, below = (first, rest) if _VERSION.fullmatch(first) else ("", route.template)
        parameters = tuple((m[1], m[2] or "") for m in _PARAMETER.finditer(below))
        path = "/" + _PARAMETER.sub(r"{\1}", below)
        operation = api.registry[route.name]
        found += [
            Endpoint(operation, method.lower(), version, path, parameters)
            for method in route.methods
        ]
    return sorted(found, key=lambda endpoint: (endpoint.path, endpoint.method))
