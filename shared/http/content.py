"""Bodies and query strings: what is read, how strictly, and how a refusal names the field."""

import json
from collections.abc import Mapping
from typing import Any, Never

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.problem import BodyTooLarge, InvalidRequest, MalformedJson, UnsupportedMediaType

BODY_MAX_BYTES = 256 * 1024
ERRORS_NAMED = 20
FIELD_MAX_LENGTH = 100


class Body(BaseModel):
    """Base of request bodies (and their parts): unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Query(BaseModel):
    """Base of query strings: unknown parameters are refused.

    The host joins repeated parameters with commas and drops empty ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page[T](BaseModel):
    """One page of a list; `next_cursor` asks for the following one, None at the end."""

    items: list[T]
    next_cursor: str | None


def read_body[M: BaseModel](model: type[M], raw: bytes, content_type: str | None) -> M:
    """The body as `model`, types taken strictly: "5" is no number.

    Raises BodyTooLarge, UnsupportedMediaType, MalformedJson, InvalidRequest; none repeats a value
    that was sent.
    """
    check_size(raw)
    _check_content_type(content_type)
    _check_json(raw)
    try:
        # A model's frozen sets and tuples are read from arrays, its UUIDs and dates from strings.
        return model.model_validate_json(raw, strict=True)
    except ValidationError as fault:
        raise _invalid("the body is not valid", fault) from None


def read_query[M: BaseModel](model: type[M], parameters: Mapping[str, str]) -> M:
    """The query string as `model`. Raises InvalidRequest."""
    check_text(parameters)
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as fault:
        raise _invalid("the query string is not valid", fault) from None


def refuse_query(parameters: Mapping[str, str]) -> None:
    """Raises InvalidRequest unless the query string is empty."""
    if parameters:
        errors = [_error(name, "Extra inputs are not permitted") for name in parameters]
        raise InvalidRequest("the operation takes no query parameters", errors[:ERRORS_NAMED])


def refuse_body(raw: bytes) -> None:
    """Raises InvalidRequest (BodyTooLarge) unless the body is empty."""
    check_size(raw)
    if raw:
        raise InvalidRequest("the operation takes no body")


def check_size(raw: bytes) -> None:
    """Raises BodyTooLarge above 256 KiB."""
    if len(raw) > BODY_MAX_BYTES:
        raise BodyTooLarge("a body may have at most 256 KiB", limit_bytes=BODY_MAX_BYTES)


def check_text(values: Mapping[str, str]) -> None:
    """Raises InvalidRequest for text that PostgreSQL cannot hold."""
    errors = [_error(name, "Text is not valid") for name, value in values.items() if _odd(value)]
    if errors:
        raise InvalidRequest("the request is not valid", errors[:ERRORS_NAMED])


def _check_content_type(content_type: str | None) -> None:
    media_type, _, parameters = (content_type or "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media_type.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise UnsupportedMediaType("send the body as application/json in UTF-8")


def _check_json(raw: bytes) -> None:
    """Refuse what JSON readers disagree on (RFC 8259 §4, §6): repeated names, NaN, odd text."""
    try:
        parsed = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unambiguous, parse_constant=_no_constant
        )
        if b"\\u" in raw or b"\x00" in raw:
            errors = [_error(path, "Text is not valid") for path in _odd_paths(parsed, "")]
            if errors:
                raise InvalidRequest("the body is not valid", errors[:ERRORS_NAMED])
    except (ValueError, RecursionError) as fault:  # UnicodeDecodeError is a ValueError
        raise MalformedJson("the body is not one well-formed JSON value in UTF-8") from fault


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("a name occurs twice in one object")
    return members


def _no_constant(_constant: str) -> Never:
    raise MalformedJson("NaN and Infinity are not JSON")


def _odd(text: str) -> bool:
    """NUL, or half of a surrogate pair."""
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _odd_paths(value: Any, path: str) -> list[str]:
    match value:
        case str():
            return [path] if _odd(value) else []
        case list():
            return [odd for i, v in enumerate(value) for odd in _odd_paths(v, _join(path, str(i)))]
        case dict():
            named = [odd for k, v in value.items() for odd in _odd_paths(v, _join(path, k))]
            return [path, *named] if any(map(_odd, value)) else named
        case _:
            return []


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _invalid(detail: str, fault: ValidationError) -> InvalidRequest:
    found = fault.errors(include_url=False, include_context=False, include_input=False)
    errors = [_error(".".join(map(str, e["loc"])), _message(e["type"], e["msg"])) for e in found]
    return InvalidRequest(detail, errors[:ERRORS_NAMED])


def _message(kind: str, message: str) -> str:
    """The rule; pydantic's words on UUIDs, dates and URLs quote the input."""
    if kind.endswith("_parsing"):
        return message.partition(",")[0]
    return message.removeprefix("Value error, ")


def _error(name: str, message: str) -> dict[str, str]:
    printable = name.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")
    return {"field": printable[:FIELD_MAX_LENGTH], "message": message}
