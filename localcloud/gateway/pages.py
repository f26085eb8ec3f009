"""The gateway's own pages: health, and the interactive documentation of its APIs."""

import json
from typing import Any

from localcloud.gateway import portal
from localcloud.gateway.edition import Edition
from localcloud.gateway.policy import Headers, Request, Response

_JSON = "application/json"


def find(
    request: Request, request_id: str, edition: Edition, port: str, *, draining: bool
) -> Response | None:
    """The page that a GET or HEAD asks for; None when it is none of ours."""
    if request.target == "/health":
        return going(request_id) if draining else _answer(200, {"status": "healthy"}, _JSON)
    if "/docs" not in request.target:
        return None
    for api in edition.policies.apis.values():
        root = f"/{api.path}/docs"
        shown = api.gateway == port and api.document is not None
        if shown and _is_below(request.target, root):
            document = edition.documents.get(request.target)
            if document is not None:
                return Response(200, Headers.of([("Content-Type", _JSON)]), document)
            return _documentation(api.path, request.target.removeprefix(root))
    return None


def going(correlation_id: str) -> Response:
    """For requests that have to be given up because the gateway stops."""
    problem = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "code": "draining",
        "correlation_id": correlation_id,
    }
    response = _answer(503, problem, "application/problem+json")
    response.headers.set("X-Correlation-Id", correlation_id)
    response.headers.set("Retry-After", "1")
    response.headers.set("Connection", "close")
    return response


def _documentation(api_path: str, rest: str) -> Response | None:
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
