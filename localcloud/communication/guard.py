"""Refuses foreign Hosts, and tells browsers how little a page may do."""

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localcloud.dashboard.guard import is_loopback

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise."""


class Guard:
    """Stands before the application.

    Without the check of the Host header, a page from anywhere could read the mail: its own name
    may resolve to 127.0.0.1 (DNS rebinding), and then it is of the same origin. What a page from
    elsewhere sends under this machine's name, such as a form, bears its Origin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        local = len(hosts) == 1 and is_loopback(hosts[0])
        own = f"{scope['scheme']}://{hosts[0]}" if local else ""
        if local and all(origin == own for origin in headers.getlist("origin")):
            await self._app(scope, receive, sealed)
            return
        refusal = PlainTextResponse(
            "Communication Services answers only to localhost, 127.0.0.1 and [::1].\n",
            status_code=403,
        )
        await refusal(scope, receive, sealed)
