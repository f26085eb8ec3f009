"""Signing in: the authorization endpoint, with its page for people (RFC 6749 §3.1, OIDC Core)."""

import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from localcloud.identity import directory, pages, web
from localcloud.identity.authorizing import Refused, Wanted, wanted, way_back
from localcloud.identity.directory import Person, Tenant
from localcloud.identity.errors import OAuthError
from localcloud.identity.pages import Entered
from localcloud.identity.people import NotRegistered, normalised
from localcloud.identity.redirects import Redirects
from localcloud.identity.requests import form_of, query_of, tenant_of
from localcloud.identity.sessions import Session
from localcloud.identity.site import Site

_ASKS: Final = frozenset({"login", "select_account", "create"})
"""Prompts that show a page even to who is signed in."""
_WRONG: Final = "That e-mail address or that password is not right."
_RESTS: Final = "Too many wrong passwords. Wait a minute, then try again."


def cookie_of(tenant: Tenant) -> str:
    """The name of the cookie by which a browser's session is known."""
    return f"localcloud-{tenant.kind}"


class SignIn:
    """The authorization endpoint of both tenants."""

    def __init__(self, site: Site, redirects: Redirects) -> None:
        self._site, self._redirects = site, redirects

    async def get(self, request: Request) -> Response:
        """A code for who is signed in already, the page for everybody else."""
        try:
            asked = self._asked(request)
        except Refused as refused:
            return web.to(refused.location)
        except OAuthError as refusal:
            return web.problem(refusal)
        tenant, present = tenant_of(request), self._present(request, asked)
        if present is not None and asked.prompt not in _ASKS:
            return self._code(asked, tenant, *present)
        if asked.prompt == "none":
            return web.to(Refused(asked.way, _nobody_signed_in()).location)
        if asked.prompt == "create":
            return self._registration(request, asked, Entered())
        return self._page(request, asked, Entered({"username": asked.login_hint}))

    async def post(self, request: Request) -> Response:
        """The page's forms: somebody signs in, registers, or goes on as who they are."""
        try:
            self._site.check_host(request)
            web.check_from_own_page(request)
            asked, form = self._asked(request), await form_of(request)
        except Refused as refused:
            return web.to(refused.location, after_form=True)
        except OAuthError as refusal:
            return web.problem(refusal)
        tenant = tenant_of(request)
        if "account" in form:
            present = self._present(request, asked)
            if present is None or present[0].oid != form["account"] or asked.prompt == "login":
                again = Entered(errors={"": "Please sign in again."})
                return self._page(request, asked, again, 400)
            return self._code(asked, tenant, *present, after_form=True)
        if "person" in form:
            person = self._site.people.demo(tenant.kind, form["person"])
            if person is None:
                nobody = Entered(errors={"": "Nobody has that name."})
                return self._page(request, asked, nobody, 400)
            return self._signed_in(request, asked, person)
        if "name" in form and tenant.kind == "clients":
            return await self._register(request, asked, form)
        return await self._by_password(request, asked, form)

    def _asked(self, request: Request) -> Wanted:
        self._site.check_host(request)
        tenant, query = tenant_of(request), query_of(request)
        return wanted(query, way_back(query, tenant, self._redirects), tenant)

    def _present(self, request: Request, asked: Wanted) -> tuple[Person, Session] | None:
        """Who is signed in in this browser, if that is recent enough and whom was asked for."""
        tenant = tenant_of(request)
        cookie = request.cookies.get(cookie_of(tenant))
        session = self._site.sessions.of(tenant, cookie) if cookie else None
        person = self._site.people.by_oid(tenant.kind, session.oid) if session else None
        if session is None or person is None:
            return None
        age = int(time.time()) - session.signed_in.auth_time
        if asked.max_age_s is not None and (asked.max_age_s == 0 or age > asked.max_age_s):
            return None
        if asked.login_hint and normalised(asked.login_hint) != person.username:
            return None
        return person, session

    async def _by_password(self, request: Request, asked: Wanted, form: dict[str, str]) -> Response:
        tenant, username = tenant_of(request), form.get("username", "")
        throttle, address = self._site.throttle, normalised(username)
        kept = {"username": username}
        if throttle.rests(tenant.kind, address):
            return self._page(request, asked, Entered(kept, {"": _RESTS}), 429)
        person = await self._site.people.proven(tenant.kind, username, form.get("password", ""))
        if person is None:
            throttle.failed(tenant.kind, address)
            wrong = {"": _WRONG, "username": "", "password": ""}
            return self._page(request, asked, Entered(kept, wrong), 400)
        throttle.succeeded(tenant.kind, address)
        return self._signed_in(request, asked, person)

    async def _register(self, request: Request, asked: Wanted, form: dict[str, str]) -> Response:
        name, username = form["name"], form.get("username", "")
        try:
            person = await self._site.people.register(name, username, form.get("password", ""))
        except NotRegistered as refused:
            entered = Entered(
                {"name": name, "username": username}, {refused.field: refused.message}
            )
            return self._registration(request, asked, entered, 400)
        return self._signed_in(request, asked, person)

    def _signed_in(self, request: Request, asked: Wanted, person: Person) -> Response:
        """Begin a session, whoever was signed in before, and send its first code."""
        tenant = tenant_of(request)
        session, cookie = self._site.sessions.begin(tenant, person.oid)
        response = self._code(asked, tenant, person, session, after_form=True)
        response.set_cookie(
            cookie_of(tenant),
            cookie,
            path=f"/{tenant.id}",
            secure=self._site.base(request).startswith("https:"),
            httponly=True,
            samesite="lax",
        )
        return response

    def _code(
        self,
        asked: Wanted,
        tenant: Tenant,
        person: Person,
        session: Session,
        *,
        after_form: bool = False,
    ) -> Response:
        sessions, way = self._site.sessions, asked.way
        grant = sessions.granted(
            tenant, way.client, person.oid, asked.scopes.full(), session.signed_in
        )
        code = sessions.issue_code(grant, way.asked_uri, asked.challenge, asked.nonce)
        return web.to(way.back(code=code), after_form=after_form)

    def _page(
        self, request: Request, asked: Wanted, entered: Entered, status: int = 200
    ) -> Response:
        tenant = tenant_of(request)
        present = self._present(request, asked) if asked.prompt != "login" else None
        registers = tenant.kind == "clients"
        html = pages.sign_in(
            asked.way.client,
            [person for person in directory.PEOPLE if person.tenant == tenant.kind],
            entered,
            present=present[0] if present else None,
            register_at=_with_prompt(query_of(request), "create") if registers else None,
        )
        return web.page(html, status, leads_to=asked.way.redirect_uri)

    def _registration(
        self, request: Request, asked: Wanted, entered: Entered, status: int = 200
    ) -> Response:
        back = _with_prompt(query_of(request), "select_account")
        html = pages.register(asked.way.client, entered, sign_in_at=back)
        return web.page(html, status, leads_to=asked.way.redirect_uri)


def _nobody_signed_in() -> OAuthError:
    return OAuthError(
        400,
        "login_required",
        50058,
        "A silent sign-in request was sent but no user is signed in.",
    )


def _with_prompt(query: Sequence[tuple[str, str]], prompt: str) -> str:
    """The same request with another prompt, as a link."""
    others = [(name, value) for name, value in query if name != "prompt"]
    return "?" + urlencode([*others, ("prompt", prompt)])
