"""The HTTP face: the pages, their changing parts, and the files that they need."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localcloud.dashboard.addresses import Find
from localcloud.dashboard.events_page import EVENTS_PATH
from localcloud.dashboard.guard import Guard
from localcloud.dashboard.hub import TaskHub, Unreadable
from localcloud.dashboard.instance import read_instance
from localcloud.dashboard.instance_page import View, instance_body, instance_content
from localcloud.dashboard.list_page import PAGE, list_body, list_content
from localcloud.dashboard.listing import Listing, read_counts, read_failing, read_page
from localcloud.dashboard.mail_page import MAIL_PATH
from localcloud.dashboard.markup import Child, el
from localcloud.dashboard.messages_page import DEAD_PATH, MESSAGES_PATH, WAITING_PATH
from localcloud.dashboard.messaging import Messaging
from localcloud.dashboard.overview_page import Orchestrations, overview_body, overview_content
from localcloud.dashboard.page import FRAGMENT, document, problem
from localcloud.dashboard.surroundings import Look
from localcloud.dashboard.wanted import LIST_PATH, Wanted

log = logging.getLogger(__name__)

STATIC: Final = Path(__file__).with_name("static")


class Dashboard:
    """The handlers."""

    def __init__(self, hub: TaskHub, look: Look, messaging: Messaging) -> None:
        self._hub, self._look, self._messaging = hub, look, messaging

    async def overview(self, request: Request) -> Response:
        """What runs where; it answers whatever does not run."""
        around, found, grid, (mailbox, _) = await asyncio.gather(
            asyncio.to_thread(self._look),
            self._orchestrations(),
            self._messaging.grid(),
            self._messaging.mailbox(),
        )
        content = overview_content(around, found, grid, mailbox)
        if FRAGMENT in request.query_params:
            return HTMLResponse(content)
        return _page("Overview", overview_body(content), room="Overview")

    async def _orchestrations(self) -> Orchestrations | Unreadable:
        try:
            return Orchestrations(
                await read_counts(self._hub, Wanted()), await read_failing(self._hub)
            )
        except Unreadable as why:
            return why

    async def instances(self, request: Request) -> Response:
        """The list; 503 with the form in place when the hub cannot be read."""
        wanted = Wanted.read(request.query_params)
        listing = await self._listing(wanted)
        status = 400 if wanted.problems else 200
        if isinstance(listing, Unreadable):
            status = 503
        if FRAGMENT in request.query_params:
            return HTMLResponse(list_content(wanted, listing), status)
        return _page("Orchestrations", list_body(wanted, listing), status, room="Orchestrations")

    async def _listing(self, wanted: Wanted) -> Listing | Unreadable:
        try:
            return await read_page(self._hub, wanted, limit=PAGE)
        except Unreadable as why:
            return why

    async def instance(self, request: Request) -> Response:
        """One instance; 404 when there is none."""
        instance_id = request.path_params["instance_id"]
        instance = await read_instance(self._hub, instance_id)
        if instance is None:
            raise HTTPException(404, f"There is no orchestration instance “{instance_id}”.")
        view = View.read(request.query_params)
        if FRAGMENT in request.query_params:
            return HTMLResponse(instance_content(instance, view))
        title = f"{instance.name} {instance_id}"
        return _page(title, instance_body(instance, view), room="Orchestrations")


def _page(title: str, body: Sequence[Child], status: int = 200, *, room: str = "") -> Response:
    return HTMLResponse(document(title, *body, room=room), status)


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in {"dashboard.css", "dashboard.js", "icon.svg"}:
        raise HTTPException(404)
    return FileResponse(STATIC / name)


async def _unreadable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Unreadable)
    body = problem(str(error), error.advice)
    return _page("Not available", [el("h1", "Not available now"), body], 503)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    missing = error.status_code == 404  # noqa: PLR2004 - HTTP's own number
    why = error.detail if error.detail not in {"Not Found", ""} else "There is no such page."
    advice = el(
        "p",
        "It may be gone by now. ",
        el("a", "Show all orchestrations", href=LIST_PATH),
        " or ",
        el("a", "all messages", href=MESSAGES_PATH),
        ".",
    )
    heading = "Not found" if missing else error.detail
    body = [el("h1", heading), el("p", why), advice if missing else None]
    return HTMLResponse(
        document(heading, *body), error.status_code, headers=dict(error.headers or {})
    )


async def _broken(_request: Request, _error: Exception) -> Response:
    why = "The dashboard could not make this page."
    advice = "`python -m localcloud logs dashboard` has the reason."
    return _page("Error", [el("h1", "Something is broken"), problem(why, advice)], 500)


def create_app(hub: TaskHub, look: Look, find: Find) -> ASGIApp:
    """The application. It connects to nothing before it is asked for a page."""
    messaging = Messaging(find)
    dashboard = Dashboard(hub, look, messaging)
    return Guard(
        Starlette(
            routes=[
                Route("/", dashboard.overview),
                Route("/health", _health),
                Route("/static/{name}", _static),
                Route(LIST_PATH, dashboard.instances),
                Route(f"{LIST_PATH}/{{instance_id:path}}", dashboard.instance),
                Route(MESSAGES_PATH, messaging.messages),
                Route(DEAD_PATH, messaging.letters),
                Route(WAITING_PATH, messaging.letters),
                Route(EVENTS_PATH, messaging.events),
                Route(MAIL_PATH, messaging.mail),
            ],
            exception_handlers={
                Unreadable: _unreadable,
                HTTPException: _http_error,
                Exception: _broken,
            },
        )
    )
