"""Holds requests against the OpenAPI description of their operation.

The rules are named in the service's own way, and no sentence repeats what was sent.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Never

from localcloud.gateway.description import Description, Parameter, query_values
from localcloud.gateway.policy.context import Context
from localcloud.gateway.policy.services import Violation

_NAME_MAX = 100
_NO_BODY = frozenset[str]()


class OpenApiContract:
    """What `validate-parameters` and `validate-content` ask.

    `descriptions` are those of all operations, by API and operation id.
    """

    def __init__(self, descriptions: Mapping[tuple[str, str], Description]) -> None:
        self._descriptions = descriptions

    def parameters(self, context: Context, places: frozenset[str]) -> Sequence[Violation]:
        """What is wrong with the parameters in `places`; nothing for an operation undescribed."""
        description = self._description(context)
        if description is None:
            return ()
        violations: list[Violation] = []
        for place in ("path", "query", "headers"):
            if place in places:
                known = description.parameters[place]
                violations += _violations(place, known, _given(context, place, known))
        return violations

    def content(self, context: Context, media_type: str, body: bytes) -> Violation | None:
        """What is wrong with the body, if anything."""
        description = self._description(context)
        if description is None:
            return None
        if not body:
            if description.body_required:
                return Violation("body", "", "a body is required", specified=True)
            return None
        validator = description.bodies.get(media_type.lower())
        if validator is None:
            return None
        try:
            value = _json(body)
        except (ValueError, RecursionError):
            return _malformed("the body is not one well-formed JSON value in UTF-8")
        try:
            error = next(iter(validator.iter_errors(value)), None)
        except ValueError:  # half of a surrogate pair, which no text can hold
            return Violation("body", "", "text is not valid", specified=True)
        if error is None:
            return None
        name, detail = _sentence(error)
        return Violation("body", name, detail, specified=True)

    def media_types(self, context: Context) -> frozenset[str]:
        """Media types that the operation reads, in lower case; empty when it reads no body."""
        description = self._description(context)
        return frozenset(description.bodies) if description is not None else _NO_BODY

    def _description(self, context: Context) -> Description | None:
        if context.api is None:
            return None
        return self._descriptions.get((context.api.name, context.operation_id))


def _given(context: Context, place: str, known: Mapping[str, Parameter]) -> Mapping[str, list[str]]:
    request = context.request
    if place == "path":
        return {name: [value] for name, value in request.matched.items()}
    if place == "query":
        return query_values(request.query) if request.query else {}
    # Every request has headers that stand in no document; only the described ones are looked at.
    return {name: values for name in known if (values := request.headers.values(name))}


def _violations(
    place: str, known: Mapping[str, Parameter], given: Mapping[str, list[str]]
) -> Iterable[Violation]:
    for name, texts in given.items():
        parameter = known.get(name)
        if parameter is None:
            yield Violation(place, _short(name), "is not known", specified=False)
        elif len(texts) > 1 and not (parameter.many and parameter.exploded):
            yield Violation(place, name, "may be given only once", specified=True)
        elif (detail := _wrong(parameter, texts)) is not None:
            yield Violation(place, name, detail, specified=True)
    for name, parameter in known.items():
        if parameter.required and name not in given:
            yield Violation(place, parameter.name, "is required", specified=True)


def _wrong(parameter: Parameter, texts: list[str]) -> str | None:
    try:
        error = next(iter(parameter.validator.iter_errors(parameter.value(texts))), None)
    except ValueError:
        return "text is not valid"
    return None if error is None else _sentence(error)[1]


def _json(body: bytes) -> Any:
    """What JSON readers agree on (RFC 8259 §4, §6). ValueError for anything else."""
    return json.loads(
        body.decode("utf-8"), object_pairs_hook=_unambiguous, parse_constant=_no_constant
    )


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return members


def _no_constant(_constant: str) -> Never:
    raise ValueError("NaN and Infinity are not JSON")


def _malformed(detail: str) -> Violation:
    return Violation("body", "", detail, specified=True, reason="malformed")


def _sentence(error: Any) -> tuple[str, str]:
    """The dotted path of what is wrong, and the rule it breaks."""
    path = [str(part) for part in error.instance_path]
    kind, facts = error.kind.name, error.kind.as_dict()
    if kind == "anyOf":
        return _alternative(error, path)
    if kind == "required":
        path.append(str(facts["property"]))
        return _short(".".join(path)), "is required"
    if kind == "additionalProperties":
        path.append(str(facts["unexpected"][0]))
        return _short(".".join(path)), "is not known"
    return _short(".".join(path)), _rule(kind, facts)


def _alternative(error: Any, path: list[str]) -> tuple[str, str]:
    """What may also be null is told as if it could not; other choices are not told apart."""
    branches = [list(branch) for branch in error.kind.as_dict()["context"]]
    told = [branch for branch in branches if branch and branch[0].kind.name != "enum"]
    if len(told) == 1:
        return _sentence(told[0][0])
    return _short(".".join(path)), "is not valid"


def _rule(kind: str, facts: Mapping[str, Any]) -> str:
    limit = facts.get("limit")
    match kind:
        case "type":
            return f"must be of type {' or '.join(facts['types'])}"
        case "enum":
            return "must be one of the values that are allowed"
        case "format":
            return f"must be a {facts['format']}"
        case "minimum" | "exclusiveMinimum":
            return f"must be {'at least' if kind == 'minimum' else 'more than'} {limit}"
        case "maximum" | "exclusiveMaximum":
            return f"must be {'at most' if kind == 'maximum' else 'less than'} {limit}"
        case "minLength" | "minItems":
            unit = "characters" if kind == "minLength" else "items"
            return f"must have at least {limit} {unit}"
        case "maxLength" | "maxItems":
            unit = "characters" if kind == "maxLength" else "items"
            return f"must have at most {limit} {unit}"
        case "uniqueItems":
            return "must not repeat an item"
        case "pattern":
            return "does not have the form that is asked for"
        case _:
            return "is not valid"


def _short(name: str) -> str:
    printable = name.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")
    return printable[:_NAME_MAX]
