"""The Durable Functions HTTP API of entities."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.durable.entities import name_and_key
from localcloud.durable.history import as_json
from localcloud.durable.replies import (
    TOKEN,
    Handler,
    bad_argument,
    flag,
    json_text,
    page_size,
    read_token,
    time_of,
    to_the_second,
    write_token,
)
from localcloud.durable.states import EntityState, EntityStates, UnknownEntity

_EMPTY_KEY = "$"
"""Stands for the empty key in a URL."""


class EntityApi:
    """The handlers for entities below one prefix."""

    def __init__(self, states: EntityStates) -> None:
        self._states = states

    async def read(self, request: Request) -> Response:
        """An entity's state; 404 when it does not exist."""
        found = await self._states.state(request.path_params["name"], _key(request))
        return Response(status_code=404) if found is None else JSONResponse(as_json(found.state))

    async def signal(self, request: Request) -> Response:
        """Ask an entity for operation `op`; the body is its input."""
        return await self._signal(request, request.query_params.get("op", ""))

    async def delete(self, request: Request) -> Response:
        """Ask an entity for operation `delete`."""
        return await self._signal(request, "delete")

    async def _signal(self, request: Request, operation: str) -> Response:
        body = await request.body()
        try:
            input_ = json_text(body) if body else None
        except ValueError:
            return bad_argument("Invalid JSON content")
        try:
            await self._states.signal(request.path_params["name"], _key(request), operation, input_)
        except UnknownEntity as refusal:
            return bad_argument(str(refusal))
        return Response(status_code=202)

    async def page(self, request: Request) -> Response:
        """Entities, oldest first; the answer's token header leads to the next page."""
        try:
            top = page_size(request.query_params.get("top"))
            updated_from = time_of(request, "lastOperationTimeFrom")
            updated_to = time_of(request, "lastOperationTimeTo")
            after = read_token(request.headers.get(TOKEN))
        except (ValueError, TypeError) as refusal:
            return bad_argument(str(refusal))
        found = await self._states.page(
            request.path_params.get("name"),
            updated_from=updated_from,
            updated_to=updated_to,
            after=after,
            limit=top,
        )
        with_state = flag(request, "fetchState")
        more = len(found) == top
        return JSONResponse(
            [_shape(entity, with_state=with_state) for entity in found],
            headers={TOKEN: write_token(found[-1]) if more else ""},
        )

    def routes(self, guard: Callable[[Handler], Handler]) -> list[Route]:
        """The table of the API, each handler behind `guard`."""
        one = "/entities/{name}/{key}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/entities", self.page),
            ("GET", "/entities/", self.page),
            ("GET", "/entities/{name}", self.page),
            ("GET", one, self.read),
            ("POST", one, self.signal),
            ("DELETE", one, self.delete),
        ]
        return [Route(path, guard(handler), methods=[verb]) for verb, path, handler in table]


def _key(request: Request) -> str:
    key: str = request.path_params["key"]
    return "" if key == _EMPTY_KEY else key


def _shape(entity: EntityState, *, with_state: bool) -> dict[str, Any]:
    name, key = name_and_key(entity.instance_id)
    shown: dict[str, Any] = {
        "entityId": {"name": name, "key": key},
        "lastOperationTime": to_the_second(entity.updated_at),
    }
    return shown | ({"state": as_json(entity.state)} if with_state else {})
