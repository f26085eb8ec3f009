"""The way in: who has an access token gets a ticket and is told where to connect."""

from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uuid_utils.compat import uuid7

from notifier import tickets
from notifier.door import bearer
from notifier.parts import Parts
from shared.problem import InvalidRequest

TRANSPORTS = {
    "ws": ("WebSockets",),
    "hub": ("ServerSentEvents", "LongPolling"),
}
NO_STORE = {"Cache-Control": "no-store"}


def routes(parts: Parts) -> list[Route]:
    """Negotiation and tickets."""

    async def negotiate(request: Request) -> Response:
        """Redirect to where WebSockets are, if asked for them, or where everything else is.

        A gateway that does not mix WebSockets and HTTP on one path needs two paths.
        """
        wanted = request.query_params.get("transport", "")
        if wanted.lower() not in {"", "websockets", "serversentevents", "longpolling"}:
            raise InvalidRequest("transport is webSockets, serverSentEvents or longPolling")
        parts.require_room()
        person = await parts.door.person(request)
        audience: Literal["ws", "hub"] = "ws" if wanted.lower() == "websockets" else "hub"
        ticket = await parts.tickets.issue(person, audience)
        base = parts.door.base(request)
        return JSONResponse(
            {"negotiateVersion": 1, "url": f"{base}/{audience}", "accessToken": ticket},
            headers=NO_STORE,
        )

    def connecting(audience: Literal["ws", "hub"]) -> Route:
        async def expect(request: Request) -> Response:
            if request.query_params.get("negotiateVersion") != "1":
                error = "this needs a client that negotiates by version 1"
                return JSONResponse({"negotiateVersion": 1, "error": error}, headers=NO_STORE)
            parts.require_room()
            ticket = bearer(request)
            person = await parts.tickets.look_at(ticket, audience)
            token = await parts.tickets.expect(person, audience, ticket)
            offered = [
                {"transport": name, "transferFormats": ["Text"]} for name in TRANSPORTS[audience]
            ]
            return JSONResponse(
                {
                    "negotiateVersion": 1,
                    "connectionId": str(uuid7()),
                    "connectionToken": token,
                    "availableTransports": offered,
                },
                headers=NO_STORE,
            )

        return Route(f"/notifications/{audience}/negotiate", expect, methods=["POST"])

    async def ticket(request: Request) -> Response:
        """A ticket for `GET /notifications/stream`, good once."""
        parts.require_room()
        person = await parts.door.person(request)
        issued = await parts.tickets.issue(person, "stream")
        return JSONResponse(
            {"ticket": issued, "expires_in": tickets.STREAM_S}, 201, headers=NO_STORE
        )

    return [
        Route("/notifications/negotiate", negotiate, methods=["POST"]),
        Route("/notifications/ticket", ticket, methods=["POST"]),
        connecting("ws"),
        connecting("hub"),
    ]
