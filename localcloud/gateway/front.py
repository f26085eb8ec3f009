"""What answers at one of the gateway's ports: finds the operation, runs its policies, relays."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

from localcloud.gateway import pages
from localcloud.gateway.access_log import AccessLog
from localcloud.gateway.bodies import RequestBody
from localcloud.gateway.connection import LINE, Line
from localcloud.gateway.edition import Edition
from localcloud.gateway.hops import enter
from localcloud.gateway.paths import check_lengths, joined, segments_of
from localcloud.gateway.policy import Api, Context, Headers, Pipeline, Refusal, Request, Response
from localcloud.gateway.replies import Replies
from localcloud.gateway.routing import not_found
from localcloud.gateway.services import GatewayServices
from localcloud.gateway.sockets import Relay
from localcloud.gateway.tracing import carry_trace

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

IN_FLIGHT_MAX = 2048
"""Requests that are answered at a time; more are told that the gateway is busy."""
_CLIENT_GONE = 499
_SWITCHING = 101

_log = logging.getLogger(__name__)


class Gateway:
    """What both ports share; `edition` may be replaced at any time."""

    def __init__(self, edition: Edition, services: GatewayServices, log: AccessLog) -> None:
        self.edition, self.services, self.log = edition, services, log
        self.draining = False
        self.in_flight = 0
        self.streams: set[asyncio.Task[Any]] = set()
        """Tasks of event streams, which have no end of their own."""

    def take(self, edition: Edition) -> None:
        """Answer what comes from now on by another edition of the policies."""
        self.services = GatewayServices(
            self.services.limits,
            self.services.upstream,
            self.services.identity,
            edition.contract,
        )
        self.edition = edition

    def drain(self) -> None:
        """Say so to who asks for health, and end the event streams: their readers come again."""
        self.draining = True
        for task in self.streams:
            task.cancel()


class Front:
    """The ASGI application of one port: `external` or `internal`."""

    def __init__(self, gateway: Gateway, port: str) -> None:
        self._gateway, self._port = gateway, port

    def is_socket(self, raw_path: bytes) -> bool:
        """Whether a WebSocket API is at this path."""
        try:
            segments = segments_of(raw_path.decode("ascii"))
        except (Refusal, UnicodeDecodeError):
            return False
        found = self._gateway.edition.ports[self._port].find(segments)
        return found is not None and found[0].kind == "websocket"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line: Line = scope["extensions"][LINE]
        context = self._context(scope, receive)
        replies = Replies(context, scope, send)
        self._gateway.in_flight += 1
        try:
            with line.held():
                if scope["type"] == "websocket":
                    await self._socket(context, receive, send, replies)
                else:
                    await self._http(context, line, replies)
        except asyncio.CancelledError:
            await self._cancelled(context, line, replies)
        except aiohttp.ClientError:
            line.cut()  # the backend broke off; the client must not take what came for all of it
        except OSError:
            replies.status = replies.status or _CLIENT_GONE  # how uvicorn's WebSockets say it
        except Exception:  # noqa: BLE001 - one request that breaks must not look like a crash
            _log.exception("a request could not be answered: %s", context.request_id)
            await self._failed(context, line, replies)
        finally:
            self._gateway.in_flight -= 1
            self._gateway.log.record(context, replies.status, size=replies.size)

    def _context(self, scope: Scope, receive: Receive) -> Context:
        headers = Headers.from_asgi(scope["headers"])
        enter(headers)
        host, _, port = (headers.get("Host") or "").rpartition(":")
        if not port.isdecimal():
            host, port = headers.get("Host") or "", ""
        length = headers.get("Content-Length")
        bodiless = length is None and "Transfer-Encoding" not in headers
        path = scope["raw_path"].decode("latin-1")
        return Context(
            api=None,
            operation_id="",
            request=Request(
                method=scope.get("method", "GET"),
                scheme="https" if scope["scheme"] in {"https", "wss"} else "http",
                host=host,
                port=int(port[:5]) if port else scope["server"][1],
                target=path,
                path=path,
                query=scope["query_string"].decode("latin-1"),
                headers=headers,
                ip=scope["client"][0] if scope["client"] else "",
                matched={},
                body=RequestBody(receive, 0 if bodiless else int(length) if length else None),
            ),
            services=self._gateway.services,
            request_id=str(uuid.uuid4()),
        )

    async def _http(self, context: Context, line: Line, replies: Replies) -> None:
        edition = self._gateway.edition
        if (own := self._own(edition, context, line)) is not None:
            await replies.send(own)
            return
        response = await self._answer(edition, context, line)
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):  # type: ignore[union-attr]
            await self._stream(replies, response)
        else:
            await replies.send(response)

    def _own(self, edition: Edition, context: Context, line: Line) -> Response | None:
        """The gateway's own pages, which no policy is about."""
        if line.refusal is not None or context.request.method not in {"GET", "HEAD"}:
            return None
        draining = self._gateway.draining
        return pages.find(
            context.request, context.request_id, edition, self._port, draining=draining
        )

    async def _answer(self, edition: Edition, context: Context, line: Line) -> Response:
        try:
            if line.refusal is not None:
                raise line.refusal
            pipeline = self._matched(edition, context)
        except Refusal as refusal:
            context.last_error = refusal
            unmatched = edition.policies.unmatched(context.api.name if context.api else None)
            if refusal.reason == "OperationNotFound" and _is_preflight(context.request):
                return await unmatched.preflight(context)
            return await unmatched.fail(context, refusal)
        if _is_preflight(context.request):
            return await pipeline.preflight(context)
        carry_trace(context.request.headers)
        return await pipeline.run(context)

    def _matched(self, edition: Edition, context: Context) -> Pipeline:
        """The policies of the operation that is meant. Raises Refusal."""
        request = context.request
        check_lengths(request.target, request.query)
        segments = segments_of(request.target)
        found = edition.ports[self._port].find(segments)
        if found is None:
            raise not_found()
        api, depth = found
        context.api = api
        if self._gateway.in_flight > IN_FLIGHT_MAX:
            raise Refusal(source="forward-request", reason="BackendBusy", status=503)
        if api.kind == "websocket":
            raise Refusal(
                source="request",
                reason="UpgradeRequired",
                status=426,
                headers={"Upgrade": "websocket", "Connection": "Upgrade"},
            )
        method = request.method
        if _is_preflight(request):
            method = request.headers.get("Access-Control-Request-Method") or method
        match = edition.operations[api.name].find(method, segments[depth:])
        context.operation_id = match.operation.id
        request.path = joined(segments[depth:])
        request.matched = match.values
        return edition.policies.pipeline(api.name, match.operation.id)

    async def _stream(self, replies: Replies, response: Response) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._gateway.streams.add(task)
        self._gateway.in_flight -= 1  # it may last for hours, and keeps nobody busy
        try:
            if self._gateway.draining:
                response.body = b""
            await replies.send(response)
        finally:
            self._gateway.in_flight += 1
            self._gateway.streams.discard(task)

    async def _socket(
        self, context: Context, receive: Receive, send: Send, replies: Replies
    ) -> None:
        edition = self._gateway.edition
        await receive()  # websocket.connect
        response = await self._shaken(edition, context)
        backend = response.upstream
        if response.status != _SWITCHING or backend is None:
            await replies.deny(response)
            return
        replies.started, replies.status = True, _SWITCHING
        self._gateway.in_flight -= 1
        try:
            await send({"type": "websocket.accept", "subprotocol": backend.subprotocol})
            await Relay(receive, send, backend).run()
        finally:
            self._gateway.in_flight += 1
            await backend.close()

    async def _shaken(self, edition: Edition, context: Context) -> Response:
        request = context.request
        try:
            check_lengths(request.target, request.query)
            found = edition.ports[self._port].find(segments_of(request.target))
            api: Api | None = found[0] if found is not None else None
            if api is None or api.kind != "websocket":
                raise not_found()
        except Refusal as refusal:
            return await edition.policies.unmatched(None).fail(context, refusal)
        context.api, context.operation_id, request.path = api, "onHandshake", ""
        carry_trace(request.headers)
        return await edition.policies.pipeline(api.name, "onHandshake").run(context)

    async def _failed(self, context: Context, line: Line, replies: Replies) -> None:
        """Something of ours broke; what the client gets is as much as policies say of it."""
        if replies.started:
            line.cut()
            return
        refusal = Refusal(source="configuration", reason="InternalError")
        response = await self._gateway.edition.policies.unmatched(None).fail(context, refusal)
        await (replies.deny(response) if replies.is_socket else replies.send(response))

    async def _cancelled(self, context: Context, line: Line, replies: Replies) -> None:
        """The client went away, or the gateway stops."""
        if line.lost:
            replies.status = replies.status or _CLIENT_GONE
        elif not replies.started:
            going = pages.going(context.request_id)
            await (replies.deny(going) if replies.is_socket else replies.send(going))
        else:
            with contextlib.suppress(Exception):
                await replies.end()


def _is_preflight(request: Request) -> bool:
    """Fetch standard, "CORS-preflight request"."""
    return (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )
