"""Opaque strings that go out and come back: cursors of lists, ETags of versions."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from shared.problem import EtagMismatch, InvalidCursor

CURSOR_MAX_LENGTH = 1024

_ETAG = re.compile(r'"(0|[1-9][0-9]{0,17})"')


def encode_cursor(**values: object) -> str:
    """An opaque cursor that holds `values` as text (`str`) under their names."""
    held = json.dumps({name: str(value) for name, value in values.items()}, separators=(",", ":"))
    return base64.urlsafe_b64encode(held.encode()).decode("ascii").rstrip("=")


def decode_cursor(cursor: str, *names: str, **parsers: Callable[[str], Any]) -> tuple[Any, ...]:
    """The values of `names` as text, then those of `parsers` as parsed, in the order asked for.

    Raises InvalidCursor unless the cursor holds exactly these and every parser accepts its value:
    `decode_cursor(cursor, placed_at=datetime.fromisoformat, id=UUID)`.
    """
    wanted: dict[str, Callable[[str], Any]] = {**dict.fromkeys(names, str), **parsers}
    try:
        held = _held(cursor)
        if held.keys() == wanted.keys():
            return tuple(parse(held[name]) for name, parse in wanted.items())
    except (ValueError, RecursionError) as fault:  # binascii.Error is a ValueError
        raise InvalidCursor("the cursor was not given out by this list") from fault
    raise InvalidCursor("the cursor was given out by another list")


def _held(cursor: str) -> dict[str, str]:
    """What a cursor holds. ValueError if nobody ever gave it out."""
    if len(cursor) > CURSOR_MAX_LENGTH:
        raise ValueError("too long")
    padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
    held = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    if not isinstance(held, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of refusal for all
    if any(not isinstance(value, str) or "\0" in value for value in held.values()):
        raise ValueError("not text")
    return held


def etag_of(version: int) -> str:
    """The strong ETag of a version number: `"7"`, quotes included."""
    return f'"{version}"'


def version_of(if_match: str) -> int:
    """The version that an If-Match header names. Raises EtagMismatch if it is none of ours."""
    tag = _ETAG.fullmatch(if_match.strip())
    if tag is None:
        raise EtagMismatch("If-Match must hold one ETag as it was given out")
    return int(tag[1])


def is_held(*, etag: str, if_none_match: str | None) -> bool:
    """Whether the caller already has `etag` (weak comparison, RFC 9110 §13.1.2)."""
    if if_none_match is None:
        return False
    held = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in held or etag.removeprefix("W/") in held
