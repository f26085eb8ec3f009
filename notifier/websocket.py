"""Hub clients on a WebSocket."""

import asyncio
import time

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from notifier.client import Client
from notifier.event_stream import line_cutter
from notifier.parts import Parts
from notifier.problems import answer
from notifier.session import Session
from shared.problem import Problem, TokenMissing

NORMAL, GOING_AWAY, UNSUPPORTED_DATA, POLICY = 1000, 1001, 1003, 1008
CODES = {"drain": GOING_AWAY, "flood": POLICY, "crowd": POLICY, "protocol": POLICY}


def route(parts: Parts) -> WebSocketRoute:
    """`/notifications/ws`: nothing but WebSockets is answered there."""

    async def connect(websocket: WebSocket) -> None:
        try:
            client = await _admitted(parts, websocket)
        except Problem as problem:
            await websocket.send_denial_response(answer(websocket, problem))
            return
        client.abort = line_cutter(websocket.scope)
        with parts.registry.present(client):
            await websocket.accept()
            await _converse(websocket, client, parts.session(client))

    return WebSocketRoute("/notifications/ws", connect)


async def _admitted(parts: Parts, websocket: WebSocket) -> Client:
    """A browser sends no Authorization header with a WebSocket: the ticket may be in the URL."""
    parts.door.check_origin(websocket)
    parts.require_room()
    ticket = websocket.query_params.get("access_token", "")
    scheme, _, credentials = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        ticket = credentials.strip()
    token = websocket.query_params.get("id", "")
    if not ticket or not token:
        raise TokenMissing("negotiate first: this needs a connection token and its ticket")
    return parts.client(await parts.tickets.admit(token, ticket, "ws"), "websockets")


async def _converse(websocket: WebSocket, client: Client, session: Session) -> None:
    """Until one side ends it."""
    writer = asyncio.create_task(_write(websocket, client))
    reader = asyncio.create_task(_read(websocket, client, session))
    try:
        # Who reads is the first to know that the client is gone, who writes that we end it.
        await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (writer, reader):
            task.cancel()
        await asyncio.gather(writer, reader, return_exceptions=True)


async def _write(websocket: WebSocket, client: Client) -> None:
    code = NORMAL
    try:
        while (text := await client.outbox.take()) is not None:
            client.writing_since = time.monotonic()
            await websocket.send_text(text)
            client.writing_since = None
        code = CODES.get(client.reason or "", NORMAL)
        await websocket.close(code)
    except (WebSocketDisconnect, RuntimeError):
        return  # it is gone


async def _read(websocket: WebSocket, client: Client, session: Session) -> None:
    while True:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            return
        text = event.get("text")
        if text is None:
            client.close("protocol", "this is spoken in text")
            # What else comes is read and forgotten, until the writer has said so.
            continue
        await session.receive(text)
