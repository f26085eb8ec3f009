"""Says what of an API's document breaks clients that were written against an older one.

Within a version a document may only grow. What breaks: an operation, a success, a problem code, a
field of an answer or an enumerated value that goes; a parameter, header or field of a request that
goes (unknown ones are refused) or becomes required; a narrower range, length or pattern of what is
sent; another type; null where it was not, in an answer, or no null any more, in a request.
"""

from collections.abc import Iterator
from typing import Any

type Json = dict[str, Any]

_PLACE = "#/components/schemas/"
_LOWER = ("minimum", "minLength", "minItems")
_UPPER = ("maximum", "maxLength", "maxItems")
_METHODS = ("get", "put", "post", "delete", "patch")


def breaks(old: Json, new: Json) -> list[str]:
    """Every break, each a sentence that begins with the operation's name."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method in methods.keys() & set(_METHODS):
            before, name = methods[method], methods[method]["operationId"]
            after = new["paths"].get(path, {}).get(method)
            if after is None:
                found.append(f"{name}: {method.upper()} {path} is gone")
            else:
                found += [f"{name}: {what}" for what in _Change(old, new).of(before, after)]
    return sorted(found)


class _Change:
    """Compares parts of two documents; a pair of schemas that refers to itself once only."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = (each["components"]["schemas"] for each in (old, new))

    def of(self, old: Json, new: Json) -> Iterator[str]:
        """Breaks of one operation."""
        if old["operationId"] != new["operationId"]:
            yield f"it is called {new['operationId']}"
        yield from self._scopes(old, new)
        yield from self._parameters(old, new)
        before, after = old.get("requestBody"), new.get("requestBody")
        if before is None and after is not None:
            yield "it takes a body"
        elif before is not None and after is not None:
            schemas = (_json(each["content"]) for each in (before, after))
            yield from self._schema("the body", *schemas, sent=True)
        elif before is not None:
            yield "it takes no body"
        yield from self._answers(old["responses"], new["responses"])

    def _scopes(self, old: Json, new: Json) -> Iterator[str]:
        for kept in ("x-scope", "x-roles"):
            before, after = old.get(kept, []), new.get(kept, [])
            if kept == "x-scope" and before != after:
                yield f"it needs the scope {after}"
            if kept == "x-roles" and set(before) - set(after):
                yield f"it shuts out {sorted(set(before) - set(after))}"

    def _parameters(self, old: Json, new: Json) -> Iterator[str]:
        before, after = (
            {(each["in"], each["name"]): each for each in one["parameters"]} for one in (old, new)
        )
        for key in before.keys() - after.keys():
            if key[0] != "header":
                yield f"the parameter {key[1]} is gone"
        for key, parameter in after.items():
            known = before.get(key)
            if parameter["required"] and not (known and known["required"]):
                yield f"{key[1]} is required"
            if known:
                yield from self._schema(key[1], known["schema"], parameter["schema"], sent=True)

    def _answers(self, old: Json, new: Json) -> Iterator[str]:
        for status, before in old.items():
            after = new.get(status)
            if after is None:
                yield f"it does not answer {status} any more"
                continue
            for header in before["headers"].keys() - after["headers"].keys():
                yield f"{status} has no {header}"
            if "content" in before:
                schemas = (_json(each.get("content", {})) for each in (before, after))
                yield from self._schema(f"{status}", *schemas, sent=False)

    def _schema(self, at: str, old: Json, new: Json, *, sent: bool) -> Iterator[str]:
        old, new = _plain(old, self._old), _plain(new, self._new)
        if old.get("type") != new.get("type"):
            yield f"{at} is {new.get('type')}, not {old.get('type')}"
            return
        gone = set(map(str, old.get("enum", ()))) - set(map(str, new.get("enum", ())))
        if gone and "enum" in new:
            yield f"{at} knows {sorted(gone)} no more"
        if sent:
            yield from _narrower(at, old, new)
        if old.get("nullable", False) != new.get("nullable", False):
            if sent and old.get("nullable"):
                yield f"{at} cannot be null"
            if not sent and new.get("nullable"):
                yield f"{at} can be null"
        yield from self._members(at, old, new, sent=sent)

    def _members(self, at: str, old: Json, new: Json, *, sent: bool) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, promised = set(new.get("required", ())), set(old.get("required", ()))
        for name in sorted(before.keys() - after.keys()):
            yield f"{at}.{name} is gone"
        for name in sorted(before.keys() & after.keys()):
            yield from self._schema(f"{at}.{name}", before[name], after[name], sent=sent)
        if sent:
            yield from (f"{at}.{name} is required" for name in sorted(needed - promised))
        else:
            kept = promised - needed - (before.keys() - after.keys())
            yield from (f"{at}.{name} can be missing" for name in sorted(kept))
        for inner in ("items", "additionalProperties"):
            parts = [each.get(inner) for each in (old, new)]
            if all(isinstance(part, dict) for part in parts):
                yield from self._schema(f"{at}[]", *parts, sent=sent)  # type: ignore[arg-type]


def _narrower(at: str, old: Json, new: Json) -> Iterator[str]:
    if "enum" in new and "enum" not in old:
        yield f"{at} takes only {new['enum']}"
    for bound in _LOWER:
        if new.get(bound, float("-inf")) > old.get(bound, float("-inf")):
            yield f"{at} has {bound} {new[bound]}"
    for bound in _UPPER:
        if new.get(bound, float("inf")) < old.get(bound, float("inf")):
            yield f"{at} has {bound} {new[bound]}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{at} has another pattern"


def _plain(schema: Json, components: Json) -> Json:
    """The schema itself: references followed, what is said beside them kept."""
    parts = [schema] if "$ref" in schema else schema.get("allOf", [])
    for part in parts:
        if "$ref" in part:
            schema = {**components[part["$ref"].removeprefix(_PLACE)], **schema}
    return {key: value for key, value in schema.items() if key not in {"$ref", "allOf"}}


def _json(content: Json) -> Json:
    """The schema of the first media type."""
    return next((each["schema"] for each in content.values()), {})
