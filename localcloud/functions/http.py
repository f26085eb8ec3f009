"""The HTTP front: routes, keys, requests in, responses out. Raw ASGI: it is the hot path."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

from localcloud.functions.execution import Executor
from localcloud.functions.inputs import Inputs
from localcloud.functions.keys import Keys
from localcloud.functions.logs import host_log
from localcloud.functions.protos import RpcHttp, TypedData
from localcloud.functions.responses import Headers, response_of
from localcloud.functions.routing import Route, Router
from localcloud.functions.tracing import trace_context

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

EVENT_GRID_PATH = "/runtime/webhooks/eventgrid"
"""Where Event Grid delivers events, in lower case."""

_BODILESS = frozenset({204, 304})
_NONE: Mapping[str, str] = {}
_LANDING = (
    b"Your Functions host is up and running. It is Azure Functions' worker on a local machine.\n"
)


class BodyTooLarge(Exception):
    """The request's body is longer than the host takes."""


class ClientGone(Exception):
    """The client left before its request was complete."""


class Admin(Protocol):
    """Answers below `/admin`."""

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> tuple[int, Headers, bytes]: ...


class Webhook(Protocol):
    """Answers what Event Grid sends."""

    async def answer(
        self, method: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> tuple[int, Headers, bytes]: ...


class HttpFront:
    """The ASGI application of the public port."""

    def __init__(
        self,
        *,
        router: Router,
        executor: Executor,
        inputs: Inputs,
        keys: Keys,
        require_keys: bool,
        admin: Admin,
        durable: AsgiApp | None,
        event_grid: Webhook,
        body_limit: int,
    ) -> None:
        """`body_limit` is in bytes; a longer body is a 413."""
        self._router, self._executor, self._inputs = router, executor, inputs
        self._keys, self._require_keys = keys, require_keys
        self._admin, self._durable, self._event_grid = admin, durable, event_grid
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        method: str = scope["method"]
        try:
            if path.startswith(("/admin/", "/runtime/")):
                await self._own(scope, receive, send, method, path)
            elif (found := self._router.find(method, path)) is not None:
                await self._function(scope, receive, send, *found)
            elif path == "/" and method in {"GET", "HEAD"}:
                await _answer(send, 200, [(b"content-type", b"text/plain")], _LANDING)
            elif path == "/health" and method in {"GET", "HEAD"}:
                await _answer(send, 200, [(b"content-type", b"text/plain")], b"Healthy\n")
            else:
                await _answer(send, 404, [], b"")
        except BodyTooLarge:
            await _answer(send, 413, [(b"connection", b"close")], b"")
        except ClientGone:
            return

    async def _own(
        self, scope: Scope, receive: Receive, send: Send, method: str, path: str
    ) -> None:
        if path.startswith("/admin/"):
            query = scope["query_string"].decode("latin-1")
            body = await _body(receive, self._body_limit)
            await _answer(
                send, *await self._admin.answer(method, path, _headers(scope), query, body)
            )
        elif path.lower() == EVENT_GRID_PATH:
            query = scope["query_string"].decode("latin-1")
            body = await _body(receive, self._body_limit)
            await _answer(
                send, *await self._event_grid.answer(method, _headers(scope), query, body)
            )
        elif self._durable is not None and path.startswith("/runtime/webhooks/"):
            await self._durable(scope, receive, send)
        else:
            await _answer(send, 404, [], b"")

    async def _function(
        self, scope: Scope, receive: Receive, send: Send, route: Route, values: Mapping[str, str]
    ) -> None:
        function = route.function
        headers = _headers(scope)
        raw_query = scope["query_string"].decode("latin-1")
        query = _query(raw_query) if raw_query else _NONE
        if self._require_keys and route.auth_level != "ANONYMOUS":
            given = headers.get("x-functions-key") or query.get("code", "")
            if not self._keys.opens(route.auth_level, function.name, given):
                await _answer(send, 401, [], b"")
                return
        if function.disabled:
            await _answer(send, 404, [], b"")
            return
        # Behind a gateway that ends TLS, the caller's scheme counts, as in App Service.
        scheme = headers.get("x-forwarded-proto") or scope["scheme"]
        origin = f"{scheme}://{headers.get('host', '')}"
        target = scope["raw_path"].decode("latin-1")
        request = RpcHttp(
            method=scope["method"],
            url=f"{origin}{target}?{raw_query}" if raw_query else origin + target,
            headers=headers,
            query=query,
            params=values,
            body=TypedData(bytes=await _body(receive, self._body_limit)),
        )
        outcome = await self._executor.execute(
            function,
            self._inputs.of(function, TypedData(http=request), origin=origin),
            trace=trace_context(headers.get("traceparent"), headers.get("tracestate")),
            reason="HTTP request",
        )
        if not outcome.ok:
            await _answer(send, 500, [], b"")
            return
        try:
            answer = response_of(outcome.value)
        except (ValueError, TypeError) as error:
            host_log.error("function %r answered what HTTP cannot carry: %s", function.name, error)
            answer = 500, [], b""
        await _answer(send, *answer)


def _path(scope: Scope) -> str:
    """The decoded path; an encoded slash stays encoded, because it separates nothing."""
    raw: bytes = scope["raw_path"]
    if b"%" not in raw:
        return raw.decode("latin-1")
    text = raw.decode("latin-1")
    return "%2F".join(unquote(part) for part in text.replace("%2f", "%2F").split("%2F"))


def _headers(scope: Scope) -> dict[str, str]:
    """Lower-case names; a repeated header joins with commas."""
    raw = scope["headers"]
    headers = {str(name, "latin-1"): str(value, "latin-1") for name, value in raw}
    if len(headers) == len(raw):
        return headers
    headers = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _query(text: str) -> dict[str, str]:
    """Values by key; empty ones drop out, those of a repeated key (in any case) join by comma."""
    query: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for key, value in parse_qsl(text):
        name = spelled.setdefault(key.lower(), key)
        query[name] = f"{query[name]},{value}" if name in query else value
    return query


async def _body(receive: Receive, limit: int) -> bytes:
    """The whole body. BodyTooLarge beyond `limit` bytes, ClientGone when the client leaves."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge
        return body
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


async def _answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    if status in _BODILESS:
        body = b""
    else:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
