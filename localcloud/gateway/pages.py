"""The gateway's own pages: health, and the interactive documentation of its APIs."""

import json
from typing import Any

from localcloud.gateway.edition import Edition
from localcloud.gateway.policy import Headers, Request, Response

_JSON = "application/json"


def find(request: Request, edition: Edition, port: str, *, draining: bool) -> Response | None:
    """The page that a GET or HEAD asks for; None when it is none of ours."""
    if request.target == "/health":
        return _health(draining=draining)
    for api in edition.policies.apis.values():
        root = f"/{api.path}/docs"
        shown = api.gateway == port and api.document is not None
        if shown and _is_below(request.target, root):
            return _documentation(api.path, request.target.removeprefix(root))
    return None


def going() -> Response:
    """For requests that have to be given up because the gateway stops."""
    problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503}
    response = _answer(503, problem | {"code": "draining"}, "application/problem+json")
    response.headers.set("Retry-After", "1")
    response.headers.set("Connection", "close")
    return response


def _health(*, draining: bool) -> Response:
    if draining:
        return going()
    return _answer(200, {"status": "healthy"}, _JSON)


def _documentation(api_path: str, rest: str) -> Response | None:
    from localcloud.gateway import portal  # noqa: PLC0415 - its files are read by who asks for it

    status, pairs, body = portal.answer(api_path, rest)
    if status == 404:  # noqa: PLR2004 - the policies' own answer has a code
        return None
    return Response(status, Headers.from_asgi(pairs), body)


def _is_below(target: str, root: str) -> bool:
    return target == root or target.startswith(root + "/")


def _answer(status: int, value: dict[str, Any], media_type: str) -> Response:
    body = json.dumps(value).encode("utf-8")
    headers = Headers.of([("Content-Type", media_type), ("Cache-Control", "no-store")])
    return Response(status, headers, body)
