"""Turns handlers into HTTP functions: authenticate, authorise, validate, call, serialise."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, cast
from uuid import UUID

import azure.functions as func
from azure.functions.decorators.function_app import FunctionRegister
from pydantic import BaseModel, TypeAdapter

from shared import db, telemetry
from shared.auth import Access, Caller, StepUp
from shared.http import content
from shared.http.border import Authenticates, Border, Checks, Gateway, Sessions
from shared.http.call import Call, Reply
from shared.http.disclosure import (
    REASON_HEADER,
    AccessLog,
    Discloses,
    Disclosure,
    access_reason,
)
from shared.http.routing import PathIndex, Route, routes_of
from shared.http.tags import is_held
from shared.http.versions import Deprecated
from shared.idempotency import IdempotencyKey, fingerprint
from shared.pii import Masks
from shared.problem import (
    AccessNotRecorded,
    EtagRequired,
    IdempotencyKeyRequired,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Problem,
    RecentSignInRequired,
    ServiceUnavailable,
    SignatureExpired,
    SignatureInvalid,
)

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
NOT_MODIFIED = 304
SIGNATURE_HEADER = "webhook-signature"

SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer: what OWASP's REST Security Cheat Sheet asks of an API that serves no pages."""

type HttpFunction = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")

_log = telemetry.logger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """What an HTTP function promises; the registry of these is the API's own description."""

    name: str
    summary: str
    description: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    returns: Any
    status: int
    access: Access
    raises: tuple[type[Problem], ...]
    idempotency_key: bool
    if_match: bool
    safe: bool
    discloses: Discloses | None
    recent_sign_in: bool
    etag: bool
    location: bool
    also: tuple[int, ...]
    deprecated: Deprecated | None
    masks: Masks
    signed: Checks | None


class Api:
    """The operations of one function app, by function name in `registry`."""

    def __init__(
        self,
        authenticator: Authenticates,
        *,
        gateway: Gateway | None = None,
        sessions: Sessions | None = None,
        step_up: StepUp | None = None,
        wrote: Callable[[UUID], Awaitable[None]] | None = None,
        access_log: AccessLog | None = None,
    ) -> None:
        """`wrote` is told of each caller whose request may have changed something.

        Without an `access_log` employees are shown nobody's personal data.
        """
        self._border = Border(authenticator, gateway, sessions, step_up or StepUp())
        self._wrote, self._access_log = wrote, access_log
        self._app: FunctionRegister | None = None
        self._paths: PathIndex | None = None
        self.registry: dict[str, Operation] = {}

    def serves(self, app: FunctionRegister) -> None:
        """Take the routes from `app`; call it once every blueprint is registered."""
        self._app, self._paths = app, None

    def routes(self) -> list[Route]:
        """The app's HTTP functions by name; a route's name is its operation's in `registry`."""
        return [] if self._app is None else routes_of(self._app)

    def unmatched(self, req: func.HttpRequest, path: str) -> func.HttpResponse:
        """The answer where no function fits: 405 if the path has other methods, else 404."""
        if self._paths is None:
            self._paths = PathIndex(self.routes())
        with telemetry.correlation(req.headers.get("x-correlation-id")) as correlation_id:
            allowed = self._paths.methods_at(path.strip("/"))
            if allowed:
                detail = f"the path does not take {req.method}"
                return refusal(MethodNotAllowed(detail, allowed), correlation_id)
            return refusal(NotFound("there is nothing at this path"), correlation_id)

    def operation(
        self,
        *,
        access: Access,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        returns: Any = None,
        status: int = 200,
        raises: tuple[type[Problem], ...] = (),
        idempotency_key: bool = False,
        if_match: bool = False,
        safe: bool = False,
        discloses: Discloses | None = None,
        recent_sign_in: bool = False,
        etag: bool = False,
        location: bool = False,
        also: tuple[int, ...] = (),
        deprecated: Deprecated | None = None,
        signed: Checks | None = None,
    ) -> Callable[[Callable[[Call[Any, Any]], Awaitable[Any]]], HttpFunction]:
        """Make an HTTP function of `async def handler(call: Call[B, Q]) -> Reply[R] | R`.

        The handler's docstring describes the operation: first line the summary. `returns` is
        anything pydantic can serialise; None answers without a body. `safe` says that a POST only
        reads. What an employee is shown of people's data, `discloses` says: it is recorded before
        it leaves. `recent_sign_in` asks for a sign-in of a moment ago. `signed` checks a partner's
        signature over the body as it came, which may then hold fields that we do not know. For the
        documents: `etag` and `location` say that the answer has these headers, `also` names other
        statuses with the same body. The function takes the handler's name, by which the host orders
        and this registry keys.
        """
        if discloses is not None:
            raises = (*raises, AccessNotRecorded)
        if recent_sign_in:
            raises = (*raises, RecentSignInRequired)
        if access.partner is not (signed is not None):
            raise TypeError("what partners send is signed, and nobody else signs")
        if signed is not None:
            raises = (*raises, SignatureInvalid, SignatureExpired)
        for model in (body, query):
            if model is not None and signed is None and model.model_config.get("extra") != "forbid":
                raise TypeError(f"{model.__name__} must refuse unknown fields: derive from Body")

        def decorate(handler: Callable[[Call[Any, Any]], Awaitable[Any]]) -> HttpFunction:
            name: str = getattr(handler, "__name__", "")
            summary, _, rest = (handler.__doc__ or "").strip().partition("\n")
            operation = Operation(
                name=name,
                summary=summary,
                description=rest.strip(),
                body=body,
                query=query,
                returns=returns,
                status=status,
                access=access,
                raises=raises,
                idempotency_key=idempotency_key,
                if_match=if_match,
                safe=safe,
                discloses=discloses,
                recent_sign_in=recent_sign_in,
                etag=etag,
                location=location,
                also=also,
                deprecated=deprecated,
                masks=Masks(returns),
                signed=signed,
            )
            if name in self.registry:
                raise ValueError(f"two operations are named {name}")
            self.registry[name] = operation
            # The worker reads the signature of what it gets, and inspect.signature would follow
            # the __wrapped__ of functools.wraps to the handler's: name and text are set by hand.
            function = self._function(operation, handler)
            function.__name__ = function.__qualname__ = name
            function.__doc__ = handler.__doc__
            return cast("HttpFunction", function)

        return decorate

    def _function(
        self, operation: Operation, handler: Callable[[Call[Any, Any]], Awaitable[Any]]
    ) -> FunctionType:
        serialise = _serialiser(operation)

        async def function(req: func.HttpRequest) -> func.HttpResponse:
            headers = req.headers
            with telemetry.correlation(
                headers.get("x-correlation-id"), headers.get("traceparent")
            ) as correlation_id:
                try:
                    return await self._answered(operation, handler, serialise, req, correlation_id)
                except Problem as problem:
                    return refusal(problem, correlation_id)
                except db.UNAVAILABLE as fault:
                    _log.warning("%s: %s", operation.name, telemetry.describe(fault))
                    unavailable = ServiceUnavailable("the platform cannot answer now; try again")
                    return refusal(unavailable, correlation_id)
                except Exception as fault:  # noqa: BLE001 - the border: nothing may pass it raw
                    _log.error("%s: %s", operation.name, telemetry.describe(fault))
                    internal = InternalError("something went wrong; quote the correlation id")
                    return refusal(internal, correlation_id)

        return cast("FunctionType", function)

    async def _answered(
        self,
        operation: Operation,
        handler: Callable[[Call[Any, Any]], Awaitable[Any]],
        serialise: Callable[[Any, Caller], bytes],
        req: func.HttpRequest,
        correlation_id: str,
    ) -> func.HttpResponse:
        call = await self._call(operation, req, correlation_id)
        try:
            result = await handler(call)
        finally:  # a request that failed may have changed something all the same
            if self._wrote and req.method not in {"GET", "HEAD"} and not operation.safe:
                await self._wrote(call.caller.id)
        reply = result if isinstance(result, Reply) else Reply(result)
        answer = _answer(
            operation, req, reply, lambda shown: serialise(shown, call.caller), correlation_id
        )
        if answer.status_code != NOT_MODIFIED:
            await self._record(operation, call, reply.body)
        return answer

    async def _record(self, operation: Operation, call: Call[Any, Any], shown: Any) -> None:
        """Note whose data an employee is about to see. Raises AccessNotRecorded if that fails."""
        discloses = operation.discloses
        if discloses is None or not call.caller.is_employee:
            return
        people = tuple(dict.fromkeys(discloses.people(shown)))
        if not people:
            return
        try:
            if self._access_log is None:
                raise RuntimeError("the app was composed without an access log")  # noqa: TRY301
            await self._access_log.record(
                Disclosure(
                    reader_id=call.caller.id,
                    people=people,
                    operation=operation.name,
                    fields=operation.masks.seen_by(call.caller, discloses.fields),
                    reason=call.access_reason,
                    order_id=call.uuid("order_id") if "order_id" in call.path else None,
                    correlation_id=call.correlation_id,
                )
            )
        except Exception as fault:
            _log.error("%s was not recorded: %s", operation.name, telemetry.describe(fault))
            detail = "the access could not be recorded, so nothing is shown; try again"
            raise AccessNotRecorded(detail) from fault

    async def _call(
        self, operation: Operation, req: func.HttpRequest, correlation_id: str
    ) -> Call[Any, Any]:
        caller = await self._border.caller(
            operation.access, req.headers, recent_sign_in=operation.recent_sign_in
        )
        headers, raw = req.headers, req.get_body() or b""
        if operation.signed is not None:
            content.check_size(raw)
            await operation.signed.check(headers.get(SIGNATURE_HEADER), raw)
        content.check_text(req.route_params)
        query = body = None
        if operation.query is None:
            content.refuse_query(req.params)
        else:
            query = content.read_query(operation.query, req.params)
        reason = None if operation.discloses is None else access_reason(headers.get(REASON_HEADER))
        if_match = headers.get("if-match")
        if operation.if_match and (if_match is None or if_match.strip() in {"", "*"}):
            raise EtagRequired("send the ETag of the version that you read, in If-Match")
        if operation.body is None:
            content.refuse_body(raw)
        else:
            body = content.read_body(operation.body, raw, headers.get("content-type"))
        return Call(
            caller=caller,
            body=body,
            query=query,
            path=req.route_params,
            correlation_id=correlation_id,
            idempotency_key=_key(operation, req, caller, body),
            if_match_tag=if_match if operation.if_match else None,
            access_reason=reason,
        )


def refusal(problem: Problem, correlation_id: str) -> func.HttpResponse:
    """The problem as an `application/problem+json` response."""
    return func.HttpResponse(
        json.dumps(problem.document(correlation_id), ensure_ascii=False).encode("utf-8", "replace"),
        status_code=problem.status,
        headers={**_common(correlation_id), **problem.headers()},
        mimetype=PROBLEM_JSON,
    )


def _key(
    operation: Operation, req: func.HttpRequest, caller: Caller, body: BaseModel | None
) -> IdempotencyKey | None:
    if not operation.idempotency_key:
        return None
    key = req.headers.get("idempotency-key", "")
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyRequired(
            "send an Idempotency-Key of 1 to 255 visible ASCII characters, one per intent"
        )
    path = json.dumps([sorted(req.route_params.items()), sorted(req.params.items())])
    sent = None if body is None else body.model_dump(mode="json")
    return IdempotencyKey(caller.id, operation.name, key, fingerprint(path, sent))


def _serialiser(operation: Operation) -> Callable[[Any, Caller], bytes]:
    """Bytes of JSON for answers as a caller may see them.

    Built when first needed, as it takes time.
    """
    returns, masks = operation.returns, operation.masks
    adapter: TypeAdapter[Any] | None = None

    def serialise(value: Any, caller: Caller) -> bytes:
        nonlocal adapter
        if returns is None:
            assert value is None, "declare what the operation returns"
            return b""
        if adapter is None:
            adapter = TypeAdapter(returns)
        return adapter.dump_json(masks.shown_to(caller, value))

    return serialise


def _answer(
    operation: Operation,
    req: func.HttpRequest,
    reply: Reply[Any],
    serialise: Callable[[Any], bytes],
    correlation_id: str,
) -> func.HttpResponse:
    headers = {**_common(correlation_id), **reply.headers}
    if reply.etag is not None:
        headers["ETag"] = reply.etag
        if req.method == "GET" and is_held(
            etag=reply.etag, if_none_match=req.headers.get("if-none-match")
        ):
            return func.HttpResponse(status_code=NOT_MODIFIED, headers=headers, mimetype=JSON)
    if reply.location is not None:
        headers["Location"] = reply.location
    return func.HttpResponse(
        serialise(reply.body),
        status_code=reply.status or operation.status,
        headers=headers,
        mimetype=JSON,
    )


def _common(correlation_id: str) -> Mapping[str, str]:
    return {"X-Correlation-Id": correlation_id, **SECURITY_HEADERS}
