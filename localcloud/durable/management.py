"""The Durable Functions HTTP API: instances here, entities beside it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from localcloud.durable.backend import DurableBackend
from localcloud.durable.binding import instance_links
from localcloud.durable.entity_api import EntityApi
from localcloud.durable.history import as_json, shown
from localcloud.durable.instances import BadInstanceId, InstanceExists, UnknownOrchestrator
from localcloud.durable.outcome import TERMINAL
from localcloud.durable.replies import (
    TOKEN,
    Handler,
    accepted,
    bad_argument,
    error,
    flag,
    json_text,
    page_size,
    read_token,
    shape,
    wanted_instances,
    write_token,
)

PUBLIC = "/runtime/webhooks/durabletask"
RPC = "/durabletask"

_REFUSED = "Something went wrong while processing your request"


class _Api:
    """The handlers below one prefix; `links_base` is where the links that they answer point."""

    def __init__(self, backend: DurableBackend, *, links_base: str, key: str) -> None:
        self._backend, self._instances = backend, backend.instances
        self._links_base, self._key = links_base, key

    async def start(self, request: Request) -> Response:
        """Start an instance; the body is its input. With `timeout` wait for its end."""
        body = await request.body()
        query = request.query_params
        try:
            input_ = json_text(body) if body else None
            timeout_s = float(query.get("timeout") or 0)
            pause_s = float(query.get("pollingInterval") or 1)
        except ValueError:
            return bad_argument("Invalid JSON content")
        name, wanted = request.path_params["name"], request.path_params.get("instance_id")
        try:
            instance_id = await self._instances.start(
                name, instance_id=wanted, input_=input_, version=query.get("version", "")
            )
        except (UnknownOrchestrator, BadInstanceId, InstanceExists) as refusal:
            return _not_started(refusal)
        return await self._ended(instance_id, timeout_s, pause_s) or self._started(instance_id)

    def _started(self, instance_id: str) -> Response:
        links = instance_links(
            instance_id, hub=self._backend.hub, base=self._links_base, key=self._key
        )
        links.pop("rewindPostUri")
        headers = {"Location": links["statusQueryGetUri"], "Retry-After": "10"}
        return JSONResponse(links, status_code=202, headers=headers)

    async def _ended(self, instance_id: str, timeout_s: float, pause_s: float) -> Response | None:
        """How the instance ended, None when it did not in time."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            status = await self._instances.status(instance_id)
            if status is None:
                return None
            if status.status == "Completed":
                return JSONResponse(as_json(status.output))
            if status.status in TERMINAL:
                code = 500 if status.status == "Failed" else 200
                return JSONResponse(shape(status, with_input=True), status_code=code)
            await asyncio.sleep(min(pause_s, left_s))
        return None

    async def status(self, request: Request) -> Response:
        """How an instance stands: 202 while it may still change, 200 after."""
        status = await self._instances.status(request.path_params["instance_id"])
        if status is None:
            return Response(status_code=404)
        with_input = flag(request, "showInput", default=True)
        body = shape(status, with_input=with_input)
        if flag(request, "showHistory"):
            body["historyEvents"] = shown(
                await self._instances.history(status),
                results=flag(request, "showHistoryOutput"),
                inputs=with_input,
            )
        if status.status not in TERMINAL:
            headers = {"Location": str(request.url), "Retry-After": "5"}
            return JSONResponse(body, status_code=202, headers=headers)
        broken = status.status == "Failed" and flag(request, "returnInternalServerErrorOnFailure")
        return JSONResponse(body, status_code=500 if broken else 200)

    async def page(self, request: Request) -> Response:
        """Instances, oldest first; the answer's token header leads to the next page."""
        try:
            top = page_size(request.query_params.get("top"))
            wanted = wanted_instances(request)
            after = read_token(request.headers.get(TOKEN))
        except (ValueError, TypeError) as refusal:
            return bad_argument(str(refusal))
        found = await self._instances.page(wanted, after=after, limit=top)
        with_input = flag(request, "showInput", default=True)
        more = len(found) == top
        return JSONResponse(
            [shape(status, with_input=with_input) for status in found],
            headers={TOKEN: write_token(found[-1]) if more else ""},
        )

    async def purge(self, request: Request) -> Response:
        """Delete one instance."""
        if not await self._instances.purge(request.path_params["instance_id"]):
            return Response(status_code=404)
        return JSONResponse({"instancesDeleted": 1})

    async def purge_where(self, request: Request) -> Response:
        """Delete the finished instances that the query selects, by time at least."""
        try:
            wanted = wanted_instances(request)
        except ValueError as refusal:
            return bad_argument(str(refusal))
        if wanted.created_from is None:
            return bad_argument("Please provide value for 'createdTimeFrom' parameter.")
        deleted = await self._instances.purge_where(wanted)
        return JSONResponse({"instancesDeleted": deleted}, status_code=200 if deleted else 404)

    async def raise_event(self, request: Request) -> Response:
        """Send an event; the body is its JSON."""
        if not request.headers.get("content-type", "").startswith("application/json"):
            return error(400, "Only application/json request content is supported", "", "")
        try:
            input_ = json_text(await request.body())
        except ValueError:
            return error(400, "Only application/json request content is supported", "", "")
        name = request.path_params["event_name"]
        return accepted(
            await self._instances.raise_event(request.path_params["instance_id"], name, input_)
        )

    async def terminate(self, request: Request) -> Response:
        """End an instance by force; `reason` becomes its output."""
        reason = request.query_params.get("reason")
        return accepted(await self._instances.terminate(request.path_params["instance_id"], reason))

    async def suspend(self, request: Request) -> Response:
        """Let an instance rest; one that rests already is an error."""
        return await self._switch(request, self._instances.suspend, rests=False)

    async def resume(self, request: Request) -> Response:
        """Let a suspended instance go on; one that is not suspended is an error."""
        return await self._switch(request, self._instances.resume, rests=True)

    async def _switch(
        self,
        request: Request,
        switch: Callable[[str, str | None], Awaitable[str | None]],
        *,
        rests: bool,
    ) -> Response:
        instance_id = request.path_params["instance_id"]
        status = await self._instances.status(instance_id)
        if status is not None and status.status not in TERMINAL:
            if (status.status == "Suspended") != rests:
                what = f"Cannot {switch.__name__} an instance in the {status.status} state."
                return error(500, _REFUSED, what, "System.InvalidOperationException")
            return accepted(await switch(instance_id, request.query_params.get("reason")))
        return accepted(None if status is None else status.status)

    async def rewind(self, request: Request) -> Response:
        """Let a failed instance try again what failed last."""
        instance_id = request.path_params["instance_id"]
        if await self._instances.rewind(instance_id, request.query_params.get("reason")):
            return Response(status_code=202)
        status = await self._instances.status(instance_id)
        if status is None or status.status in TERMINAL - {"Failed"}:
            return accepted(None if status is None else status.status)
        what = f"Cannot rewind an instance in the {status.status} state."
        return error(500, _REFUSED, what, "System.InvalidOperationException")

    async def restart(self, request: Request) -> Response:
        """Start the orchestration with the same input, under a new id unless told otherwise."""
        instance_id = request.path_params["instance_id"]
        new_id = flag(request, "restartWithNewInstanceId", default=True)
        try:
            started = await self._instances.restart(instance_id, new_id=new_id)
        except (UnknownOrchestrator, BadInstanceId, InstanceExists) as refusal:
            return _not_started(refusal)
        if started is None:
            return bad_argument(f"An instance with instanceID {instance_id} was not found.")
        return self._started(started)

    def routes(self, guard: Callable[[Handler], Handler]) -> list[Route]:
        """The table of the API, each handler behind `guard`."""
        one = "/instances/{instance_id}"
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/orchestrators/{name}", self.start),
            ("POST", "/orchestrators/{name}/{instance_id}", self.start),
            ("GET", "/instances/", self.page),
            ("GET", "/instances", self.page),
            ("DELETE", "/instances/", self.purge_where),
            ("DELETE", "/instances", self.purge_where),
            ("GET", one, self.status),
            ("DELETE", one, self.purge),
            ("POST", f"{one}/raiseEvent/{{event_name}}", self.raise_event),
            ("POST", f"{one}/terminate", self.terminate),
            ("POST", f"{one}/suspend", self.suspend),
            ("POST", f"{one}/resume", self.resume),
            ("POST", f"{one}/rewind", self.rewind),
            ("POST", f"{one}/restart", self.restart),
        ]
        return [Route(path, guard(handler), methods=[verb]) for verb, path, handler in table]


def _not_started(refusal: Exception) -> Response:
    if isinstance(refusal, InstanceExists):
        kind = "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException"
        return error(500, _REFUSED, str(refusal), kind)
    return bad_argument(str(refusal))


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

    guard = locked if require_key else open_
    entities = EntityApi(backend.entities)
    public = _Api(backend, links_base=public_base.rstrip("/"), key=key)
    rpc = _Api(backend, links_base=rpc_base.rstrip("/"), key=key)
    return Starlette(
        routes=[
            Mount(PUBLIC, routes=[*public.routes(guard), *entities.routes(guard)]),
            Mount(RPC, routes=[*rpc.routes(open_), *entities.routes(open_)]),
        ]
    )
