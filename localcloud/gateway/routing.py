"""Which API and which operation a request means."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from localcloud.gateway.description import Description
from localcloud.gateway.policy.context import Api
from localcloud.gateway.policy.faults import Refusal


@dataclass(frozen=True)
class Operation:
    """One method on one path template, which starts with a slash; `{…}` stands for a segment.

    Without a description nothing of its requests is looked at.
    """

    id: str
    method: str
    template: str
    description: Description | None = None


_Found = tuple[Operation, tuple[str, ...]]
"""An operation and the names of its template's parameters."""


@dataclass
class _Node:
    fixed: dict[str, "_Node"] = field(default_factory=dict)
    free: "_Node | None" = None
    operations: dict[str, _Found] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """An operation and the decoded values of its path parameters."""

    operation: Operation
    values: Mapping[str, str]


class Operations:
    """The operations of one API. A segment that is spelled out wins over a parameter."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        """ValueError when two operations would answer the same requests."""
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        node, names = self._root, []
        # The template "/" is the API's prefix itself, as in API Management.
        for segment in operation.template[1:].split("/") if operation.template != "/" else ():
            if segment.startswith("{") and segment.endswith("}"):
                names.append(segment[1:-1])
                node.free = node.free or _Node()
                node = node.free
            else:
                node = node.fixed.setdefault(segment, _Node())
        taken = node.operations.setdefault(operation.method, (operation, tuple(names)))
        if taken[0] is not operation:
            raise ValueError(f"{operation.id} and {taken[0].id} answer the same requests")

    def find(self, method: str, segments: tuple[str, ...]) -> Match:
        """The operation for these segments behind the API's prefix.

        Raises Refusal: 404 when no template fits, 405 with `Allow` when only the method does not.
        """
        search = _Search(method, segments)
        found = search.descend(self._root, 0)
        if found is not None:
            operation, names = found
            return Match(operation, dict(zip(names, search.values, strict=True)))
        if search.allowed:
            raise Refusal(
                source="configuration",
                reason="MethodNotAllowed",
                status=405,
                headers={"Allow": ", ".join(sorted(search.allowed))},
            )
        raise not_found()


class _Search:
    """One walk through the templates."""

    def __init__(self, method: str, segments: tuple[str, ...]) -> None:
        self._method, self._segments = method, segments
        self.values: list[str] = []
        self.allowed: set[str] = set()
        """The methods of templates that fit."""

    def descend(self, node: _Node, depth: int) -> _Found | None:
        """What answers the segments from `depth` on; leaves the values of its parameters."""
        if depth == len(self._segments):
            found = node.operations.get(self._method)
            if found is None:
                self.allowed.update(node.operations)
            return found
        segment = self._segments[depth]
        fixed = node.fixed.get(segment)
        if fixed is not None and (found := self.descend(fixed, depth + 1)) is not None:
            return found
        if node.free is None or not segment:
            return None
        self.values.append(segment)
        found = self.descend(node.free, depth + 1)
        if found is None:
            self.values.pop()
        return found


class Apis:
    """The APIs that one port shows: the longest prefix that fits answers."""

    def __init__(self, apis: Iterable[Api]) -> None:
        self._by_prefix = {tuple(api.prefix[1:].split("/")): api for api in apis}
        self._depths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    def find(self, segments: tuple[str, ...]) -> tuple[Api, int] | None:
        """The API of a path and how many segments its prefix has.

        A WebSocket API's prefix is its whole path.
        """
        for depth in self._depths:
            api = self._by_prefix.get(segments[:depth])
            if api is not None and (api.kind == "http" or len(segments) == depth):
                return api, depth
        return None


def not_found() -> Refusal:
    """What a request gets that no operation answers."""
    return Refusal(source="configuration", reason="OperationNotFound", status=404)
