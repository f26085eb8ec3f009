"""Paths as they come: cut into segments once, and refused where two readers could disagree.

What is matched here is read again by the backend. A path that one of them would take for another
one (dot segments, an encoded slash) is answered with 400 instead of being passed on.
"""

import re
from urllib.parse import quote, unquote_to_bytes

from localcloud.gateway.policy.faults import Refusal

URL_MAX = 16_384
QUERY_MAX = 2_048
SEGMENT_MAX = 1_024
"""Azure's own bounds (learn.microsoft.com, "API Management gateway runtime limits"), in bytes."""

_SAFE = "!$&'()*+,;=:@-._~"
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f/\\]").search
_DOTS = frozenset({".", ".."})


def segments_of(path: str) -> tuple[str, ...]:
    """The decoded segments of a path that starts with a slash; the last is empty after a slash.

    Raises Refusal: 400 for a path that can be read in two ways, 414 for one that is too long.
    """
    if not path.startswith("/"):
        raise _bad("the path does not start with a slash")
    if "%" in path and _BROKEN_ESCAPE(path):
        raise _bad("the path holds a percent sign that begins no escape")
    return tuple(_segment(raw) for raw in path[1:].split("/"))


def joined(segments: tuple[str, ...]) -> str:
    """The path of `segments`, each encoded in the one way that we write it; starts with a slash."""
    return "/" + "/".join(quote(segment, safe=_SAFE) for segment in segments)


def check_lengths(path: str, query: str) -> None:
    """Raises Refusal 414 beyond Azure's bounds on a URL and its query string."""
    if len(path) + 1 + len(query) > URL_MAX or len(query) > QUERY_MAX:
        raise Refusal(source="request", reason="UriTooLong", status=414)


def _segment(raw: str) -> str:
    if len(raw) > SEGMENT_MAX:
        raise Refusal(source="request", reason="UriTooLong", status=414)
    try:
        text = unquote_to_bytes(raw).decode("utf-8") if "%" in raw else raw
    except UnicodeDecodeError as fault:
        raise _bad("the path is not UTF-8") from fault
    if text in _DOTS or _AMBIGUOUS(text):
        raise _bad("the path holds dot segments, encoded slashes or control characters")
    return text


def _bad(message: str) -> Refusal:
    return Refusal(source="request", reason="BadRequest", message=message, status=400)
