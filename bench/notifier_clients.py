"""Many connected clients of the notifier, and when each of them got what."""

import asyncio
import json
import time
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

CONNECTIONS_EACH, STREAMS_EACH = 10, 1
"""Of each person's connections so many are plain event streams, the others WebSockets."""
ANSWER_WITHIN_S = 60.0
AT_ONCE = 64
HANDSHAKE = '{"protocol":"json","version":1}\x1e'


class Receipts:
    """When each connection got each message, in seconds of the performance counter."""

    def __init__(self) -> None:
        self._at: dict[str, list[float]] = {}
        self._expected: dict[str, tuple[int, asyncio.Event]] = {}

    def expect(self, message_id: str, count: int) -> asyncio.Event:
        """An event that is set once so many connections have the message."""
        complete = asyncio.Event()
        self._at[message_id], self._expected[message_id] = [], (count, complete)
        return complete

    def received(self, message_id: str) -> None:
        """A connection has it now."""
        times = self._at[message_id]
        times.append(time.perf_counter())
        count, complete = self._expected[message_id]
        if len(times) == count:
            complete.set()

    def since(self, message_id: str, began: float) -> list[float]:
        """Milliseconds from `began` to each receipt."""
        return [(at - began) * 1000 for at in self._at[message_id]]


class Clients:
    """All connections, and who reads them."""

    def __init__(self, base: str, receipts: Receipts) -> None:
        self._base, self._receipts = base, receipts
        self._http = httpx.AsyncClient(timeout=ANSWER_WITHIN_S)
        self._readers: list[asyncio.Task[None]] = []
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def connect(self, token: str) -> None:
        """A person's connections."""
        kinds = [self._stream] * STREAMS_EACH
        kinds += [self._socket] * (CONNECTIONS_EACH - STREAMS_EACH)
        await asyncio.gather(*(self._one(kind(token)) for kind in kinds))

    async def close(self) -> None:
        """Every line, at once."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self._http.aclose()

    async def _one(self, connecting: Any) -> None:
        async with self._gate:
            self._readers.append(asyncio.create_task(await connecting))

    async def _socket(self, token: str) -> Any:
        redirect = await self._post(
            f"{self._base}/notifications/negotiate?transport=webSockets", token
        )
        ticket = redirect["accessToken"]
        agreed = await self._post(f"{redirect['url']}/negotiate?negotiateVersion=1", ticket)
        socket = await connect(
            f"{redirect['url'].replace('http', 'ws', 1)}?id={agreed['connectionToken']}",
            additional_headers={"Authorization": f"Bearer {ticket}"},
            compression=None,
            ping_interval=None,
            close_timeout=0.1,
        )
        await socket.send(HANDSHAKE)
        assert await socket.recv() == "{}\x1e"
        return self._read_socket(socket)

    async def _read_socket(self, socket: ClientConnection) -> None:
        try:
            async for frame in socket:
                assert isinstance(frame, str)
                for text in frame.split("\x1e")[:-1]:
                    message = json.loads(text)
                    if message["type"] == 1:
                        self._receipts.received(message["arguments"][0]["id"])
                    else:
                        await socket.send(text + "\x1e")  # a ping for a ping keeps both sides calm
        finally:
            socket.transport.abort()

    async def _stream(self, token: str) -> Any:
        address = httpx.URL(self._base)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(
            f"GET /notifications/stream HTTP/1.1\r\nHost: {address.netloc.decode()}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        assert b" 200 " in await reader.readline()
        while b"retry:" not in await reader.readline():
            pass
        return self._read_stream(reader, writer)

    async def _read_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    self._receipts.received(json.loads(line[6:])["id"])
        finally:
            writer.close()

    async def _post(self, url: str, token: str) -> dict[str, Any]:
        answer = await self._http.post(url, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document
