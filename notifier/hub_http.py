"""Hub clients without WebSockets: server-sent events or long polling down, POST up.

Such a connection lives in the replica where it was opened: all its requests carry the same `id`,
by which a balancer keeps them together. Another replica answers 404, and the client connects anew.
"""

import asyncio
import hmac
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from notifier.client import Client
from notifier.door import bearer, body
from notifier.event_stream import EventStream
from notifier.parts import Parts
from notifier.session import Session
from notifier.tickets import digest
from shared.problem import InvalidRequest, NotFound, TokenMissing

NO_STORE = {"Cache-Control": "no-store"}


@dataclass
class Resident:
    """A connection of this replica; `ticket` is the digest of the ticket it was opened with."""

    client: Client
    session: Session
    ticket: str
    poll: asyncio.Task[str | None] | None = None
    polls: asyncio.Lock = field(default_factory=asyncio.Lock)


class HubOverHttp:
    """`/notifications/hub`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._residents: dict[str, Resident] = {}

    def route(self) -> Route:
        """GET opens and receives, POST sends, DELETE ends."""
        return Route("/notifications/hub", self._answer, methods=["GET", "POST", "DELETE"])

    async def _answer(self, request: Request) -> Response:
        token = request.query_params.get("id", "")
        if not token:
            raise InvalidRequest("negotiate first: this needs a connection token")
        key = digest(token)
        if request.method == "GET":
            if resident := self._here(key):
                _check_ticket(request, resident)
                return await self._poll(key, resident)
            return await self._open(request, token, key)
        resident = self._here(key)
        if resident is None:
            raise NotFound("no such connection is here")
        _check_ticket(request, resident)
        if request.method == "DELETE":
            resident.client.close("gone")
            self._forget(key, resident)
            return Response(status_code=202, headers=NO_STORE)
        return await self._sent(request, resident)

    def _here(self, key: str) -> Resident | None:
        """The connection, if it is here; those that the clock has ended are dropped first."""
        resident = self._residents.get(key)
        if resident and resident.client not in self._parts.registry.clients:
            del self._residents[key]
            return None
        return resident

    async def _open(self, request: Request, token: str, key: str) -> Response:
        """The first GET of a connection says by its Accept header which transport it is."""
        self._parts.require_room()
        streams = "text/event-stream" in request.headers.get("accept", "")
        ticket = request.query_params.get("access_token", "") if streams else ""
        if not ticket:
            ticket = bearer(request)
        person = await self._parts.tickets.admit(token, ticket, "hub")
        client = self._parts.client(person, "sse" if streams else "longpolling")
        self._parts.registry.add(client)
        resident = Resident(client, self._parts.session(client), digest(ticket))
        self._residents[key] = resident
        if streams:
            return EventStream(
                client,
                framed=lambda text: f"data: {text}\r\n\r\n",
                ended=lambda: self._forget(key, resident),
            )
        client.abort = lambda: self._forget(key, resident)
        return PlainTextResponse("", headers=NO_STORE)

    async def _poll(self, key: str, resident: Resident) -> Response:
        """What waits, or comes while the poll may last; 204 after the last.

        A newer poll ends an older one, which the client has given up.
        """
        if resident.client.transport != "longpolling":
            raise NotFound("this connection has its stream already")
        if resident.poll is not None:
            resident.poll.cancel()
        async with resident.polls:
            take = resident.poll = asyncio.create_task(resident.client.outbox.take())
            resident.client.heard()
            await asyncio.wait({take}, timeout=self._parts.settings.notifier_poll_s)
            took = take.done() and not take.cancelled()
            take.cancel()
            resident.poll = None
            resident.client.heard()
        if not took:
            return PlainTextResponse("", headers=NO_STORE)
        if (text := take.result()) is None:
            self._forget(key, resident)
            return Response(status_code=204, headers=NO_STORE)
        return PlainTextResponse(text, headers=NO_STORE)

    async def _sent(self, request: Request, resident: Resident) -> Response:
        """What the client says, as soon as it is done."""
        within_s = self._parts.settings.notifier_handshake_s
        try:
            text = (await body(request, within_s=within_s)).decode()
        except UnicodeDecodeError:
            resident.client.close("protocol", "this is spoken in UTF-8")
            raise InvalidRequest("the body must be UTF-8") from None
        if not text:
            raise InvalidRequest("the body holds no message")
        await resident.session.receive(text)
        return PlainTextResponse("", headers=NO_STORE)

    def _forget(self, key: str, resident: Resident) -> None:
        self._residents.pop(key, None)
        self._parts.registry.remove(resident.client)
        if resident.poll is not None:
            resident.poll.cancel()


def _check_ticket(request: Request, resident: Resident) -> None:
    """Only the header counts: a ticket in a URL was for opening the connection."""
    if not hmac.compare_digest(digest(bearer(request)), resident.ticket):
        raise TokenMissing("this is another connection's ticket")
