"""Clients of our own, for what the official one would never send."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

HANDSHAKE = '{"protocol":"json","version":1}\x1e'
SEPARATOR = "\x1e"


@dataclass(frozen=True)
class Negotiated:
    """Where a connection may be opened, and with what."""

    url: str
    token: str
    ticket: str

    @property
    def address(self) -> str:
        return f"{self.url}?id={self.token}"

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.ticket)


async def negotiate(base: str, access_token: str, transport: str = "webSockets") -> Negotiated:
    """Both steps of it."""
    async with httpx.AsyncClient() as http:
        redirect = await http.post(
            f"{base}/notifications/negotiate",
            params={"transport": transport, "negotiateVersion": "1"},
            headers=bearer(access_token),
        )
        url, ticket = redirect.json()["url"], redirect.json()["accessToken"]
        answer = await http.post(f"{url}/negotiate?negotiateVersion=1", headers=bearer(ticket))
        return Negotiated(url, answer.json()["connectionToken"], ticket)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def asked(base: str, method: str, path: str, **options: Any) -> httpx.Response:
    """The answer to one request."""
    async with httpx.AsyncClient() as http:
        return await http.request(method, base + path, **options)


async def refused(address: str, **options: Any) -> tuple[int, str]:
    """The status and the code of the problem with which a WebSocket was refused."""
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(address.replace("http", "ws", 1), **options):
            pass
    response = refusal.value.response
    return response.status_code, json.loads(bytes(response.body or b"{}"))["code"]


class HubSocket:
    """A WebSocket on which messages are read one at a time."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self._read = socket, list[str]()

    async def send(self, text: str) -> None:
        await self.socket.send(text)

    async def message(self) -> dict[str, Any]:
        """The next message that is no ping. Raises ConnectionClosed."""
        while True:
            while not self._read:
                frame = await self.socket.recv()
                assert isinstance(frame, str)
                assert frame.endswith(SEPARATOR)
                self._read = frame.split(SEPARATOR)[:-1]
            message: dict[str, Any] = json.loads(self._read.pop(0))
            if message.get("type") != 6:
                return message

    async def until_closed(self) -> tuple[list[dict[str, Any]], int]:
        """The messages that still come, and the code of the close."""
        messages = []
        try:
            while True:
                messages.append(await self.message())
        except ConnectionClosed as closed:
            return messages, closed.rcvd.code if closed.rcvd else 1006


@contextlib.asynccontextmanager
async def hub_socket(
    base: str, access_token: str, *, handshake: str | None = HANDSHAKE, receive_buffer: int = 0
) -> AsyncIterator[HubSocket]:
    """An open WebSocket, its handshake sent and accepted."""
    agreed = await negotiate(base, access_token)
    address = httpx.URL(agreed.address)
    plain = socket.socket()
    if receive_buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.connect((address.host, address.port))
    async with connect(
        agreed.address.replace("http", "ws", 1),
        sock=plain,
        additional_headers=agreed.headers,
        compression=None,
        max_queue=1,
        ping_interval=None,
    ) as opened:
        hub = HubSocket(opened)
        if handshake is not None:
            await hub.send(handshake)
            assert await hub.message() == {}
        yield hub
