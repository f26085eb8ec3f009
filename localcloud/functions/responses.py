"""Turns what an HTTP function returned into an HTTP response."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from localcloud.functions.protos import RpcHttp, RpcHttpCookie, SameSite, TypedData
from localcloud.functions.sniffing import sniff

Headers = list[tuple[bytes, bytes]]

_FIRST_STATUS, _LAST_STATUS = 200, 599
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAMES: dict[str, bytes] = {}
_REMEMBERED_NAMES = 1000
_SET_BY_SERVER = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_SAME_SITE = {SameSite.Lax: "lax", SameSite.Strict: "strict", SameSite.ExplicitNone: "none"}


def response_of(value: TypedData | None) -> tuple[int, Headers, bytes]:
    """Status, headers without a length, and body. ValueError for what HTTP cannot carry."""
    if value is None or value.kind is None:
        return 204, [], b""
    if value.kind == "http":
        return _http(value.value)
    if value.kind == "string":
        status, headers, text = sniff(value.value)
        return status, [_encoded(*header) for header in headers.items()], text.encode()
    content_type = b"application/json" if value.kind == "json" else b"application/octet-stream"
    return 200, [(b"content-type", content_type)], _bytes(value)


def _http(answer: RpcHttp) -> tuple[int, Headers, bytes]:
    status = int(answer.status_code)
    if not _FIRST_STATUS <= status <= _LAST_STATUS:
        raise ValueError(f"{status} is no status of an answer")
    headers = [_encoded(name, text) for name, text in answer.headers.items()]
    if any(name in _SET_BY_SERVER for name, _ in headers):
        headers = [header for header in headers if header[0] not in _SET_BY_SERVER]
    if answer.cookies:
        headers += _cookies(answer.cookies)
    return status, headers, _bytes(answer.body)


def _encoded(name: str, text: str) -> tuple[bytes, bytes]:
    return _NAMES.get(name) or _learn(name), text.encode("latin-1")


def _learn(name: str) -> bytes:
    """A name as it is sent; ValueError when it is none. An app uses few, again and again."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    encoded = name.lower().encode("ascii")
    if len(_NAMES) < _REMEMBERED_NAMES:
        _NAMES[name] = encoded
    return encoded


def _bytes(data: TypedData) -> bytes:
    value = data.value
    if value is None:
        return b""
    return value if isinstance(value, bytes) else str(value).encode()


def _cookies(cookies: Sequence[RpcHttpCookie]) -> Headers:
    return [(b"set-cookie", _set_cookie(cookie).encode("latin-1")) for cookie in cookies]


def _set_cookie(cookie: RpcHttpCookie) -> str:
    """As ASP.NET Core writes it: the value percent-encoded, these attributes in this order."""
    parts = [f"{cookie.name}={quote(cookie.value, safe='-_.~')}"]
    expires = _value(cookie.expires)
    if expires is not None:
        moment = datetime.fromtimestamp(expires.seconds, UTC)
        parts.append(f"expires={format_datetime(moment, usegmt=True)}")
    if (age := _value(cookie.max_age)) is not None:
        parts.append(f"max-age={int(age)}")
    if domain := _value(cookie.domain):
        parts.append(f"domain={domain}")
    if path := _value(cookie.path):
        parts.append(f"path={path}")
    if _value(cookie.secure):
        parts.append("secure")
    if cookie.same_site in _SAME_SITE:
        parts.append(f"samesite={_SAME_SITE[cookie.same_site]}")
    if _value(cookie.http_only):
        parts.append("httponly")
    return "; ".join(parts)


def _value(nullable: Any) -> Any:
    return None if nullable is None else nullable.value
