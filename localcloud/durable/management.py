"""The Durable Functions HTTP API: start, query, raise events, terminate, purge."""

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from localcloud.durable.answer import storable
from localcloud.durable.backend import DurableBackend
from localcloud.durable.binding import instance_links
from localcloud.durable.history import as_json, shown
from localcloud.durable.instances import (
    TERMINAL,
    BadInstanceId,
    InstanceExists,
    Status,
    UnknownOrchestrator,
)

PUBLIC = "/runtime/webhooks/durabletask"
RPC = "/durabletask"

_PAGE = 100
_LARGEST_PAGE = 1000
_TOKEN = "x-ms-continuation-token"  # noqa: S105 - a header's name
_LATER = ("suspend", "resume", "rewind", "restart")

type Handler = Callable[[Request], Awaitable[Response]]


def _error(status: int, message: str, exception: str, kind: str) -> JSONResponse:
    """An error in the shape that the SDK's client expects."""
    return JSONResponse(
        {
            "Message": message,
            "ExceptionMessage": exception,
            "ExceptionType": kind,
            "StackTrace": "",
        },
        status_code=status,
    )


def _bad_argument(exception: str) -> JSONResponse:
    message = "One or more of the arguments submitted is incorrect"
    return _error(400, message, exception, "System.ArgumentException")


def _not_yet(what: str) -> JSONResponse:
    message = f"The local cloud does not offer {what} yet"
    return _error(501, message, message, "System.NotImplementedException")


def _flag(request: Request, name: str, *, default: bool = False) -> bool:
    value = request.query_params.get(name)
    return default if value is None else value.casefold() == "true"


def _time(request: Request, name: str) -> datetime | None:
    """A UTC instant out of the query; ValueError when it is none."""
    value = request.query_params.get(name)
    if not value:
        return None
    parsed = datetime.fromisoformat(value.replace(" ", "+"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _to_the_second(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shape(status: Status, *, with_input: bool) -> dict[str, Any]:
    return {
        "name": status.name,
        "instanceId": status.instance_id,
        "runtimeStatus": status.status,
        "input": as_json(status.input) if with_input else None,
        "customStatus": as_json(status.custom_status),
        "output": as_json(status.output),
        "createdTime": _to_the_second(status.created_at),
        "lastUpdatedTime": _to_the_second(status.updated_at),
    }


def _json_text(body: bytes) -> str:
    """The body as it came; ValueError when it is not JSON."""
    text = body.decode()
    json.loads(text)
    return text


class _Api:
    """The handlers below one prefix; `links_base` is where the links that they answer point."""

    def __init__(self, backend: DurableBackend, *, links_base: str, key: str) -> None:
        self._backend, self._instances = backend, backend.instances
        self._links_base, self._key = links_base, key

    async def start(self, request: Request) -> Response:
        """Start an instance; the body is its input."""
        body = await request.body()
        try:
            input_ = _json_text(body) if body else None
        except ValueError:
            return _bad_argument("Invalid JSON content")
        try:
            instance_id = await self._instances.start(
                request.path_params["name"],
                instance_id=request.path_params.get("instance_id"),
                input_=input_,
                version=request.query_params.get("version", ""),
            )
        except (UnknownOrchestrator, BadInstanceId) as refusal:
            return _bad_argument(str(refusal))
        except InstanceExists as refusal:
            return _error(
                500,
                "Something went wrong while processing your request",
                str(refusal),
                "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException",
            )
        links = instance_links(
            instance_id, hub=self._backend.hub, base=self._links_base, key=self._key
        )
        links.pop("rewindPostUri")
        headers = {"Location": links["statusQueryGetUri"], "Retry-After": "10"}
        return JSONResponse(links, status_code=202, headers=headers)

    async def status(self, request: Request) -> Response:
        """How an instance stands: 202 while it may still change, 200 after."""
        status = await self._instances.status(request.path_params["instance_id"])
        if status is None:
            return Response(status_code=404)
        with_input = _flag(request, "showInput", default=True)
        body = _shape(status, with_input=with_input)
        if _flag(request, "showHistory"):
            body["historyEvents"] = shown(
                await self._instances.history(status),
                results=_flag(request, "showHistoryOutput"),
                inputs=with_input,
            )
        if status.status not in TERMINAL:
            headers = {"Location": str(request.url), "Retry-After": "5"}
            return JSONResponse(body, status_code=202, headers=headers)
        broken = status.status == "Failed" and _flag(request, "returnInternalServerErrorOnFailure")
        return JSONResponse(body, status_code=500 if broken else 200)

    async def page(self, request: Request) -> Response:
        """Instances, oldest first; the answer's token header leads to the next page."""
        query = request.query_params
        try:
            top = _page_size(query.get("top"))
            created_from = _time(request, "createdTimeFrom")
            created_to = _time(request, "createdTimeTo")
            after = _read_token(request.headers.get(_TOKEN))
        except (ValueError, TypeError) as refusal:
            return _bad_argument(str(refusal))
        wanted = query.get("runtimeStatus")
        found = await self._instances.page(
            created_from=created_from,
            created_to=created_to,
            statuses=wanted.split(",") if wanted else None,
            prefix=query.get("instanceIdPrefix", ""),
            after=after,
            limit=top,
        )
        with_input = _flag(request, "showInput", default=True)
        return JSONResponse(
            [_shape(status, with_input=with_input) for status in found],
            headers={_TOKEN: _write_token(found[-1]) if found and len(found) == top else ""},
        )

    async def purge(self, request: Request) -> Response:
        """Delete one instance."""
        if not await self._instances.purge(request.path_params["instance_id"]):
            return Response(status_code=404)
        return JSONResponse({"instancesDeleted": 1})

    async def raise_event(self, request: Request) -> Response:
        """Send an event; the body is its JSON."""
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _error(400, "Only application/json request content is supported", "", "")
        try:
            input_ = _json_text(await request.body())
        except ValueError:
            return _error(400, "Only application/json request content is supported", "", "")
        name = request.path_params["event_name"]
        return _accepted(
            await self._instances.raise_event(request.path_params["instance_id"], name, input_)
        )

    async def terminate(self, request: Request) -> Response:
        """End an instance by force; `reason` becomes its output."""
        reason = request.query_params.get("reason")
        return _accepted(
            await self._instances.terminate(request.path_params["instance_id"], reason)
        )

    async def later(self, request: Request) -> Response:
        """What this back end does not do yet."""
        return _not_yet(f"{request.method} {request.url.path.rsplit('/', 1)[-1]}")

    def routes(self, guard: Callable[[Handler], Handler]) -> list[Route]:
        """The table of the API, each handler behind `guard`."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/orchestrators/{name}", self.start),
            ("POST", "/orchestrators/{name}/{instance_id}", self.start),
            ("GET", "/instances/", self.page),
            ("GET", "/instances", self.page),
            ("DELETE", "/instances/", self.later),
            ("DELETE", "/instances", self.later),
            ("GET", "/instances/{instance_id}", self.status),
            ("DELETE", "/instances/{instance_id}", self.purge),
            ("POST", "/instances/{instance_id}/raiseEvent/{event_name}", self.raise_event),
            ("POST", "/instances/{instance_id}/terminate", self.terminate),
            *(("POST", f"/instances/{{instance_id}}/{verb}", self.later) for verb in _LATER),
        ]
        routes = [Route(path, guard(handler), methods=[verb]) for verb, path, handler in table]
        entities = guard(self.later)
        methods = ["GET", "POST", "DELETE"]
        routes.append(Route("/entities", entities, methods=methods))
        routes.append(Route("/entities/{rest:path}", entities, methods=methods))
        return routes


def _accepted(status: str | None) -> Response:
    """202 for a living instance, 410 for a finished one, 404 for none."""
    if status is None:
        return Response(status_code=404)
    return Response(status_code=410 if status in TERMINAL else 202)


def _page_size(top: str | None) -> int:
    """How many instances to answer with; ValueError unless it is a count of at least 1."""
    size = int(top or _PAGE)
    if size < 1:
        raise ValueError("top must be at least 1")
    return min(size, _LARGEST_PAGE)


def _write_token(last: Status) -> str:
    place = json.dumps([last.created_at.isoformat(), last.instance_id])
    return base64.urlsafe_b64encode(place.encode()).decode()


def _read_token(token: str | None) -> tuple[str, str] | None:
    """The place that `_write_token` wrote; ValueError or TypeError for anything else."""
    if not token:
        return None
    created, instance_id = json.loads(base64.urlsafe_b64decode(token))
    return datetime.fromisoformat(created).isoformat(), storable(instance_id)


def management_app(
    backend: DurableBackend, *, public_base: str, rpc_base: str, key: str, require_key: bool
) -> Starlette:
    """An ASGI application that serves the API below both prefixes.

    `/runtime/webhooks/durabletask` is the public one; with `require_key` it wants `?code=<key>`.
    `/durabletask` is the one that the SDK's client uses from inside the host. Each answers with
    links below its own base.
    """

    def open_(handler: Handler) -> Handler:
        return handler

    def locked(handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            if request.query_params.get("code") != key:
                return Response(status_code=401)
            return await handler(request)

        return checked

    public = _Api(backend, links_base=public_base.rstrip("/"), key=key)
    rpc = _Api(backend, links_base=rpc_base.rstrip("/"), key=key)
    return Starlette(
        routes=[
            Mount(PUBLIC, routes=public.routes(locked if require_key else open_)),
            Mount(RPC, routes=rpc.routes(open_)),
        ]
    )
