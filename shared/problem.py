"""The refusals that a caller can meet, and how each reads as RFC 9457 problem details.

Problem
 ├─ 400  MalformedJson  InvalidRequest  InvalidCursor  IdempotencyKeyRequired
 ├─ 401  TokenMissing  TokenExpired  TokenInvalid  SessionEnded  GatewayRequired
 │       RecentSignInRequired  SignatureInvalid  SignatureExpired
 ├─ 403  Forbidden
 ├─ 404  NotFound
 ├─ 405  MethodNotAllowed
 ├─ 412  EtagMismatch
 ├─ 413  BodyTooLarge
 ├─ 415  UnsupportedMediaType
 ├─ 422  IdempotencyKeyReused
 ├─ 428  EtagRequired
 ├─ 429  TooManyRequests
 ├─ 500  InternalError
 └─ 503  PartnerUnavailable  ServiceUnavailable  AccessNotRecorded

A slice adds its own by subclassing, with `status, code = 409, "sku-not-sold"`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict

from pydantic import JsonValue

TYPE_PREFIX = "urn:problem-type:order-platform:"
"""A problem's `type` is this and its code (RFC 9457 §3.1.1: an identifier, not a page)."""


class Problem(Exception):
    """A refusal that is an answer: raise it anywhere below a route.

    `detail` is for a person and must not hold personal data; `extra` becomes members of the
    problem document. A subclass without a `title` gets one from its code.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "problem"
    title: ClassVar[str] = "Problem"
    members: ClassVar[Mapping[str, Any]] = {}
    """What the document has beyond the standard members: the type of each by its name."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "title" not in cls.__dict__:
            cls.title = cls.code.replace("-", " ").capitalize()

    def __init__(self, detail: str, **extra: JsonValue) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def headers(self) -> Mapping[str, str]:
        """Response headers that belong to this refusal."""
        return {}

    def document(self, correlation_id: str) -> dict[str, JsonValue]:
        """The problem as a JSON object; the standard members win over `extra`."""
        return {
            **self.extra,
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "correlation_id": correlation_id,
        }


class FieldError(TypedDict):
    """A field or parameter that breaks a rule, and the rule."""

    field: str
    message: str


class MalformedJson(Problem):
    """The body is not one JSON value that every reader would understand alike."""

    status, code, title = 400, "malformed-json", "The body is not valid JSON"


class InvalidRequest(Problem):
    """The request was understood but breaks the rules; `errors` names field and rule."""

    status, code, title = 400, "invalid-request", "The request is not valid"
    members: ClassVar = {"errors": list[FieldError]}

    def __init__(self, detail: str, errors: Iterable[Mapping[str, str]] = ()) -> None:
        super().__init__(detail, errors=[dict(error) for error in errors])


class InvalidCursor(Problem):
    """The cursor was not given out by this list."""

    status, code = 400, "invalid-cursor"


class IdempotencyKeyRequired(Problem):
    """The operation needs an Idempotency-Key of 1 to 255 visible ASCII characters."""

    status, code, title = 400, "idempotency-key-required", "Idempotency-Key required"


class _Unauthenticated(Problem):
    status = 401

    def headers(self) -> Mapping[str, str]:
        """RFC 6750 §3: the challenge names the error unless no token was sent."""
        return {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{self}"'}


class TokenMissing(_Unauthenticated):
    """No access token came with the request."""

    status, code = 401, "token-missing"

    def headers(self) -> Mapping[str, str]:
        """RFC 6750 §3.1: no error code when the request lacks any authentication."""
        return {"WWW-Authenticate": "Bearer"}


class TokenExpired(_Unauthenticated):
    """The access token was good once."""

    status, code = 401, "token-expired"


class TokenInvalid(_Unauthenticated):
    """The access token proves nothing."""

    status, code = 401, "token-invalid"


class SessionEnded(_Unauthenticated):
    """The person signed out of the session that the access token belongs to."""

    status, code = 401, "session-ended"


class GatewayRequired(_Unauthenticated):
    """The request did not come through the gateway, or nothing proves that it did."""

    status, code = 401, "gateway-required"


class _Unsigned(Problem):
    status = 401

    def headers(self) -> Mapping[str, str]:
        """RFC 9110 §11.6.1: a 401 names what is asked for."""
        return {"WWW-Authenticate": 'Webhook-Signature realm="webhooks"'}


class SignatureInvalid(_Unsigned):
    """The partner has not signed this body, or it was changed on the way."""

    status, code = 401, "signature-invalid"


class SignatureExpired(_Unsigned):
    """The partner signed this body too long ago: sign it anew and send it again."""

    status, code = 401, "signature-expired"


class RecentSignInRequired(Problem):
    """The sign-in is too long ago for this: sign in again (`max_age` seconds), then repeat it."""

    status, code = 401, "recent-sign-in-required"
    members: ClassVar = {"max_age": int}

    def __init__(self, detail: str, *, max_age_s: int) -> None:
        super().__init__(detail, max_age=max_age_s)
        self._max_age_s = max_age_s

    def headers(self) -> Mapping[str, str]:
        """RFC 9470 §3: what a sign-in must be like for the request to go through."""
        challenge = f'error_description="{self}", max_age="{self._max_age_s}"'
        error = "insufficient_user_authentication"
        return {"WWW-Authenticate": f'Bearer error="{error}", {challenge}'}


class Forbidden(Problem):
    """The caller is known and may not do this."""

    status, code = 403, "forbidden"


class NotFound(Problem):
    """There is no such thing, or it is someone else's."""

    status, code = 404, "not-found"


class MethodNotAllowed(Problem):
    """The path exists under other methods, which the Allow header names."""

    status, code = 405, "method-not-allowed"

    def __init__(self, detail: str, allowed: Iterable[str]) -> None:
        super().__init__(detail)
        self._allowed = ", ".join(sorted(allowed))

    def headers(self) -> Mapping[str, str]:
        """RFC 9110 §15.5.6 requires Allow."""
        return {"Allow": self._allowed}


class EtagMismatch(Problem):
    """The thing changed since the caller read it."""

    status, code, title = 412, "etag-mismatch", "ETag mismatch"


class BodyTooLarge(Problem):
    """The body is larger than the platform reads."""

    status, code = 413, "body-too-large"
    members: ClassVar = {"limit_bytes": int}


class UnsupportedMediaType(Problem):
    """The body is not application/json."""

    status, code = 415, "unsupported-media-type"


class IdempotencyKeyReused(Problem):
    """The key already belongs to a different request of this caller."""

    status, code, title = 422, "idempotency-key-reused", "Idempotency-Key reused"


class EtagRequired(Problem):
    """The change must name the version it was made against, in If-Match."""

    status, code, title = 428, "etag-required", "ETag required"


class TooManyRequests(Problem):
    """The person has sent as many requests in the last minute as one may."""

    status, code = 429, "too-many-requests"

    def __init__(self, detail: str, *, limit: int, retry_after_s: int) -> None:
        super().__init__(detail)
        self._limit, self._retry_after_s = limit, retry_after_s

    def headers(self) -> Mapping[str, str]:
        """RFC 6585 §4, and the names of draft-ietf-httpapi-ratelimit-headers-03."""
        return {
            "Retry-After": str(self._retry_after_s),
            "RateLimit-Limit": str(self._limit),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(self._retry_after_s),
        }


class InternalError(Problem):
    """A fault of ours; the correlation id finds it in the logs."""

    status, code = 500, "internal-error"


class _Unavailable(Problem):
    status = 503

    def __init__(self, detail: str, *, retry_after_s: int = 2, **extra: JsonValue) -> None:
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s

    def headers(self) -> Mapping[str, str]:
        """RFC 9110 §10.2.3: when it is worth trying again, in seconds."""
        return {"Retry-After": str(self.retry_after_s)}


class PartnerUnavailable(_Unavailable):
    """A third party that this answer needs does not answer."""

    status, code = 503, "partner-unavailable"


class ServiceUnavailable(_Unavailable):
    """The platform itself cannot answer now; nothing was changed."""

    status, code = 503, "service-unavailable"


class AccessNotRecorded(_Unavailable):
    """Reads of personal data are audited, and this one could not be: nothing is shown.

    A change that was asked for as well has been made all the same.
    """

    status, code = 503, "access-not-recorded"


STANDARD: tuple[type[Problem], ...] = (
    MalformedJson,
    InvalidRequest,
    InvalidCursor,
    IdempotencyKeyRequired,
    TokenMissing,
    TokenExpired,
    TokenInvalid,
    SessionEnded,
    GatewayRequired,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    EtagMismatch,
    BodyTooLarge,
    UnsupportedMediaType,
    IdempotencyKeyReused,
    EtagRequired,
    TooManyRequests,
    InternalError,
    PartnerUnavailable,
    ServiceUnavailable,
)
"""Problems that any operation may answer, in order of status."""
