"""The models that callers send and get, as schemas of OpenAPI 3.0."""

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from shared.http.openapi_examples import EXAMPLES
from shared.http.openapi_words import KINDS, PAGE, WORDS

type Json = dict[str, Any]
type Sent = tuple[JsonSchemaMode, Any]
"""A type and its direction: `validation` for what comes in, `serialization` for what goes out."""

PLACE = "#/components/schemas/"

_QUALIFIED = re.compile(r"^(?:.*__)?(?:blueprints__)?(\w+?)s?__(?:\w+__)*?(?:\w*models)__(\w+)$")
_GENERIC = re.compile(r"^(\w+?)_(\w+?)_$")
_DIRECTIONS = {"-Input": "Input", "-Output": ""}
_FORMATS = {
    "uuid": "01936f7e-8f3a-7c52-9d41-5b0e6a2f4c18",
    "date-time": "2026-11-24T09:30:00Z",
    "date": "2026-11-24",
}


class _Generator(GenerateJsonSchema):
    """pydantic's, but what an answer holds is always there: nothing is left out when it is sent."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Whether the field is always present."""
        return self.mode == "serialization" or super().field_is_required(field, total)


class Schemas:
    """The components of every type of an API, by one name each, the same in all its documents."""

    def __init__(self, types: Iterable[Sent]) -> None:
        distinct = {(mode, _key(type_)): (mode, type_) for mode, type_ in types}
        inputs = [
            (key, mode, TypeAdapter(type_).core_schema)
            for (mode, key), (_, type_) in distinct.items()
        ]
        generator = _Generator(ref_template=PLACE + "{model}")
        roots, found = generator.generate_definitions(inputs)
        definitions: dict[str, Json] = {str(name): schema for name, schema in found.items()}
        names = _names(definitions)
        translation = _Translation(definitions, names)
        self._components = {
            names[old]: _described(names[old], translation.of(schema))
            for old, schema in definitions.items()
        }
        self._roots = {(mode, key): translation.of(root) for (key, mode), root in roots.items()}

    def name_of(self, mode: JsonSchemaMode, type_: Any) -> str:
        """The component's name. Raises TypeError for a type without one, which cannot be shared."""
        reference = self._roots[mode, _key(type_)].get("$ref")
        if reference is None:
            raise TypeError(f"{type_!r} is no model: bodies need a name")
        return str(reference).removeprefix(PLACE)

    def schema(self, mode: JsonSchemaMode, type_: Any) -> Json:
        """The schema of a part of a body: a reference where the type has a name."""
        return copy.deepcopy(self._roots[mode, _key(type_)])

    def properties(self, mode: JsonSchemaMode, type_: Any) -> tuple[Json, frozenset[str]]:
        """The schemas of a model's fields as they are sent, without references, and the required.

        For query strings: nothing there can be null.
        """
        component = self._components[self.name_of(mode, type_)]
        plain = {
            name: self._inlined(schema) for name, schema in component.get("properties", {}).items()
        }
        return plain, frozenset(component.get("required", ()))

    def component(self, name: str) -> Json:
        """A component by its name."""
        return self._components[name]

    def closure(self, names: Iterable[str]) -> Json:
        """The named components and all that they refer to, sorted by name."""
        found: Json = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = copy.deepcopy(self._components[name])
                waiting.extend(references(found[name]))
        return dict(sorted(found.items()))

    def _inlined(self, schema: Json) -> Json:
        schema = {k: v for k, v in schema.items() if k != "nullable"}
        parts = schema.pop("allOf", None) or ([schema] if "$ref" in schema else [])
        for part in parts:
            referred = self._components[part["$ref"].removeprefix(PLACE)]
            schema = {**referred, **{k: v for k, v in schema.items() if k != "$ref"}}
        return schema


def references(schema: Any) -> set[str]:
    """Names of the components that a schema refers to directly."""
    match schema:
        case {"$ref": str(reference)}:
            return {reference.removeprefix(PLACE)}
        case dict():
            return set().union(*(references(value) for value in schema.values()))
        case list():
            return set().union(*(references(value) for value in schema))
        case _:
            return set()


def _key(type_: Any) -> str:
    """What tells a type from others. Generic models are equal by name and arguments."""
    if isinstance(type_, type) and issubclass(type_, BaseModel):
        return f"{type_.__module__}.{type_.__qualname__}"
    return repr(type_)


def _names(definitions: Mapping[str, Any]) -> dict[str, str]:
    names = {}
    for old in definitions:
        bare, direction = old, ""
        for suffix, word in _DIRECTIONS.items():
            if old.endswith(suffix):
                bare, direction = old.removesuffix(suffix), word
        names[old] = _readable(bare) + direction
    if len(set(names.values())) != len(names):
        raise ValueError(f"two models would be called the same: {sorted(names.values())}")
    return names


def _readable(name: str) -> str:
    """`OrderStatus` for a Status that two slices have, `OrderPage` for a Page[Order]."""
    if generic := _GENERIC.match(name):
        return _readable(generic[2]) + generic[1]
    if qualified := _QUALIFIED.match(name):
        owner = qualified[1].capitalize()
        return qualified[2] if qualified[2].startswith(owner) else owner + qualified[2]
    return name


class _Translation:
    """JSON Schema 2020-12, as pydantic writes it, in the words of OpenAPI 3.0.3."""

    def __init__(self, definitions: Mapping[str, Json], names: Mapping[str, str]) -> None:
        self._definitions, self._names = definitions, names

    def of(self, schema: Mapping[str, Any]) -> Json:
        """The schema, anew."""
        found: Json = {}
        for keyword, value in schema.items():
            if keyword in {"title", "propertyNames"} or (keyword == "default" and value is None):
                continue
            if keyword in {"anyOf", "oneOf", "allOf"}:
                _join(found, keyword, [self.of(part) for part in value])
            else:
                found.update(self._keyword(keyword, value))
        if "propertyNames" in schema:
            self._name_members(found, schema["propertyNames"])
        if "$ref" in found and len(found) > 1:
            found["allOf"] = [{"$ref": found.pop("$ref")}]
        return found

    def _keyword(self, keyword: str, value: Any) -> Json:
        match keyword:
            case "$ref":
                return {"$ref": PLACE + self._names[value.removeprefix(PLACE)]}
            case "const":
                return {"enum": [value]}
            case "examples":
                return {"example": value[0]}
            case "description":
                return {"description": _paragraphs(value)}
            case "properties":
                return {"properties": {name: self.of(part) for name, part in value.items()}}
            case "items" | "additionalProperties" if isinstance(value, dict):
                return {keyword: self.of(value)}
            case _:
                return {keyword: value}

    def _name_members(self, found: Json, keys: Json) -> None:
        """An object with a closed set of keys: 3.0 has no propertyNames, so each is a property."""
        if "$ref" in keys:
            keys = self._definitions[keys["$ref"].removeprefix(PLACE)]
        if "enum" in keys:
            member = found.pop("additionalProperties")
            found["properties"] = {key: copy.deepcopy(member) for key in keys["enum"]}
            found["additionalProperties"] = False


def _join(found: Json, keyword: str, parts: list[Json]) -> None:
    """Alternatives; null is not one of them in OpenAPI 3.0 but a property of the schema."""
    real = [part for part in parts if part != {"type": "null"}]
    if len(real) < len(parts):
        found["nullable"] = True
    if len(real) > 1:
        found[keyword] = real
    elif "$ref" in real[0]:
        found["allOf"] = real
    else:
        found.update({k: v for k, v in real[0].items() if k not in found})


def _paragraphs(text: str) -> str:
    """A docstring as Markdown: lines of a paragraph joined, `None` in JSON's word."""
    joined = "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
    return re.sub(r"\bNone\b", "null", joined)


def _described(name: str, schema: Json) -> Json:
    """The component with what its fields mean, where their models do not say it themselves."""
    usual = PAGE if name.endswith("Page") else KINDS.get(name)
    if "description" not in schema and usual:
        schema["description"] = usual
    for field, part in schema.get("properties", {}).items():
        words = WORDS.get(f"{name}.{field}") or WORDS.get(field)
        if "$ref" in part and words:
            part["allOf"] = [{"$ref": part.pop("$ref")}]
        if words:
            part.setdefault("description", words)
        _exemplify(name, field, part)
    return schema


def _exemplify(name: str, field: str, part: Json) -> None:
    """Give a scalar field an example: its own, its name's or its format's."""
    usual = EXAMPLES.get(field, _FORMATS.get(part.get("format", "")))
    example = EXAMPLES.get(f"{name}.{field}", usual)
    if example is not None and part.get("type") in {"string", "integer"}:
        part.setdefault("example", example)
