"""The token endpoint: which grants are honoured, and what comes of them (RFC 6749 §3.2)."""

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from localcloud.identity import clients, scopes, tokens
from localcloud.identity.directory import Application, Person, Tenant
from localcloud.identity.errors import OAuthError, missing
from localcloud.identity.people import normalised
from localcloud.identity.scopes import Scopes
from localcloud.identity.sessions import Code, Grant
from localcloud.identity.site import Site
from localcloud.identity.tokens import SignedIn

_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")

type Form = Mapping[str, str]
type Response = dict[str, Any]


class TokenEndpoint:
    """Answers token requests of both tenants."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._grants: Mapping[
            str, Callable[[Form, Application, Tenant, str], Awaitable[Response]]
        ] = {
            "authorization_code": self._authorization_code,
            "refresh_token": self._refresh_token,
            "password": self._password,
            "client_credentials": self._client_credentials,
        }

    async def answer(self, form: Form, basic: str | None, *, tenant: Tenant, base: str) -> Response:
        """The token response to one form post.

        `basic` is the Authorization header, if there was one. Raises OAuthError with Entra's code
        when the client, the person, the grant or the scope is not known.
        """
        wanted = _required(form, "grant_type")
        grant = self._grants.get(wanted)
        if grant is None:
            raise OAuthError(
                400,
                "unsupported_grant_type",
                70003,
                f"The app requested an unsupported grant type '{wanted[:64]}'.",
            )
        site = self._site
        client = clients.authenticated(
            form, basic, tenant=tenant, base=base, keys=site.keys, secrets=site.client_secrets
        )
        return await grant(form, client, tenant, base)

    async def _authorization_code(
        self, form: Form, client: Application, tenant: Tenant, base: str
    ) -> Response:
        presented, redirect_uri = _required(form, "code"), _required(form, "redirect_uri")
        verifier = _required(form, "code_verifier")
        sessions = self._site.sessions
        code = sessions.code(tenant, client, presented)
        if code is None:
            raise _invalid_grant(70008, "The provided authorization code is invalid or expired.")
        if code.redeemed:
            # Somebody else knows it: what it was exchanged for is not trusted either (§4.1.2).
            sessions.revoke(code.grant)
            raise _invalid_grant(
                54005,
                "OAuth2 Authorization code was already redeemed, please retry with a new one.",
            )
        _check_bound(code, redirect_uri, verifier)
        sessions.redeem(presented)
        person = self._person(tenant, code.grant)
        granted = scopes.understood(code.grant.scope, tenant)
        answer = self._tokens(
            person,
            client,
            granted,
            code.grant.signed_in,
            tenant=tenant,
            base=base,
            nonce=code.nonce,
        )
        if "offline_access" in granted.standard:
            answer["refresh_token"] = sessions.issue_refresh(code.grant)
        return answer

    async def _refresh_token(
        self, form: Form, client: Application, tenant: Tenant, base: str
    ) -> Response:
        presented, sessions = _required(form, "refresh_token"), self._site.sessions
        found = sessions.refresh(tenant, client, presented)
        if found is None:
            raise _invalid_grant(
                700082, "The refresh token is unknown, has expired or was revoked."
            )
        grant, used = found
        if used:
            # Either the application or a thief has it twice; whose it is cannot be told (RFC 9700
            # §4.14.2), so both have to sign in again.
            sessions.revoke(grant)
            raise _invalid_grant(
                50173, "The refresh token was used before, so the whole grant is revoked."
            )
        granted = scopes.understood(grant.scope, tenant)
        asked = scopes.understood(form["scope"], tenant) if form.get("scope") else granted
        if not asked.within(granted):
            raise OAuthError(
                400, "invalid_scope", 70011, "The scope exceeds what was granted at sign-in."
            )
        person = self._person(tenant, grant)
        answer = self._tokens(person, client, asked, grant.signed_in, tenant=tenant, base=base)
        answer["refresh_token"] = sessions.issue_refresh(grant, instead_of=presented)
        return answer

    async def _password(
        self, form: Form, client: Application, tenant: Tenant, base: str
    ) -> Response:
        username, password = _required(form, "username"), _required(form, "password")
        asked = scopes.understood(_required(form, "scope"), tenant)
        person = await self._proven(tenant, username, password)
        scopes.check_consent(client, asked)
        signed_in, sessions = tokens.SignedIn(), self._site.sessions
        answer = self._tokens(person, client, asked, signed_in, tenant=tenant, base=base)
        if "offline_access" in asked.standard:
            grant = sessions.granted(tenant, client, person.oid, asked.full(), signed_in)
            answer["refresh_token"] = sessions.issue_refresh(grant)
        return answer

    async def _proven(self, tenant: Tenant, username: str, password: str) -> Person:
        """One refusal for whatever is wrong, so that it does not tell which addresses exist."""
        throttle, address = self._site.throttle, normalised(username)
        if throttle.rests(tenant.kind, address):
            raise OAuthError(
                400,
                "invalid_grant",
                50053,
                "The account is locked, you've tried to sign in too many times with an incorrect"
                " user ID or password.",
            )
        person = await self._site.people.proven(tenant.kind, username, password)
        if person is None:
            throttle.failed(tenant.kind, address)
            raise _invalid_grant(
                50126, "Error validating credentials due to invalid username or password."
            )
        throttle.succeeded(tenant.kind, address)
        return person

    async def _client_credentials(
        self, form: Form, client: Application, tenant: Tenant, base: str
    ) -> Response:
        if client.secret is None:
            raise clients.secret_missing()
        asked = scopes.understood(_required(form, "scope"), tenant)
        if not asked.asked_default or asked.standard:
            raise OAuthError(
                400,
                "invalid_scope",
                1002012,
                "Client credential flows must have a scope value with /.default suffixed to the"
                " resource identifier (application ID URI).",
            )
        roles = client.app_roles.get(asked.api.identifier)
        if roles is None:
            raise _invalid_grant(
                501051,
                f"Application '{client.client_id}' is not assigned to a role for the application"
                f" '{asked.api.identifier}'.",
            )
        claims = tokens.envelope(base, tenant) | tokens.for_application(client, asked.api, roles)
        return _response(tokens.sign(claims, self._site.keys.of(tenant.kind)))

    def _person(self, tenant: Tenant, grant: Grant) -> Person:
        person = self._site.people.by_oid(tenant.kind, grant.oid)
        if person is None:
            raise _invalid_grant(50034, "The user account does not exist in the directory.")
        return person

    def _tokens(
        self,
        person: Person,
        client: Application,
        asked: Scopes,
        signed_in: SignedIn,
        *,
        tenant: Tenant,
        base: str,
        nonce: str | None = None,
    ) -> Response:
        key, envelope = self._site.keys.of(tenant.kind), tokens.envelope(base, tenant)
        claims = tokens.for_person(person, client, asked.api, asked.claim(), signed_in)
        answer = _response(tokens.sign(envelope | claims, key)) | {"scope": asked.full()}
        if "openid" in asked.standard:
            told = tokens.for_application_of(person, client, signed_in, nonce)
            answer["id_token"] = tokens.sign(tokens.envelope(base, tenant) | told, key)
        return answer


def _check_bound(code: Code, redirect_uri: str, verifier: str) -> None:
    """OAuthError unless it comes from where the code went, and knows the verifier (RFC 7636)."""
    if redirect_uri != code.redirect_uri:
        raise _invalid_grant(
            500112, "The reply address does not match the one provided when the code was requested."
        )
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=")
    if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(
        challenge, code.challenge.encode()
    ):
        raise _invalid_grant(
            501481, "The Code_Verifier does not match the code_challenge of the authorization."
        )


def _invalid_grant(code: int, message: str) -> OAuthError:
    return OAuthError(400, "invalid_grant", code, message)


def _response(token: str) -> Response:
    lifetime = tokens.LIFETIME_S - 1  # as Entra: it never promises the second already begun
    return {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token,
    }


def _required(form: Form, name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise missing(name)
    return value
