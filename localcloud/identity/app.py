"""The HTTP face: discovery, keys, tokens, who somebody is, and the demo people."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import jwt
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from localcloud.identity import directory, tokens
from localcloud.identity.authorizing import PROMPTS
from localcloud.identity.control import Control
from localcloud.identity.directory import GRAPH
from localcloud.identity.errors import OAuthError
from localcloud.identity.grants import TokenEndpoint
from localcloud.identity.managed import LIFETIME_S, ManagedIdentities
from localcloud.identity.redirects import Redirects
from localcloud.identity.requests import form_of, tenant_of
from localcloud.identity.scopes import DEFAULT_SCOPE, STANDARD
from localcloud.identity.signing_in import SignIn
from localcloud.identity.signing_out import SignOut
from localcloud.identity.site import NO_STORE, Site
from localcloud.identity.web import Cors

STATIC = Path(__file__).parent / "static"


class Identity:
    """What programs ask both tenants for."""

    def __init__(self, site: Site) -> None:
        self._site, self._tokens = site, TokenEndpoint(site)

    async def discovery(self, request: Request) -> Response:
        tenant, base = tenant_of(request), self._site.base(request)
        endpoints = f"{base}/{tenant.id}"
        scopes = [
            f"{api.identifier}/{scope}"
            for api in directory.APIS[tenant.kind]
            for scope in sorted(api.scopes)
        ]
        return JSONResponse(
            {
                "issuer": tokens.issuer(base, tenant),
                "authorization_endpoint": f"{endpoints}/oauth2/v2.0/authorize",
                "token_endpoint": f"{endpoints}/oauth2/v2.0/token",
                "userinfo_endpoint": f"{endpoints}/openid/userinfo",
                "end_session_endpoint": f"{endpoints}/oauth2/v2.0/logout",
                "jwks_uri": f"{endpoints}/discovery/v2.0/keys",
                "grant_types_supported": [
                    *("authorization_code", "refresh_token", "password", "client_credentials")
                ],
                "token_endpoint_auth_methods_supported": [
                    *("client_secret_post", "client_secret_basic", "private_key_jwt", "none")
                ],
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "fragment"],
                "code_challenge_methods_supported": ["S256"],
                "prompt_values_supported": list(PROMPTS),
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": [*sorted(STANDARD), *scopes],
                "claims_supported": [
                    *("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "oid"),
                    *("tid", "ver", "name", "preferred_username", "email", "roles", "groups"),
                ],
            }
        )

    async def keys(self, request: Request) -> Response:
        tenant = tenant_of(request)
        issuer = tokens.issuer(self._site.base(request), tenant)
        keys = self._site.keys.published(tenant.kind)
        return JSONResponse({"keys": [key.jwk(issuer) for key in keys]})

    async def token(self, request: Request) -> Response:
        response = await self._tokens.answer(
            await form_of(request),
            request.headers.get("authorization"),
            tenant=tenant_of(request),
            base=self._site.base(request),
        )
        return JSONResponse(response, headers=NO_STORE)

    async def userinfo(self, request: Request) -> Response:
        """Who the bearer of a token for Microsoft Graph is (OpenID Connect Core §5.3)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            claims = tokens.read(
                token.strip() if scheme.lower() == "bearer" else "",
                self._site.keys,
                base=self._site.base(request),
                tenant=tenant_of(request),
                audience=GRAPH.audience,
            )
        except jwt.PyJWTError:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return JSONResponse(
                {"error": {"code": "InvalidAuthenticationToken"}}, 401, NO_STORE | challenge
            )
        told = {name: claims[name] for name in ("sub", "name", "email") if name in claims}
        return JSONResponse(told, headers=NO_STORE)

    async def people(self, _request: Request) -> Response:
        """The demo people, and what to post where to become one of them."""
        return JSONResponse({"people": [_introduction(person) for person in directory.PEOPLE]})


def _introduction(person: directory.Person) -> dict[str, Any]:
    portal, api = directory.PORTALS[person.tenant], directory.PORTAL_APIS[person.tenant]
    tenant = directory.EMPLOYEES if person.tenant == "employees" else directory.CLIENTS
    return {
        "person": person.key,
        "name": person.name,
        "username": person.username,
        "password": directory.DEMO_PASSWORD,
        "oid": person.oid,
        "tenant": person.tenant,
        "roles": list(person.roles),
        "client_id": portal.client_id,
        "scope": f"{api.identifier}/{DEFAULT_SCOPE}",
        "token_path": f"/{tenant.id}/oauth2/v2.0/token",
    }


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)
    headers = dict(NO_STORE)
    if error.status == 401:  # noqa: PLR2004 - HTTP's own number
        headers["WWW-Authenticate"] = 'Basic realm="token endpoint"'
    return JSONResponse(error.body(), error.status, headers)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    content = json.dumps({"error": {"code": f"http_{error.status_code}", "message": error.detail}})
    return Response(
        content, error.status_code, dict(error.headers or {}), media_type="application/json"
    )


def create_app(
    state: Path,
    public_url: str | None,
    *,
    managed_lifetime_s: int = LIFETIME_S,
    redirect_uris: Iterable[str] = (),
) -> Starlette:
    """The application; it makes its keys in `state` if they are not there yet.

    Raises BadRedirectUri for one of the `redirect_uris` that makes no sense.
    """
    redirects = Redirects(redirect_uris)
    site = Site(state, public_url)
    identity, managed = Identity(site), ManagedIdentities(site, managed_lifetime_s)
    control, sign_in, sign_out = (
        Control(site, managed),
        SignIn(site, redirects),
        SignOut(site, redirects),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        site.close()

    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/people", identity.people),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/msi/token", managed.token),
            Route("/control/tokens", control.token, methods=["POST"]),
            Route("/control/keys/rotate", control.rotate, methods=["POST"]),
            Route("/control/client-secrets", control.client_secrets, methods=["PUT"]),
            Route("/control/managed-identities", control.managed_identities, methods=["PUT"]),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", identity.discovery),
            Route("/{tenant}/discovery/v2.0/keys", identity.keys),
            Route("/{tenant}/oauth2/v2.0/token", identity.token, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/authorize", sign_in.get, methods=["GET"]),
            Route("/{tenant}/oauth2/v2.0/authorize", sign_in.post, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/logout", sign_out.get, methods=["GET"]),
            Route("/{tenant}/oauth2/v2.0/logout", sign_out.post, methods=["POST"]),
            Route("/{tenant}/openid/userinfo", identity.userinfo, methods=["GET", "POST"]),
        ],
        middleware=[Middleware(Cors, redirects=redirects)],
        exception_handlers={OAuthError: _refused, HTTPException: _http_error},
        lifespan=lifespan,
    )
