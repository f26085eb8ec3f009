"""The interactive documentation of an API: Swagger UI, served from the disk, offline.

In Azure the developer portal of API Management takes its place.
"""

from functools import cache
from pathlib import Path

from localcloud.node import PACKAGES

type Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

SIGN_IN = "https://sign-in.example"
"""Where the committed documents say that people sign in: nowhere."""

_OWN = Path(__file__).parent / "static"
_SWAGGER_UI = PACKAGES / "swagger-ui-dist"
_FILES = {
    "portal.html": (_OWN, "text/html; charset=utf-8"),
    "portal.js": (_OWN, "text/javascript; charset=utf-8"),
    "portal.css": (_OWN, "text/css; charset=utf-8"),
    "favicon-32x32.png": (_SWAGGER_UI, "image/png"),
    "oauth2-redirect.html": (_SWAGGER_UI, "text/html; charset=utf-8"),
    "oauth2-redirect.js": (_SWAGGER_UI, "text/javascript; charset=utf-8"),
    "swagger-ui-bundle.js": (_SWAGGER_UI, "text/javascript; charset=utf-8"),
    "swagger-ui-standalone-preset.js": (_SWAGGER_UI, "text/javascript; charset=utf-8"),
    "swagger-ui.css": (_SWAGGER_UI, "text/css; charset=utf-8"),
}
"""Everything there is. What a browser asks for is a name in here, never a path on the disk."""

_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",  # Swagger UI styles elements one by one
    "img-src": "'self' data:",
    "connect-src": "'self' http://127.0.0.1:* http://localhost:*",  # the token endpoint
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_POLICY = "; ".join(f"{directive} {sources}" for directive, sources in _SOURCES.items())


def answer(api_path: str, rest: str) -> Answer:
    """Status, headers and body for what comes after `/<api_path>/docs`; 404 for what is not there.

    Without the npm packages there is nothing.
    """
    if rest == "":
        return 308, [(b"location", f"/{api_path}/docs/".encode("latin-1"))], b""
    name = rest.removeprefix("/") or "portal.html"
    if name not in _FILES or not _SWAGGER_UI.is_dir():
        return 404, [], b""
    _, media_type = _FILES[name]
    headers = {
        "content-type": media_type,
        "cache-control": "no-cache",
        "content-security-policy": _POLICY,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    pairs = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    return 200, pairs, _body(name)


def with_sign_in(document: bytes, *, clients: str, employees: str) -> bytes:
    """An API's document with the OAuth 2.0 addresses where its people really sign in."""
    for tenant, base in (("clients", clients), ("employees", employees)):
        named = f"{SIGN_IN}/{tenant}/oauth2/v2.0".encode("ascii")
        document = document.replace(named, base.encode("ascii"))
    return document


@cache
def _body(name: str) -> bytes:
    folder, _ = _FILES[name]
    return (folder / name).read_bytes()
