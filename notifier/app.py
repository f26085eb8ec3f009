"""The ASGI application: everything put together, and how it starts and stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from notifier import negotiation, stream, websocket
from notifier.backplane import Backplane
from notifier.door import Door
from notifier.history import History
from notifier.hub import Hub
from notifier.hub_http import HubOverHttp
from notifier.keys import Keys
from notifier.metrics import Metrics
from notifier.parts import Parts
from notifier.problems import answer
from notifier.registry import Registry
from notifier.settings import Settings
from notifier.sign_outs import SignOuts
from notifier.tickets import Tickets
from shared import redis_address, telemetry
from shared.auth import Authenticator
from shared.credentials import Identity
from shared.problem import InternalError, MethodNotAllowed, NotFound, Problem

ANSWER_WITHIN_S = 1.0
REDIS_CONNECTIONS = 50
BROWSER_HEADERS = [
    *("authorization", "content-type", "last-event-id"),
    *("x-requested-with", "x-signalr-user-agent", "x-correlation-id"),
]

_log = telemetry.logger(__name__)


def assemble(settings: Settings, identity: Identity) -> tuple[Parts, Redis]:
    """The parts of a replica, and the connection pool that they share."""
    # When everyone comes back at once, they wait for a connection instead of being refused.
    url = settings.redis_url.get_secret_value()
    pool = BlockingConnectionPool(
        **redis_address.options(
            url,
            identity,
            decode_responses=True,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=ANSWER_WITHIN_S,
            socket_connect_timeout=ANSWER_WITHIN_S,
            max_connections=REDIS_CONNECTIONS,
            timeout=ANSWER_WITHIN_S,
        )
    )
    redis = Redis.from_pool(pool)
    sign_outs = SignOuts(redis)
    metrics = Metrics()
    registry = Registry(settings, metrics)
    keys = Keys(issuer.jwks_url for issuer in settings.issuers)
    parts = Parts(
        settings=settings,
        metrics=metrics,
        door=Door(settings, Authenticator(settings.issuers, fetch=keys.fetch), sign_outs),
        keys=keys,
        tickets=Tickets(redis, sign_outs),
        registry=registry,
        backplane=Backplane(url, registry, metrics, identity),
        hub=Hub(registry, History(redis), settings),
    )
    return parts, redis


def create_app(settings: Settings) -> tuple[ASGIApp, Registry]:
    """The application, and the clients whom it serves."""
    identity = Identity()
    parts, redis = assemble(settings, identity)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(parts.backplane.run()),
            asyncio.create_task(parts.registry.tick_for_ever()),
            asyncio.create_task(parts.keys.look_until_ready()),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await parts.backplane.close()
        await redis.aclose()
        await identity.close()

    middleware = [Middleware(_OwnOrigins, parts=parts)]
    if settings.notifier_allowed_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(settings.notifier_allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=BROWSER_HEADERS,
            allow_credentials=True,  # what the client of SignalR asks for unless told otherwise
        )
        middleware.insert(0, cors)
    app = Starlette(
        routes=[
            *negotiation.routes(parts),
            websocket.route(parts),
            HubOverHttp(parts).route(),
            stream.route(parts),
            *_operations(parts),
        ],
        middleware=middleware,
        exception_handlers={Problem: _refused, HTTPException: _http_error},
        lifespan=lifespan,
    )
    return _Quiet(app), parts.registry


def _operations(parts: Parts) -> list[Route]:
    """What the platform asks: health and metrics. A gateway does not show these."""

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        checks = {
            "serving": not parts.registry.draining,
            "redis": parts.backplane.connected,
            "keys": parts.keys.ready,
        }
        status = HTTPStatus.OK if all(checks.values()) else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse(
            {"status": "ok" if status is HTTPStatus.OK else "unavailable", "checks": checks}, status
        )

    async def metrics(_request: Request) -> Response:
        return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/metrics", metrics),
    ]


class _OwnOrigins:
    """Requests that a page of another site makes go no further; WebSockets look by themselves."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self._app, self._parts = app, parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            try:
                self._parts.door.check_origin(request)
            except Problem as problem:
                await answer(request, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Quiet:
    """A fault is logged by its place and type alone, for its text may repeat what was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as fault:
            if scope["type"] == "lifespan":
                raise
            _log.error("a request failed: %s", telemetry.describe(fault))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "").split(", ")
        return answer(request, MethodNotAllowed("not by this method", allowed))
    if error.status_code == HTTPStatus.NOT_FOUND:
        return answer(request, NotFound("there is nothing here"))
    return answer(request, InternalError("the request could not be answered"))
