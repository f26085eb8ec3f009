"""The refusals that only the notifier knows, and how any refusal is answered."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from shared import telemetry
from shared.problem import Problem, ServiceUnavailable


class TicketInvalid(Problem):
    """The ticket is unknown, used, expired or for something else: ask for another."""

    status, code = 401, "ticket-invalid"

    def headers(self) -> Mapping[str, str]:
        """RFC 6750 §3: whoever gets 401 is told what is wanted."""
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class OriginRefused(Problem):
    """A page of another site may not come in under its visitor's name."""

    status, code = 403, "origin-refused"


class TooManyConnections(Problem):
    """One person has as many connections as one may have."""

    status, code, title = 429, "too-many-connections", "Too many connections"

    def headers(self) -> Mapping[str, str]:
        """RFC 6585 §4 allows to say when to try again."""
        return {"Retry-After": "10"}


class Draining(ServiceUnavailable):
    """This replica goes away; another one takes over."""

    status, code = 503, "draining"

    def headers(self) -> Mapping[str, str]:
        """The next attempt is to open another line, which leads to another replica."""
        return {**super().headers(), "Connection": "close"}


def answer(connection: HTTPConnection, problem: Problem) -> JSONResponse:
    """The refusal as RFC 9457 problem details."""
    correlation_id = telemetry.accepted(connection.headers.get("x-correlation-id"))
    return JSONResponse(
        problem.document(correlation_id),
        problem.status,
        {**problem.headers(), "Cache-Control": "no-store"},
        media_type="application/problem+json",
    )
