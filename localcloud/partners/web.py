"""HTTP as the JSON partners speak it: bodies in, refusals out, and hanging up on purpose."""

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from localcloud.partners.store import KeyReused

BODY_LIMIT = 64 * 1024
KEY_LIMIT = 255

log = logging.getLogger(__name__)


class Refused(Exception):
    """The partner says no: an HTTP status, a code for programs and a message for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers, self.facts = dict(headers or {}), dict(facts or {})


class HungUp(Exception):
    """The connection is to be cut without a byte of answer."""


class Abortable:
    """Lets the application cut a connection, which ASGI itself has no word for.

    It has to stand outermost: only there is `send` still the server's own method, which knows
    the transport.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle: Any = getattr(send, "__self__", None)
        scope["localcloud.transport"] = getattr(cycle, "transport", None)
        await self._app(scope, receive, send)


async def body_of(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The whole body. Refused with 413 as soon as it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refused(413, "body_too_large", f"the body may have at most {limit} bytes")
    return bytes(body)


async def parsed[Model: BaseModel](
    request: Request, model: type[Model], *, optional: bool = False
) -> Model:
    """The JSON body as `model`; no body at all counts as `{}` when it is optional.

    Refused with 400 and the first thing that is wrong, 413 or 415.
    """
    body = await body_of(request)
    if not body and optional:
        body = b"{}"
    elif _media_type(request) != "application/json":
        raise Refused(415, "unsupported_media_type", "send application/json")
    try:
        return model.model_validate_json(body)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refused(
            400, "invalid_request", f"{where}: {first['msg']}", facts={"field": where}
        ) from None


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def idempotency_key(request: Request) -> str:
    """The Idempotency-Key header. Refused with 400 when it is missing or unreasonable."""
    key = request.headers.get("idempotency-key", "")
    if not key:
        raise Refused(400, "idempotency_key_required", "send an Idempotency-Key header")
    if len(key) > KEY_LIMIT or not key.isprintable():
        raise Refused(
            400,
            "idempotency_key_invalid",
            f"an Idempotency-Key has at most {KEY_LIMIT} printable characters",
        )
    return key


def fingerprint(operation: str, subject: str, body: BaseModel | None = None) -> str:
    """What makes a request the same request: its operation, what it is about, and its body."""
    facts = [operation, subject, body.model_dump(mode="json") if body is not None else None]
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    content = {"error": {"code": error.code, "message": error.message, **error.facts}}
    return JSONResponse(content, error.status, error.headers)


async def _key_reused(request: Request, _error: Exception) -> Response:
    message = "this Idempotency-Key was used for another request"
    return await _refused(request, Refused(409, "idempotency_key_reused", message))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    return await _refused(
        request, Refused(error.status_code, code, error.detail, headers=error.headers)
    )


async def _broken(request: Request, _error: Exception) -> Response:
    message = "this is our fault; the log says why"
    return await _refused(request, Refused(500, "internal_error", message))


async def hang_up(request: Request, _error: Exception) -> Any:
    """Cut the connection, and return only once the server has noticed."""
    transport = request.scope["localcloud.transport"]
    assert transport is not None, "the server does not let us cut connections"
    transport.abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _gone(_request: Request, _error: Exception) -> Any:
    log.info("the client left before its request was complete")


HANDLERS: dict[Any, ExceptionHandler] = {
    Refused: _refused,
    KeyReused: _key_reused,
    HungUp: hang_up,
    ClientDisconnect: _gone,
    HTTPException: _http_error,
    Exception: _broken,
}
