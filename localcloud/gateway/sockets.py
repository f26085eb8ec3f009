"""WebSockets: one connection to the client, one to the backend, and every message passed on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode

from localcloud.gateway.hops import from_backend, to_backend_socket
from localcloud.gateway.policy.context import Context, Response
from localcloud.gateway.policy.faults import Refusal

MESSAGE_MAX = 1024 * 1024
"""Longest message in either direction, in bytes; a longer one closes with 1009."""
PING_S = 20.0
"""How often each side is asked whether it is still there, and how long it may take to answer."""
_CLOSE_S = 5.0
_PLAIN = frozenset({1005, 1006, 1015})
"""Codes that say how a connection ended and are never sent (RFC 6455 §7.4.1)."""

_log = logging.getLogger(__name__)
# A backend that goes away is our client's business, and told by the close code.
logging.getLogger("websockets.client").setLevel(logging.CRITICAL)


class _Connect(connect):
    """Relays a redirect instead of following it."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def handshake(context: Context, timeout_s: float) -> Response:
    """The backend's answer to the handshake: 101 with the open connection, or its refusal.

    Raises Refusal: Timeout, BackendConnectionFailure.
    """
    request = context.request
    scheme, _, rest = context.backend_url.partition("://")
    address = f"{'wss' if scheme in {'https', 'wss'} else 'ws'}://{rest}{request.path}"
    if request.query:
        address = f"{address}?{request.query}"
    offered = request.headers.get("Sec-WebSocket-Protocol")
    try:
        connection = await _Connect(
            address,
            additional_headers=to_backend_socket(request.headers, request.ip),
            subprotocols=_split(offered) if offered else None,  # type: ignore[arg-type] # NewType
            compression=None,
            user_agent_header=None,
            proxy=None,
            open_timeout=timeout_s,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=_CLOSE_S,
            max_size=MESSAGE_MAX,
        )
    except InvalidStatus as refusal:
        answer = refusal.response
        raw = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in answer.headers.raw_items()]
        return Response(answer.status_code, from_backend(raw), bytes(answer.body or b""))
    except TimeoutError as fault:
        raise Refusal(source="forward-request", reason="Timeout") from fault
    except (OSError, InvalidHandshake, EOFError) as fault:
        raise Refusal(
            source="forward-request", reason="BackendConnectionFailure", message=str(fault)
        ) from fault
    response = Response(101, from_backend([]), upstream=connection)
    response.close = connection.close
    return response


def _split(offered: str) -> list[str]:
    return [name.strip() for name in offered.split(",") if name.strip()]


Event = MutableMapping[str, Any]


class Relay:
    """Carries messages between a client that was accepted and its backend, until one is gone.

    Neither side is read faster than the other takes it.
    """

    def __init__(
        self,
        receive: Callable[[], Awaitable[Event]],
        send: Callable[[Event], Awaitable[None]],
        backend: ClientConnection,
    ) -> None:
        self._receive, self._send, self._backend = receive, send, backend

    async def run(self) -> int:
        """Relay; the close code with which the connection ended."""
        up = asyncio.create_task(self._upwards())
        down = asyncio.create_task(self._downwards())
        try:
            done, _ = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            await self._backend.close()

    async def _upwards(self) -> int:
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                code = int(event.get("code") or CloseCode.NO_STATUS_RCVD)
                await self._backend.close(
                    CloseCode.NORMAL_CLOSURE if code in _PLAIN else code, event.get("reason") or ""
                )
                return code
            text = event.get("text")
            try:
                await self._backend.send(text if text is not None else event["bytes"])
            except ConnectionClosed:
                # Whoever reads from the backend tells the client why; what it still sends is lost.
                await self._backend.wait_closed()

    async def _downwards(self) -> int:
        try:
            while True:
                message = await self._backend.recv()
                key = "text" if isinstance(message, str) else "bytes"
                await self._send({"type": "websocket.send", key: message})
        except ConnectionClosed as end:
            code = _told(end)
            reason = end.rcvd.reason if end.rcvd is not None else ""
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
            return code


def _told(end: ConnectionClosed) -> int:
    """What the client is told of the backend's end: its own code, or 1011 when it just broke."""
    if end.rcvd is None:
        # We closed because of what it sent: a message too large, or no answer to a ping.
        sent = end.sent.code if end.sent is not None else CloseCode.INTERNAL_ERROR
        return int(CloseCode.INTERNAL_ERROR if sent in _PLAIN else sent)
    return int(CloseCode.NORMAL_CLOSURE if end.rcvd.code in _PLAIN else end.rcvd.code)
