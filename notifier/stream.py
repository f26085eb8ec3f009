"""The plain event stream for `EventSource`: no hub protocol, resumed by `Last-Event-ID`."""

import contextlib
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from notifier.client import Client
from notifier.entries import is_entry_id
from notifier.event_stream import EventStream
from notifier.hub import CallError
from notifier.parts import Parts
from notifier.people import Person
from notifier.problems import TooManyConnections
from shared.problem import InvalidRequest, MethodNotAllowed

RETRY_MS = 2000
"""How long a browser waits before it reconnects, unless a farewell says otherwise."""


def route(parts: Parts) -> Route:
    """`GET /notifications/stream`, with `ticket` or an Authorization header."""

    async def stream(request: Request) -> Response:
        if request.method == "HEAD":
            raise MethodNotAllowed("a stream has no end to know its head by", ["GET"])
        after, orders = _resumed_from(request), _orders(request)
        parts.require_room()
        person = await _person(parts, request)
        client = parts.client(person, "stream")
        with contextlib.ExitStack() as unless_refused:
            parts.registry.add(client)
            unless_refused.callback(parts.registry.remove, client)
            await _begin(parts, client, after, orders)
            unless_refused.pop_all()
        return EventStream(
            client, framed=lambda text: text, ended=lambda: parts.registry.remove(client)
        )

    return Route("/notifications/stream", stream, methods=["GET"])


async def _begin(parts: Parts, client: Client, after: str | None, orders: list[UUID]) -> None:
    """The retry hint and where the stream stands; then what was missed, before what comes."""
    if parts.registry.crowded(client):
        raise TooManyConnections("this person has as many connections as one may have")
    client.hold()
    # Before something is replayed, the id must not be a newer one.
    start = "" if after else f"id: {parts.registry.position}\n"
    client.send(f"retry: {RETRY_MS}\n{start}\n")
    try:
        for order_id in orders:
            parts.hub.watch(client, order_id)
    except CallError as refusal:
        raise InvalidRequest(str(refusal)) from None
    if after is None:
        client.release()
    else:
        await parts.hub.resume(client, after)


async def _person(parts: Parts, request: Request) -> Person:
    ticket = request.query_params.get("ticket")
    if ticket is None:
        return await parts.door.person(request)
    return await parts.tickets.use(ticket, "stream")


def _resumed_from(request: Request) -> str | None:
    """The header, which a browser sends when it reconnects, wins over the parameter."""
    after = request.headers.get("last-event-id") or request.query_params.get("lastEventId")
    if after and not is_entry_id(after):
        raise InvalidRequest("Last-Event-ID is the id of an event of this stream")
    return after or None


def _orders(request: Request) -> list[UUID]:
    try:
        return [UUID(order) for order in request.query_params.getlist("order")]
    except ValueError:
        raise InvalidRequest("order is the id of an order") from None
