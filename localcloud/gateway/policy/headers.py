"""Header fields of a message: names without case, values in the order they came."""

import re
from collections.abc import Iterable, Iterator
from typing import Self

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_BREAKS = re.compile(r"[\r\n\0]").search


class Headers:
    """A case-insensitive multi-map; fields keep their order and the case of their names."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, tuple[str, list[str]]] = {}

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """Headers from pairs that we wrote ourselves. ValueError as `add`."""
        headers = cls()
        for name, value in pairs:
            headers.add(name, value)
        return headers

    @classmethod
    def from_asgi(cls, raw: Iterable[tuple[bytes, bytes]]) -> Self:
        """Headers as an ASGI server hands them over, already checked by it."""
        headers = cls()
        fields = headers._fields
        for raw_name, raw_value in raw:
            name = raw_name.decode("latin-1")
            key = name.lower()
            known = fields.get(key)
            if known is None:
                fields[key] = (name, [raw_value.decode("latin-1")])
            else:
                known[1].append(raw_value.decode("latin-1"))
        return headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """The values joined by commas, as `Headers.GetValueOrDefault` joins them."""
        known = self._fields.get(name.lower())
        if known is None:
            return default
        values = known[1]
        return values[0] if len(values) == 1 else ",".join(values)

    def values(self, name: str) -> list[str]:
        """Each value in order; empty when there is no such field."""
        known = self._fields.get(name.lower())
        return list(known[1]) if known else []

    def set(self, name: str, *values: str) -> None:
        """Replaces the field. ValueError for a name that is no token or a value with a break."""
        _check(name, values)
        self._fields[name.lower()] = (name, list(values))

    def add(self, name: str, *values: str) -> None:
        """Adds values to the field. ValueError as `set`."""
        _check(name, values)
        known = self._fields.setdefault(name.lower(), (name, []))
        known[1].extend(values)

    def remove(self, name: str) -> None:
        """Drops the field if it is there."""
        self._fields.pop(name.lower(), None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every field and value, names in the case they came in."""
        for name, values in self._fields.values():
            for value in values:
                yield name, value

    def to_asgi(self) -> list[tuple[bytes, bytes]]:
        """Pairs for an ASGI server: lower-case names, latin-1."""
        return [
            (key.encode("latin-1"), value.encode("latin-1"))
            for key, (_, values) in self._fields.items()
            for value in values
        ]


def _check(name: str, values: Iterable[str]) -> None:
    """RFC 9110 §5.1, §5.5: a break in a value would begin a field of its own."""
    if not _NAME(name):
        raise ValueError("a header name is a token")
    for value in values:
        if _BREAKS(value):
            raise ValueError(f"the value of {name} holds a line break")
        if not value.isascii():
            value.encode("latin-1")
