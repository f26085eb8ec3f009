"""What an operation may answer, for the API's documents: bodies, headers, every problem code."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from shared.http.api import JSON, NOT_MODIFIED, PROBLEM_JSON
from shared.http.openapi_endpoints import Endpoint
from shared.http.openapi_schemas import PLACE, Json, Schemas, Sent
from shared.http.openapi_values import example_of
from shared.problem import (
    TYPE_PREFIX,
    AccessNotRecorded,
    BodyTooLarge,
    EtagMismatch,
    EtagRequired,
    Forbidden,
    GatewayRequired,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    InternalError,
    InvalidCursor,
    InvalidRequest,
    MalformedJson,
    NotFound,
    Problem,
    ServiceUnavailable,
    SessionEnded,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TooManyRequests,
    UnsupportedMediaType,
)


class BadRequest(Problem):
    """The gateway cannot make out where the request ends or what it is for."""

    status, code = 400, "bad-request"


class UriTooLong(Problem):
    """The address is longer than the gateway reads."""

    status, code, title = 414, "uri-too-long", "URI too long"


class HeadersTooLarge(Problem):
    """The headers are larger than the gateway reads."""

    status, code = 431, "headers-too-large"


class UpstreamUnavailable(Problem):
    """The gateway cannot reach the platform; try again."""

    status, code = 502, "upstream-unavailable"


class UpstreamTimeout(Problem):
    """The platform did not answer the gateway in time; the request may have taken effect."""

    status, code = 504, "upstream-timeout"


type Kinds = tuple[type[Problem], ...]

GATEWAYS_OWN: Kinds = (
    BadRequest,
    UriTooLong,
    HeadersTooLarge,
    UpstreamUnavailable,
    UpstreamTimeout,
)
"""What only the gateway answers, for any operation."""
UNAUTHENTICATED: Kinds = (TokenMissing, TokenExpired, TokenInvalid, SessionEnded, GatewayRequired)
_SHARED_NAMES: dict[frozenset[str], str] = {
    frozenset(kind.code for kind in kinds): name
    for kinds, name in (
        (UNAUTHENTICATED, "UnauthenticatedProblem"),
        ((InvalidRequest, MalformedJson), "InvalidBodyProblem"),
        ((InvalidRequest, InvalidCursor), "InvalidListProblem"),
        ((InvalidRequest, MalformedJson, IdempotencyKeyRequired), "InvalidIntentProblem"),
        ((ServiceUnavailable, AccessNotRecorded), "DisclosureUnavailableProblem"),
    )
}
"""Names of the problems that many operations share; others are named after their operation."""

_DESCRIPTIONS = {
    "X-Correlation-Id": "Finds this request in the logs; quote it to support.",
    "ETag": "The version of what was answered; goes into If-Match of a change.",
    "Location": "Where the thing is that was made or asked for.",
    "Retry-After": "Seconds after which it is worth trying again.",
    "RateLimit-Limit": "Requests that one may send in a minute.",
    "RateLimit-Remaining": "Requests that are left in this minute.",
    "RateLimit-Reset": "Seconds until there are more.",
    "WWW-Authenticate": "What kind of token is wanted and what was wrong (RFC 6750, RFC 9470).",
    "Deprecation": "Since when the operation is deprecated (RFC 9745).",
    "Sunset": "When the operation goes away (RFC 8594).",
}
_WHOLE = {"Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}


def header(name: str, *, required: bool = False) -> Json:
    """The named response header."""
    kind = {"type": "integer", "minimum": 0} if name in _WHOLE else {"type": "string"}
    return {"description": _DESCRIPTIONS[name], "required": required, "schema": kind}


def problems_of(endpoint: Endpoint, *, through_gateway: bool) -> list[type[Problem]]:
    """Every problem that may be the answer, by status and code."""
    operation, access = endpoint.operation, endpoint.operation.access
    kinds: set[type[Problem]] = {InvalidRequest, InternalError, ServiceUnavailable}
    kinds |= set(operation.raises)
    if access.partner:
        kinds |= {GatewayRequired, Forbidden, TooManyRequests}
    elif not access.anyone:
        kinds |= {*UNAUTHENTICATED, Forbidden, TooManyRequests}
    if operation.body is not None:
        kinds |= {MalformedJson, UnsupportedMediaType}
    if endpoint.method != "get":
        kinds.add(BodyTooLarge)
    if endpoint.parameters:
        kinds.add(NotFound)
    if operation.idempotency_key:
        kinds |= {IdempotencyKeyRequired, IdempotencyKeyReused}
    if operation.if_match:
        kinds |= {EtagRequired, EtagMismatch}
    if through_gateway:
        kinds |= {*GATEWAYS_OWN}
    by_code = {kind.code: kind for kind in sorted(kinds, key=lambda kind: len(kind.__mro__))[::-1]}
    return sorted(by_code.values(), key=lambda kind: (kind.status, kind.code))


def member_types(kinds: Iterable[type[Problem]]) -> Iterator[Sent]:
    """The types of what problems have beyond the standard members."""
    for kind in kinds:
        for type_ in kind.members.values():
            yield "serialization", type_


class Answers:
    """The responses of operations. `components` gathers the problems' schemas that they name."""

    def __init__(self, schemas: Schemas, *, through_gateway: bool) -> None:
        self._schemas, self._through_gateway = schemas, through_gateway
        self.components: Json = {}

    def of(self, endpoint: Endpoint, links: Json) -> Json:
        """Responses by status, in order."""
        operation = endpoint.operation
        found = {str(operation.status): self._success(endpoint, operation.status)}
        if links:
            found[str(operation.status)]["links"] = links
        found |= {str(status): self._success(endpoint, status) for status in operation.also}
        if operation.etag and endpoint.method == "get":
            found[str(NOT_MODIFIED)] = {
                "description": "Not modified: the caller has this version (If-None-Match).",
                "headers": self._headers("ETag"),
            }
        by_status: dict[int, list[type[Problem]]] = {}
        for kind in problems_of(endpoint, through_gateway=self._through_gateway):
            by_status.setdefault(kind.status, []).append(kind)
        for status, kinds in by_status.items():
            self._refusal(found, endpoint, status, kinds)
        return dict(sorted(found.items()))

    def _success(self, endpoint: Endpoint, status: int) -> Json:
        operation = endpoint.operation
        names = ["ETag"] if operation.etag else []
        if operation.location and status == operation.status:
            names.append("Location")
        answer: Json = {"description": HTTPStatus(status).phrase, "headers": self._headers(*names)}
        if operation.deprecated and self._through_gateway:
            answer["headers"] |= {name: header(name) for name in ("Deprecation", "Sunset")}
        if operation.returns is not None:
            name = self._schemas.name_of("serialization", operation.returns)
            about = self._schemas.component(name).get("description", "").split("\n")[0]
            answer["description"] = f"{answer['description']}. {about}".strip()
            content: Json = {"schema": {"$ref": PLACE + name}}
            example = example_of(content["schema"], self._schemas)
            answer["content"] = {JSON: content | {"example": example}}
        return answer

    def _headers(self, *names: str) -> Json:
        return {name: header(name, required=True) for name in ("X-Correlation-Id", *names)}

    def _refusal(
        self, found: Json, endpoint: Endpoint, status: int, kinds: list[type[Problem]]
    ) -> None:
        name = self._component(endpoint, status, kinds)
        causes = [f"- `{kind.code}`: {' '.join((kind.__doc__ or '').split())}" for kind in kinds]
        content = {PROBLEM_JSON: {"schema": {"$ref": PLACE + name}}}
        if same := found.get(str(status)):  # an operation that tells by a status how things are
            same["content"] |= content
            same["description"] += "\n\n" + "\n".join(causes)
            return
        challenge = ["WWW-Authenticate"] if status == HTTPStatus.UNAUTHORIZED else []
        headers = self._headers(*challenge)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            headers |= {"Retry-After": header("Retry-After", required=True)}
            headers |= {n: header(n) for n in sorted(_WHOLE - {"Retry-After"})}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers |= {"Retry-After": header("Retry-After")}
        text = "\n".join([f"{HTTPStatus(status).phrase}.", "", *causes])
        found[str(status)] = {"description": text, "headers": headers, "content": content}

    def _component(self, endpoint: Endpoint, status: int, kinds: list[type[Problem]]) -> str:
        codes = [kind.code for kind in kinds if len(kinds) == 1 or kind is not BadRequest]
        if len(codes) == 1:
            name = _pascal(codes[0]) + "Problem"
        else:
            phrase = HTTPStatus(status).phrase.replace(" ", "")
            usual = _pascal(endpoint.operation.name) + phrase
            name = _SHARED_NAMES.get(frozenset(codes), usual)
        if name not in self.components:
            self.components[name] = self._problem(status, kinds)
        return name

    def _problem(self, status: int, kinds: list[type[Problem]]) -> Json:
        codes = [kind.code for kind in kinds]
        told_apart = ", ".join(f"`{code}`" for code in codes)
        extra: dict[str, Any] = {}
        for kind in kinds:
            for member, type_ in kind.members.items():
                told = f"With `{kind.code}`."
                schema = self._schemas.schema("serialization", type_)
                extra[member] = {"allOf": [schema]} if "$ref" in schema else schema
                extra[member].setdefault("description", told)
        return {
            "type": "object",
            "description": f"Problem details (RFC 9457): {told_apart}.",
            "properties": {
                "type": {
                    "type": "string",
                    "description": "The kind of problem.",
                    "example": TYPE_PREFIX + codes[0],
                },
                "title": {
                    "type": "string",
                    "description": "The kind of problem, for people.",
                    "example": kinds[0].title,
                },
                "status": {"type": "integer", "description": "The HTTP status.", "enum": [status]},
                "detail": {"type": "string", "description": "What was wrong this time."},
                "code": {
                    "type": "string",
                    "description": "The kind of problem, for programs.",
                    "enum": codes,
                },
                "correlation_id": {
                    "type": "string",
                    "description": "Finds this request in the logs; quote it to support.",
                },
                **extra,
            },
            "required": ["type", "title", "status", "detail", "code", "correlation_id"],
        }


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.replace("_", "-").split("-"))
