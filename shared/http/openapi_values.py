"""Example values that fit a schema, made of the examples of its parts."""

from typing import Any

from shared.http.openapi_schemas import PLACE, Json, Schemas

_SCALARS = {"string": "text", "integer": 1, "number": 1, "boolean": True}


def example_of(schema: Json, schemas: Schemas) -> Any:
    """A value of `schema`. What may be left out is left out, what may be null is so if nameless."""
    if "example" in schema:
        return schema["example"]
    if "enum" in schema:
        return schema["enum"][0]
    for reference in (schema, *schema.get("allOf", ()), *schema.get("anyOf", ())[:1]):
        if "$ref" in reference:
            return example_of(schemas.component(reference["$ref"].removeprefix(PLACE)), schemas)
    if "default" in schema:
        return schema["default"]
    match schema.get("type"):
        case "object":
            wanted = schema.get("required", ())
            parts = schema.get("properties", {})
            return {name: _field(parts[name], schemas) for name in parts if name in wanted}
        case "array":
            return [example_of(schema["items"], schemas)]
        case str(kind):
            return _SCALARS[kind]
        case _:
            return {}


def _field(part: Json, schemas: Schemas) -> Any:
    """A field's example; null where that is allowed and nothing better is known."""
    return None if part.get("nullable") and "example" not in part else example_of(part, schemas)
