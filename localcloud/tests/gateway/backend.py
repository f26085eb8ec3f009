"""A backend that says what it was sent, or behaves as a test asks it to."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator

from aiohttp import WSMsgType, web


class Backend:
    """Serves `/api/v1/…` and the WebSocket `/socket`; keeps what tests ask about."""

    def __init__(self) -> None:
        self.port = 0
        self.started: asyncio.Queue[str] = asyncio.Queue()
        """Places whose request has arrived, for those that wait."""
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()
        """Places whose client went away before the answer."""
        self.closed: asyncio.Queue[int] = asyncio.Queue()
        """Close codes with which WebSockets ended here."""
        self.release = asyncio.Event()
        self.received = 0
        self.requests = 0
        """How many have been echoed."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Backend"]:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/socket", self._socket)
        app.router.add_get("/api/v1/at/silent", self._silent)
        app.router.add_get("/api/v1/impatient", self._silent)
        app.router.add_get("/api/v1/at/events", self._events)
        app.router.add_get("/api/v1/at/broken", self._broken)
        app.router.add_get("/api/v1/at/large", self._large)
        app.router.add_get("/api/v1/at/redirect", self._redirect)
        app.router.add_get("/api/v1/at/nothing", self._nothing)
        app.router.add_get("/api/v1/at/odd", self._odd)
        app.router.add_get("/api/v1/at/headers", self._headers)
        app.router.add_post("/api/v1/at/slow-reader", self._slow_reader)
        app.router.add_route("*", "/{rest:.*}", self._echo)
        runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=1.0,
            max_field_size=65_536,
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            self.release.set()
            await runner.cleanup()

    async def _echo(self, request: web.Request) -> web.Response:
        self.requests += 1
        body = await request.read()
        return web.json_response(
            {
                "method": request.method,
                "target": request.raw_path,
                "headers": [
                    [n.decode("latin-1").lower(), v.decode("latin-1")]
                    for n, v in request.raw_headers
                ],
                "length": len(body),
                "digest": hashlib.sha256(body).hexdigest(),
            }
        )

    async def _silent(self, request: web.Request) -> web.Response:
        self.started.put_nowait(request.path)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.put_nowait(request.path)
            raise
        return web.Response(text="late")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        self.started.put_nowait(request.path)
        try:
            for number in range(1_000_000):
                await answer.write(b"data: %d\n\n" % number)
                await self.release.wait()
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.put_nowait(request.path)
            raise
        return answer

    async def _broken(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000000"})
        await answer.prepare(request)
        await answer.write(b"x" * 1000)
        assert request.transport is not None
        request.transport.close()
        return answer

    async def _large(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(8 * 2**20)})
        await answer.prepare(request)
        for _ in range(8):
            await answer.write(b"y" * 2**20)
        return answer

    async def _redirect(self, _: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://elsewhere.example/"})

    async def _nothing(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _odd(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n")
        request.transport.close()
        return web.Response()

    async def _headers(self, _: web.Request) -> web.Response:
        answer = web.Response(text="x", headers={"Connection": "X-Hop", "X-Hop": "1"})
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        answer.headers["Keep-Alive"] = "timeout=5"
        answer.headers["X-Text"] = "naïve"
        return answer

    async def _slow_reader(self, request: web.Request) -> web.Response:
        self.started.put_nowait(request.path)
        await self.release.wait()
        self.received = len(await request.read())
        return web.Response(text=str(self.received))

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        wish = request.query.get("do", "")
        if wish == "refuse":
            return web.json_response({"code": "ticket-invalid"}, status=401)
        if wish == "redirect":
            return web.Response(status=307, headers={"Location": "/socket"})
        socket = web.WebSocketResponse(protocols=("json",), max_msg_size=0, autoping=True)
        await socket.prepare(request)
        await self._play(request, socket, wish)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        self.closed.put_nowait(socket.close_code or 0)
        return socket

    async def _play(self, request: web.Request, socket: web.WebSocketResponse, wish: str) -> None:
        match wish:
            case "headers":
                sent = {name.lower(): value for name, value in request.headers.items()}
                await socket.send_json(sent)
            case "close":
                await socket.close(code=4001, message=b"enough")
            case "cut":
                assert request.transport is not None
                request.transport.close()
            case "huge":
                with contextlib.suppress(ConnectionError):
                    await socket.send_str("x" * (2**20 + 1))
            case "flood":
                await self._flood(socket)

    async def _flood(self, socket: web.WebSocketResponse) -> None:
        """Send without end until nobody takes it any more."""
        with contextlib.suppress(ConnectionError):
            while not self.release.is_set():
                await socket.send_str("z" * 65_536)
                self.received += 1
