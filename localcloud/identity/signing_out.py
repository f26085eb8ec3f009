"""Signing out: ends the browser's session and what was granted in it.

Source: https://openid.net/specs/openid-connect-rpinitiated-1_0.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import jwt
from starlette.requests import Request
from starlette.responses import Response

from localcloud.identity import directory, pages, tokens, web
from localcloud.identity.directory import Application, Tenant
from localcloud.identity.errors import OAuthError
from localcloud.identity.redirects import Redirects
from localcloud.identity.requests import query_of, tenant_of
from localcloud.identity.sessions import Session
from localcloud.identity.signing_in import cookie_of
from localcloud.identity.site import Site


@dataclass(frozen=True)
class _Hint:
    """Whom the application signed in, as its ID token says."""

    client: Application
    sid: str
    oid: str


class SignOut:
    """The end-session endpoint of both tenants."""

    def __init__(self, site: Site, redirects: Redirects) -> None:
        self._site, self._redirects = site, redirects

    async def get(self, request: Request) -> Response:
        """Sign out at once when an application shows its ID token; otherwise ask the person.

        Without that, any page could sign people out by a link.
        """
        try:
            self._site.check_host(request)
            tenant, query = tenant_of(request), dict(query_of(request))
            hint = self._hint(request, tenant, query)
            afterwards = self._afterwards(tenant, hint, query)
        except OAuthError as refusal:
            return web.problem(refusal)
        session = self._session(request, tenant)
        if session is None or (hint is not None and hint.oid == session.oid):
            if hint is not None:
                self._site.sessions.end(hint.sid)
            return self._done(tenant, session, afterwards)
        person = self._site.people.by_oid(tenant.kind, session.oid)
        if person is None:
            return self._done(tenant, session, afterwards)
        return web.page(pages.ask_sign_out(person), leads_to=afterwards)

    async def post(self, request: Request) -> Response:
        """The person said yes."""
        try:
            self._site.check_host(request)
            web.check_from_own_page(request)
            tenant, query = tenant_of(request), dict(query_of(request))
            afterwards = self._afterwards(tenant, self._hint(request, tenant, query), query)
        except OAuthError as refusal:
            return web.problem(refusal)
        return self._done(tenant, self._session(request, tenant), afterwards, after_form=True)

    def _session(self, request: Request, tenant: Tenant) -> Session | None:
        cookie = request.cookies.get(cookie_of(tenant))
        return self._site.sessions.of(tenant, cookie) if cookie else None

    def _hint(self, request: Request, tenant: Tenant, query: Mapping[str, str]) -> _Hint | None:
        """What the ID token says; one that is old is as good, one that is not ours is none."""
        try:
            claims = tokens.read(
                query.get("id_token_hint", ""),
                self._site.keys,
                base=self._site.base(request),
                tenant=tenant,
                expired=True,
            )
        except jwt.PyJWTError:
            return None
        client = directory.application(tenant.kind, str(claims.get("aud")))
        if client is None or "sid" not in claims:
            return None
        return _Hint(client, claims["sid"], claims["oid"])

    def _afterwards(
        self, tenant: Tenant, hint: _Hint | None, query: Mapping[str, str]
    ) -> str | None:
        wished = query.get("post_logout_redirect_uri")
        if not wished:
            return None
        uri = self._redirects.sign_out(tenant.kind, hint.client if hint else None, wished)
        if uri is None:
            raise OAuthError(
                400,
                "invalid_request",
                50011,
                f"The post logout redirect URI '{wished[:256]}' is not configured.",
            )
        if "state" not in query:
            return uri
        separator = "&" if urlsplit(uri).query else "?"
        return f"{uri}{separator}{urlencode({'state': query['state']})}"

    def _done(
        self,
        tenant: Tenant,
        session: Session | None,
        afterwards: str | None,
        *,
        after_form: bool = False,
    ) -> Response:
        if session is not None:
            self._site.sessions.end(session.signed_in.sid)
        response = (
            web.to(afterwards, after_form=after_form)
            if afterwards
            else web.page(pages.signed_out())
        )
        response.delete_cookie(cookie_of(tenant), path=f"/{tenant.id}", httponly=True)
        return response
