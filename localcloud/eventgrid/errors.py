"""Refusals, in the JSON that Event Grid answers with."""

import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse


class GridError(Exception):
    """A request that is refused: HTTP status, Azure's code, and a sentence."""

    def __init__(self, status: int, code: str, message: str, detail: str | None = None) -> None:
        """`detail` is the code of the one element of `details`, by default the same code."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.detail = detail or code

    def body(self) -> dict[str, Any]:
        moment = f"{datetime.now(UTC):%m/%d/%Y %I:%M:%S %p} (UTC)"
        text = f"{self.message} Report '{uuid.uuid4()}:0:{moment}' to support."
        details = [{"code": self.detail, "message": text}]
        return {"error": {"code": self.code, "message": text, "details": details}}

    def response(self) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}  # noqa: PLR2004
        return JSONResponse(self.body(), self.status, headers)


def not_found(what: str) -> GridError:
    return GridError(404, "ResourceNotFound", f"{what} was not found.")


def bad_request(message: str, detail: str = "BadRequest") -> GridError:
    return GridError(400, "BadRequest", message, detail)
