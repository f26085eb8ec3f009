"""How large a request may be: Kestrel's bounds on its head, the host's on its body."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

LINE_LIMIT = 8192
"""Kestrel's MaxRequestLineSize: method, target and version with their line end, in bytes."""
HEADERS_LIMIT = 32_768
"""Kestrel's MaxRequestHeadersTotalSize: all header lines with their ends, in bytes."""
COUNT_LIMIT = 100
"""Kestrel's MaxRequestHeaderCount."""
BODY_LIMIT = 104_857_600
"""The host's own bound on the body, in bytes."""

_LINE_REST = len(" " + " HTTP/1.1\r\n")
_HEADER_REST = len(": " + "\r\n")


def refusal_of(
    method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> HTTPStatus | None:
    """The status with which Kestrel refuses a head that is too large."""
    if len(method) + len(target) + _LINE_REST > LINE_LIMIT:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    total = sum(len(name) + len(value) + _HEADER_REST for name, value in headers)
    if total > HEADERS_LIMIT or len(headers) > COUNT_LIMIT:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return None


def body_limit(environ: Mapping[str, str]) -> int:
    """What FUNCTIONS_REQUEST_BODY_SIZE_LIMIT allows, in bytes; the default if it is no number."""
    text = environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "")
    return int(text) if text.isdecimal() else BODY_LIMIT
