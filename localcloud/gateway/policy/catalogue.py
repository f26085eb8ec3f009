"""`apis.json`: which APIs there are, their policies, backends and named values.

The deployment to Azure reads the same file, so a name that is not known here is refused.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from localcloud.gateway.policy.faults import PolicyFault

_NAMED = re.compile(r"\{\{([A-Za-z0-9_.-]+)\}\}")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class _Entry(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_camel, populate_by_name=True
    )


class NamedValue(_Entry):
    """A value that policies name.

    Without one here, or with `environment`, each environment has its own; a value here is then good
    for the local cloud only.
    """

    description: str
    environment: bool = False
    secret: bool = False
    value: str | None = None


class Backend(_Entry):
    """Where requests go; the URL may hold named values."""

    description: str
    url: str


class OperationEntry(_Entry):
    """An operation that no document describes."""

    id: str
    method: str = Field(pattern=r"^[A-Z]+$")
    template: str = Field(pattern=r"^/")
    display_name: str
    policy: str = ""


class ApiEntry(_Entry):
    """An API; `operation_policies` is from operation id to file."""

    name: str
    display_name: str
    description: str
    gateway: Literal["external", "internal"]
    kind: Literal["http", "websocket"] = "http"
    path: str = Field(pattern=r"^[a-z0-9./-]+$")
    version: str = ""
    version_set: str = ""
    document: str = ""
    policy: str
    operations: tuple[OperationEntry, ...] = ()
    operation_policies: Mapping[str, str] = {}


class _Diagnostics(_Entry):
    masked_headers: tuple[str, ...]
    masked_query: tuple[str, ...]
    body_bytes: Literal[0]


class _VersionSet(_Entry):
    display_name: str
    scheme: Literal["Segment"]


class _File(_Entry):
    named_values: Mapping[str, NamedValue]
    backends: Mapping[str, Backend]
    global_policy: str
    diagnostics: _Diagnostics
    version_sets: Mapping[str, _VersionSet]
    apis: tuple[ApiEntry, ...]


@dataclass(frozen=True)
class Catalogue:
    """What the file says, with named values resolved for this environment."""

    file: Path
    text: str
    named: Mapping[str, str]
    backends: Mapping[str, str]
    global_policy: str
    masked_headers: tuple[str, ...]
    masked_query: tuple[str, ...]
    apis: tuple[ApiEntry, ...]

    @classmethod
    def of(cls, file: Path, text: str, content: _File, given: Mapping[str, str]) -> Self:
        """The catalogue. Raises PolicyFault for a named value that is missing or not declared."""
        found = cls(file, text, {}, {}, "", (), (), ())
        for name in given:
            if name not in content.named_values:
                raise PolicyFault(file, 1, f"the named value {name} is given but not declared")
        named = {}
        for name, declared in content.named_values.items():
            value = given.get(name, declared.value)
            if value is None:
                raise found.fault(name, f"the named value {name} has no value")
            named[name] = value
        sets = content.version_sets
        for api in content.apis:
            if bool(api.version) is not bool(api.version_set) or (
                api.version_set and api.version_set not in sets
            ):
                raise found.fault(api.name, f"{api.name}: a version belongs to a version set")
        backends = {
            name: found.resolved(name, backend.url, named).rstrip("/")
            for name, backend in content.backends.items()
        }
        return cls(
            file=file,
            text=text,
            named=named,
            backends=backends,
            global_policy=content.global_policy,
            masked_headers=tuple(name.lower() for name in content.diagnostics.masked_headers),
            masked_query=tuple(name.lower() for name in content.diagnostics.masked_query),
            apis=content.apis,
        )

    def fault(self, word: str, message: str) -> PolicyFault:
        """A fault at the first line that holds `word` between quotation marks."""
        at = self.text.find(json.dumps(word))
        return PolicyFault(self.file, self.text.count("\n", 0, max(at, 0)) + 1, message)

    def resolved(self, word: str, text: str, named: Mapping[str, str]) -> str:
        """`text` with its named values put in. Raises PolicyFault at `word`."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in named:
                raise self.fault(word, f"there is no named value {match[1]}")
            return named[match[1]]

        return _NAMED.sub(value, text)


def catalogue(file: Path, named: Mapping[str, str]) -> Catalogue:
    """The catalogue in `file` for an environment with these `named` values. Raises PolicyFault."""
    try:
        text = file.read_text("utf-8")
        raw = json.loads(text, object_pairs_hook=_once)
    except OSError as error:
        raise PolicyFault(file, 1, f"cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise PolicyFault(file, error.lineno, error.msg) from error
    except ValueError as error:
        raise PolicyFault(file, 1, str(error)) from error
    try:
        content = _File.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyFault(file, 1, f"{where}: {first['msg']}") from error
    return Catalogue.of(file, text, content, named)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON would silently let the last of two equal names win."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found
