"""HTTP as Communication Services speaks it: refusals in Azure's error JSON."""

import logging
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from localcloud.partners.web import HungUp, Refused, hang_up

BODY_LIMIT: Final = 10 * 1024 * 1024
"""Of a whole request, attachments in base64 included."""

_CODES: Final = {
    401: "Denied",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}

log = logging.getLogger(__name__)


def parsed[Model: BaseModel](model: type[Model], body: bytes) -> Model:
    """The JSON `body` as `model`. Refused with 400 and the first thing that is wrong."""
    try:
        return model.model_validate_json(body)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        why = first["msg"].removeprefix("Value error, ")
        raise Refused(400, "BadRequest", f"{where}: {why}", facts={"target": where}) from None


def check_version(request: Request, *supported: str) -> None:
    """Refused with 400 when the request names no API version, or one that is not spoken here."""
    version = request.query_params.get("api-version", "")
    if version not in supported:
        raise Refused(
            400,
            "UnsupportedApiVersionValue",
            f"The HTTP resource does not support the API version '{version}'."
            f" The supported versions are: {', '.join(supported)}.",
        )


def check_json(request: Request) -> None:
    """Refused with 415 when the body is not said to be JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refused(415, "UnsupportedMediaType", "Send application/json.")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    code = error.code
    if code.islower():  # said by what is shared with the partners, which have names of their own
        code = _CODES.get(error.status, "BadRequest")
    content = {"error": {"code": code, "message": error.message, **error.facts}}
    return JSONResponse(content, error.status, {"x-ms-error-code": code, **error.headers})


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "BadRequest")
    return await _refused(
        request, Refused(error.status_code, code, error.detail, headers=error.headers)
    )


async def _broken(request: Request, _error: Exception) -> Response:
    return await _refused(
        request, Refused(500, "InternalServerError", "This is our fault; the log says why.")
    )


async def _gone(_request: Request, _error: Exception) -> Any:
    log.info("the client left before its request was complete")


HANDLERS: dict[Any, ExceptionHandler] = {
    Refused: _refused,
    HungUp: hang_up,
    ClientDisconnect: _gone,
    HTTPException: _http_error,
    Exception: _broken,
}
