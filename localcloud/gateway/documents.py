"""Reads OpenAPI 3.0 documents into operations whose requests can be checked."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema_rs

from localcloud.gateway.description import Description, Parameter, Validator
from localcloud.gateway.policy.faults import PolicyFault
from localcloud.gateway.routing import Operation

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PLACES = {"query": "query", "path": "path", "header": "headers"}
_SUBSCHEMAS = ("items", "additionalProperties", "not")
_LISTS = ("allOf", "anyOf", "oneOf")
_REFERENCE = re.compile(r'"\$ref": "#/components/schemas/([^"]+)"').findall
# OpenAPI 3.0.3, Parameter Object: these are described elsewhere and "SHALL be ignored" here.
_NOT_PARAMETERS = frozenset({"accept", "content-type", "authorization"})


class Document:
    """One OpenAPI document. PolicyFault when it cannot be read, on the line where JSON breaks."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._root: dict[str, Any] = json.loads(file.read_bytes())
        except json.JSONDecodeError as fault:
            raise PolicyFault(file, fault.lineno, f"no JSON: {fault.msg}") from fault
        except (OSError, ValueError) as fault:
            raise PolicyFault(file, 1, f"cannot be read: {fault}") from fault
        self._validators: dict[str, Validator] = {}
        components = self._root.get("components", {})
        self._schemas = {
            name: _plain(schema) for name, schema in components.get("schemas", {}).items()
        }

    def operations(self) -> Iterator[Operation]:
        """Every operation, with a description. PolicyFault naming the one that is not in order."""
        for template, item in self._root.get("paths", {}).items():
            shared = item.get("parameters", [])
            for method in _METHODS:
                if method not in item:
                    continue
                spec = item[method]
                name = spec.get("operationId", f"{method} {template}")
                try:
                    description = self._description(spec, [*shared, *spec.get("parameters", [])])
                except (ValueError, KeyError, TypeError) as fault:
                    raise PolicyFault(self._file, 1, f"operation {name}: {fault}") from fault
                yield Operation(name, method.upper(), template, description)

    def _description(self, spec: Mapping[str, Any], listed: list[Any]) -> Description:
        parameters: dict[str, dict[str, Parameter]] = {"query": {}, "path": {}, "headers": {}}
        for reference in listed:
            parameter = self._parameter(self._resolved(reference))
            if parameter is not None:
                key = parameter.name.lower() if parameter.place == "headers" else parameter.name
                parameters[parameter.place][key] = parameter
        body = self._resolved(spec.get("requestBody", {}))
        bodies = {
            media_type.lower(): self._validator(content.get("schema", {}))
            for media_type, content in body.get("content", {}).items()
        }
        return Description(parameters, bodies, bool(body.get("required", False)))

    def _parameter(self, spec: Mapping[str, Any]) -> Parameter | None:
        place, name = _PLACES.get(spec["in"]), spec["name"]
        if place is None or (place == "headers" and name.lower() in _NOT_PARAMETERS):
            return None
        schema = spec.get("schema", {})
        types = self._types(schema)
        many = "array" in types
        return Parameter(
            name=name,
            place=place,
            required=bool(spec.get("required", False)),
            types=self._types(self._items(schema)) if many else types,
            many=many,
            # OpenAPI 3.0.3, Parameter Object: the default style of a query parameter explodes.
            exploded=bool(spec.get("explode", place == "query")),
            validator=self._validator(schema),
        )

    def _resolved(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in spec:
            target: Any = self._root
            for part in spec["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            spec = target
        return spec

    def _types(self, schema: Mapping[str, Any]) -> frozenset[str]:
        """The JSON types that a schema names, also by its alternatives."""
        schema = self._resolved(schema)
        found = {schema["type"]} if "type" in schema else set()
        for word in _LISTS:
            for part in schema.get(word, []):
                found |= self._types(part)
        return frozenset(found)

    def _items(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        schema = self._resolved(schema)
        if "items" in schema:
            return self._resolved(schema["items"])
        parts = [part for word in _LISTS for part in schema.get(word, [])]
        return next((found for part in parts if (found := self._items(part))), {})

    def _validator(self, schema: Mapping[str, Any]) -> Validator:
        """OpenAPI 3.0 schemas are JSON Schema draft 4 in all that we read."""
        plain = _plain(schema)
        text = json.dumps(plain, sort_keys=True)
        if text not in self._validators:
            whole = {"allOf": [plain], "components": {"schemas": self._needed(text)}}
            self._validators[text] = jsonschema_rs.Draft4Validator(
                whole, validate_formats=True, formats=_FORMATS, offline=True
            )
        return self._validators[text]

    def _needed(self, text: str) -> dict[str, Any]:
        """The schemas to which a schema refers, as far as they go: handing over all is slow."""
        needed: dict[str, Any] = {}
        texts = [text]
        while texts:
            for name in _REFERENCE(texts.pop()):
                if name not in needed:
                    needed[name] = self._schemas[name]
                    texts.append(json.dumps(needed[name]))
        return needed


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without `nullable`, which JSON Schema says by a type or an alternative."""
    plain = dict(schema)
    for word in _SUBSCHEMAS:
        if isinstance(plain.get(word), dict):
            plain[word] = _plain(plain[word])
    for word in _LISTS:
        if word in plain:
            plain[word] = [_plain(part) for part in plain[word]]
    if "properties" in plain:
        plain["properties"] = {name: _plain(part) for name, part in plain["properties"].items()}
    if not plain.pop("nullable", False):
        return plain
    return {"anyOf": [{"enum": [None]}, plain]}


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _unchecked(_text: str) -> bool:
    """The service looks closer at these than a pattern could."""
    return True


_FORMATS = {"uuid": _is_uuid, "email": _unchecked, "uri": _unchecked, "hostname": _unchecked}
