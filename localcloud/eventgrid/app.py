"""The HTTP face of Event Grid: publishing, handshakes by hand, management, and the overview."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from localcloud.dashboard.guard import is_loopback
from localcloud.eventgrid import intake, overview
from localcloud.eventgrid.access import Access
from localcloud.eventgrid.dead_letters import DeadLetters
from localcloud.eventgrid.endpoints import Endpoints
from localcloud.eventgrid.endpoints import Surroundings as Neighbours
from localcloud.eventgrid.errors import GridError, bad_request
from localcloud.eventgrid.grid import STORE_FILE, Grid
from localcloud.eventgrid.keys import TopicKeys
from localcloud.eventgrid.management import Management
from localcloud.eventgrid.pace import Pace
from localcloud.eventgrid.records import Records
from localcloud.eventgrid.store import Store
from localcloud.eventgrid.subscribers import Surroundings
from localcloud.eventgrid.topology import Topology

MOST_DEAD: Final = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    """What the command line asks for."""

    state: Path
    topology: Topology
    keys: TopicKeys
    access: Access
    neighbours: Neighbours
    pace: Pace


class Server:
    """The grid while it serves; `port` is known once it listens."""

    def __init__(self, setup: Setup) -> None:
        """Raises SpecRefused, or sqlite3.DatabaseError for a damaged store."""
        self.base = ""
        self._access = setup.access
        self._store = Store(setup.state / STORE_FILE)
        self._dead_letters = DeadLetters(self._store, setup.neighbours.storage, setup.pace)
        self._endpoints = Endpoints(setup.neighbours)
        around = Surroundings(
            self._store, Records(self._store), self._endpoints, setup.pace, lambda: self.base
        )
        self.grid = Grid(around, setup.keys, self._dead_letters)
        self.grid.load(setup.topology)

    def app(self) -> ASGIApp:
        management = Management(self.grid, lambda: self.base)
        routes = [
            Route("/{topic}/api/events", self._publish, methods=["POST"]),
            Route("/{topic}/eventsubscriptions/{name}/validate", self._validate, methods=["GET"]),
            Route("/health", self._health),
            Route("/overview", self._overview),
            Route("/dead-letters", self._dead),
            *management.routes(),
        ]
        handlers: dict[Any, Callable[..., Any]] = {GridError: _refused}
        return Guard(Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=handlers))

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self.grid.start()
        writer = asyncio.create_task(self._dead_letters.run())
        yield
        await self.grid.stop()
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer
        await self._dead_letters.close()
        await self._endpoints.close()
        self._store.close()

    async def _publish(self, request: Request) -> Response:
        topic = self.grid.topic(request.path_params["topic"])
        try:
            # Microsoft's own quickstarts publish without it.
            version = request.query_params.get("api-version", intake.API_VERSION)
            if version != intake.API_VERSION:
                raise bad_request(
                    f"api-version must be {intake.API_VERSION}, not {version[:20]!r}.",
                    "UnsupportedApiVersion",
                )
            keys = self.grid.keys.of(topic.spec.name).values()
            await self._access.check(
                request.headers, topic.spec.name, keys, keys_open=topic.spec.keys_open
            )
            body = await _limited(request)
            events = intake.events_of(topic.spec, request.headers.get("content-type", ""), body)
            await self.grid.publish(topic, events)
        except GridError:
            topic.refused += 1
            raise
        return Response(status_code=200)

    async def _validate(self, request: Request) -> Response:
        path = request.path_params
        if not self.grid.confirm(path["topic"], path["name"], request.query_params.get("id", "")):
            raise bad_request("The validation code is wrong or too old.")
        return PlainTextResponse("Webhook successfully validated as a subscription endpoint.\n")

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _overview(self, _request: Request) -> Response:
        return JSONResponse(overview.overview(self.grid, self.base))

    async def _dead(self, request: Request) -> Response:
        asked = request.query_params
        limit = asked.get("limit", "50")
        if not re.fullmatch("[1-9][0-9]{0,3}", limit) or int(limit) > MOST_DEAD:
            raise bad_request(f"limit must lie between 1 and {MOST_DEAD}.")
        found = overview.dead_letters(
            self.grid.around.store, int(limit), asked.get("topic"), asked.get("subscription")
        )
        return JSONResponse(found)


async def _limited(request: Request) -> bytes:
    """The body. GridError 413 as soon as it is known to be too large."""
    sentence = f"The request is larger than {intake.MAX_BYTES} bytes."
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > intake.MAX_BYTES:
        raise intake.too_large(sentence)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > intake.MAX_BYTES:
            raise intake.too_large(sentence)
    return b"".join(chunks)


async def _refused(_request: Request, error: GridError) -> Response:
    return error.response()


class Guard:
    """Answers only to this machine's own names, and only to pages that came from it.

    Else a page from anywhere could make topics, by a name that resolves to 127.0.0.1 (DNS
    rebinding), or renew keys by a form that it posts here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            origins = [value for name, value in scope["headers"] if name == b"origin"]
            named = [*hosts, *(origin.partition(b"://")[2] for origin in origins)]
            if len(hosts) != 1 or not all(is_loopback(host.decode("latin-1")) for host in named):
                refusal = GridError(403, "Forbidden", "Only this machine is answered.")
                await refusal.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)
