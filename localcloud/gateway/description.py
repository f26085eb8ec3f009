"""What an OpenAPI document says of one operation's requests, ready to be asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote_plus

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,30})").fullmatch
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?").fullmatch


class Validator(Protocol):
    """A compiled JSON schema."""

    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: where it stands, what JSON types its text may mean, what it must satisfy.

    `many` is an array, whose values repeat the name when `exploded`, or else join by comma.
    """

    name: str
    place: str
    required: bool
    types: frozenset[str]
    many: bool
    exploded: bool
    validator: Validator

    def value(self, texts: list[str]) -> Any:
        """What the texts mean as JSON."""
        if not self.many:
            return _read(texts[0], self.types)
        parts = texts if self.exploded else texts[0].split(",")
        return [_read(part, self.types) for part in parts]


@dataclass(frozen=True, slots=True)
class Description:
    """One operation's parameters by place and (for headers lower-case) name, and its bodies."""

    parameters: Mapping[str, Mapping[str, Parameter]]
    bodies: Mapping[str, Validator]
    body_required: bool


def query_values(query: str) -> dict[str, list[str]]:
    """The values of a raw query string by name, in order; a name alone has an empty value."""
    values: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            values.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return values


def _read(text: str, types: frozenset[str]) -> Any:
    if "integer" in types and _INTEGER(text):
        return int(text)
    if "number" in types and _NUMBER(text):
        return float(text)
    if "boolean" in types and text in {"true", "false"}:
        return text == "true"
    return text
