"""The HTTP face: discovery, keys, tokens, and the demo people."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.identity import directory, tokens
from localcloud.identity.control import Control
from localcloud.identity.directory import Tenant
from localcloud.identity.errors import OAuthError
from localcloud.identity.grants import TokenEndpoint
from localcloud.identity.managed import LIFETIME_S, ManagedIdentities
from localcloud.identity.scopes import DEFAULT_SCOPE
from localcloud.identity.site import NO_STORE, Site, body_of


class Identity:
    """Both tenants on one address."""

    def __init__(self, site: Site) -> None:
        self._site, self._tokens = site, TokenEndpoint(site)

    async def discovery(self, request: Request) -> Response:
        tenant, base = _tenant(request), self._site.base(request)
        endpoints = f"{base}/{tenant.id}"
        return JSONResponse(
            {
                "issuer": tokens.issuer(base, tenant),
                "token_endpoint": f"{endpoints}/oauth2/v2.0/token",
                "jwks_uri": f"{endpoints}/discovery/v2.0/keys",
                "grant_types_supported": ["password", "client_credentials"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "client_secret_basic",
                    "none",
                ],
                "response_types_supported": [],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": [
                    f"{api.identifier}/{scope}"
                    for api in directory.APIS[tenant.kind]
                    for scope in sorted(api.scopes)
                ],
            }
        )

    async def keys(self, request: Request) -> Response:
        tenant = _tenant(request)
        issuer = tokens.issuer(self._site.base(request), tenant)
        keys = self._site.keys.published(tenant.kind)
        return JSONResponse({"keys": [key.jwk(issuer) for key in keys]})

    async def token(self, request: Request) -> Response:
        form = _form(request.headers.get("content-type", ""), await body_of(request))
        response = await self._tokens.answer(
            form,
            request.headers.get("authorization"),
            tenant=_tenant(request),
            base=self._site.base(request),
        )
        return JSONResponse(response, headers=NO_STORE)

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


def _tenant(request: Request) -> Tenant:
    wanted = request.path_params["tenant"]
    tenant = directory.TENANTS.get(wanted)
    if tenant is None:
        raise OAuthError(400, "invalid_tenant", 90002, f"Tenant '{wanted[:64]}' not found.")
    return tenant


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """The parameters of a form post, each at most once (RFC 6749 §3.2)."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise OAuthError(
            400,
            "invalid_request",
            900144,
            "The request body must be a form (application/x-www-form-urlencoded) and contain the"
            " following parameter: 'grant_type'.",
        )
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise OAuthError(400, "invalid_request", 900144, "The form is not valid UTF-8.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError(
            400, "invalid_request", 900144, "The form contains a parameter more than once."
        )
    return form


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
    state: Path, public_url: str | None, *, managed_lifetime_s: int = LIFETIME_S
) -> Starlette:
    """The application; it makes its keys in `state` if they are not there yet."""
    site = Site(state, public_url)
    identity, managed = Identity(site), ManagedIdentities(site, managed_lifetime_s)
    control = Control(site, managed)
    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/people", identity.people),
            Route("/msi/token", managed.token),
            Route("/control/tokens", control.token, methods=["POST"]),
            Route("/control/keys/rotate", control.rotate, methods=["POST"]),
            Route("/control/managed-identities", control.managed_identities, methods=["PUT"]),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", identity.discovery),
            Route("/{tenant}/discovery/v2.0/keys", identity.keys),
            Route("/{tenant}/oauth2/v2.0/token", identity.token, methods=["POST"]),
        ],
        exception_handlers={OAuthError: _refused, HTTPException: _http_error},
    )
