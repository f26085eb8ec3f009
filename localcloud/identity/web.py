"""What pages and scripts from elsewhere may do here: headers of pages, and CORS for tokens."""

import re
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localcloud.dashboard.markup import Html
from localcloud.identity import directory, pages
from localcloud.identity.errors import OAuthError
from localcloud.identity.redirects import Redirects, origin_of
from localcloud.identity.site import NO_STORE

_OPEN: Final = re.compile(r"/[^/]+/(v2\.0/\.well-known/openid-configuration|discovery/v2\.0/keys)")
_TOKENS: Final = re.compile(r"/([^/]+)/(oauth2/v2\.0/token|openid/userinfo)")
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    # A star does not stand for Authorization (Fetch standard, CORS non-wildcard names).
    "Access-Control-Allow-Headers": "Authorization, *",
    "Access-Control-Max-Age": "600",
}


def page(html: Html, status: int = 200, *, leads_to: str | None = None) -> Response:
    """A page without scripts, which nobody can frame.

    Its form may lead to the application at `leads_to`: browsers hold the redirect that answers a
    form against form-action too.
    """
    targets = "'self'" if leads_to is None else f"'self' {origin_of(leads_to)}"
    policy = (
        f"default-src 'none'; style-src 'self'; img-src 'self'; form-action {targets};"
        " base-uri 'none'; frame-ancestors 'none'"
    )
    headers = NO_STORE | {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        # Not no-referrer: forms would then be posted with the Origin null.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    return HTMLResponse(html, status, headers)


def to(location: str, *, after_form: bool = False) -> Response:
    """A redirect; after a form the browser is told to ask with GET."""
    return RedirectResponse(location, 303 if after_form else 302, NO_STORE)


def problem(refusal: OAuthError) -> Response:
    """A refusal as a page, where there is no application that could be told."""
    return page(pages.problem(f"AADSTS{refusal.code}", refusal.message), refusal.status)


def check_from_own_page(request: Request) -> None:
    """OAuthError for a form that another site's page posts in somebody's name."""
    host = request.headers.get("host", "")
    for origin in request.headers.getlist("origin"):
        if origin.partition("://")[2] != host:
            raise OAuthError(
                403, "access_denied", 900561, "This form was sent by a page of another site."
            )


class Cors:
    """Lets pages of the applications, and no others, read the answers of the token endpoint.

    Discovery and keys are for everybody.
    """

    def __init__(self, app: ASGIApp, redirects: Redirects) -> None:
        self._app, self._redirects = app, redirects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        allowed = self._allowed(scope["path"], headers.get("origin", ""))

        async def opened(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(allowed)
            await send(message)

        if allowed and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, opened)
        else:
            await self._app(scope, receive, opened)

    def _allowed(self, path: str, origin: str) -> Mapping[str, str]:
        if _OPEN.fullmatch(path):
            return {"Access-Control-Allow-Origin": "*"}
        found = _TOKENS.fullmatch(path)
        tenant = directory.TENANTS.get(found[1]) if found else None
        if tenant is None or not self._redirects.is_page_of(tenant.kind, origin):
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
