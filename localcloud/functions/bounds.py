"""How large a request may be: Kestrel's bounds on its head, the host's on its body."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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


def body_limit(environ: Mapping[str, str]) -> int:
    """What FUNCTIONS_REQUEST_BODY_SIZE_LIMIT allows, in bytes; the default if it is no number."""
    text = environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "")
    return int(text) if text.isdecimal() else BODY_LIMIT


class _TooLarge(Exception):
    """Ends the parsing of a request."""


class BoundedProtocol(HttpToolsProtocol):
    """Answers 414 and 431 where Kestrel does, and 400 to what is no HTTP; then hangs up."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._piece = 0
        # At most so many bytes belong to the head that is being read.
        self._head = 0
        self._refusal = HTTPStatus.BAD_REQUEST

    def data_received(self, data: bytes) -> None:
        self._piece = len(data)
        self._head += self._piece
        super().data_received(data)
        unfinished = self.scope is None or "method" not in self.scope
        if unfinished and self._head > LINE_LIMIT + HEADERS_LIMIT:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        self._head = self._piece
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        # Few heads are so large that they need to be measured.
        if self._head > LINE_LIMIT or len(self.headers) > COUNT_LIMIT:
            self._measure()
        super().on_headers_complete()

    def _measure(self) -> None:
        line = len(self.parser.get_method()) + len(self.url) + _LINE_REST
        total = sum(len(name) + len(value) + _HEADER_REST for name, value in self.headers)
        if line > LINE_LIMIT:
            self._refusal = HTTPStatus.REQUEST_URI_TOO_LONG
            raise _TooLarge
        if total > HEADERS_LIMIT or len(self.headers) > COUNT_LIMIT:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _TooLarge

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - Kestrel tells no reason either
        """Answer with the refusal instead, and hang up."""
        self.transport.write(
            f"HTTP/1.1 {self._refusal.value} {self._refusal.phrase}\r\n"
            "content-length: 0\r\nconnection: close\r\n\r\n".encode("ascii")
        )
        self.transport.close()
