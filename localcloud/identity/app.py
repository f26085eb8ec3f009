"""The HTTP face: discovery, keys, tokens, the demo people, and tokens made to order for tests."""

import ipaddress
import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.identity import directory, oauth, tokens
from localcloud.identity.directory import Tenant
from localcloud.identity.keys import KeyRing
from localcloud.identity.oauth import OAuthError

BODY_LIMIT = 32 * 1024
TEN_YEARS_S = 315_360_000

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class TokenToOrder(BaseModel):
    """A token for a test: a person's, or nobody's, with claims added, replaced or taken away."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    person: str | None = None
    tenant: Literal["clients", "employees"] | None = None
    claims: dict[str, Any] = {}
    """Laid over the usual claims; null takes a claim away."""
    expires_in: Annotated[int, Field(ge=-TEN_YEARS_S, le=TEN_YEARS_S)] = tokens.LIFETIME_S
    forged: bool = False
    """Signed by a key that no tenant publishes, under the name of the tenant's own."""
    kid: str | None = None
    """Names another key in the header."""


class Identity:
    """Both tenants on one address."""

    def __init__(self, state: Path, public_url: str | None) -> None:
        self._keys = KeyRing(state / "identity", directory.TENANTS.values())
        self._public_url = public_url.rstrip("/") if public_url else None

    def base(self, request: Request) -> str:
        """Where issuers live: as configured, or the address this process is bound to.

        Never the Host header: an issuer that changes with the name a client happens to use would
        make tokens that the product refuses.
        """
        if self._public_url is not None:
            return self._public_url
        host, port = request.scope["server"]
        return f"http://{host}:{port}"

    async def discovery(self, request: Request) -> Response:
        tenant, base = _tenant(request), self.base(request)
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
        key = self._keys.of(tenant.kind)
        return JSONResponse({"keys": [key.jwk(tokens.issuer(self.base(request), tenant))]})

    async def token(self, request: Request) -> Response:
        form = _form(request.headers.get("content-type", ""), await _body(request))
        response = oauth.answer(
            form,
            request.headers.get("authorization"),
            tenant=_tenant(request),
            base=self.base(request),
            keys=self._keys,
        )
        return JSONResponse(response, headers=NO_STORE)

    async def people(self, _request: Request) -> Response:
        """The demo people, and what to post where to become one of them."""
        return JSONResponse({"people": [_introduction(person) for person in directory.PEOPLE]})

    async def token_to_order(self, request: Request) -> Response:
        _only_from_here(request)
        try:
            order = TokenToOrder.model_validate_json(await _body(request))
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise HTTPException(400, f"{where}: {first['msg']}") from None
        person = directory.person(order.person) if order.person is not None else None
        if order.person is not None and person is None:
            raise HTTPException(404, f"no demo person is called {order.person!r}")
        kind = order.tenant or (person.tenant if person else None)
        if kind is None:
            raise HTTPException(400, "name a person or a tenant")
        tenant = directory.EMPLOYEES if kind == "employees" else directory.CLIENTS
        claims = tokens.envelope(self.base(request), tenant, expires_in=order.expires_in)
        if person is not None:
            api = directory.PORTAL_APIS[person.tenant]
            claims |= tokens.for_person(
                person, directory.PORTALS[person.tenant], api, sorted(api.scopes)
            )
        claims |= order.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        own = self._keys.of(kind)
        key = self._keys.foreign if order.forged else own
        try:
            signed = tokens.sign(claims, key, kid=order.kid or own.kid)
        except TypeError as impossible:
            raise HTTPException(400, f"claims: {impossible}") from None
        return JSONResponse(
            {"access_token": signed, "token_type": "Bearer", "expires_in": order.expires_in},
            headers=NO_STORE,
        )


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
        "scope": f"{api.identifier}/{oauth.DEFAULT_SCOPE}",
        "token_path": f"/{tenant.id}/oauth2/v2.0/token",
    }


def _tenant(request: Request) -> Tenant:
    wanted = request.path_params["tenant"]
    tenant = directory.TENANTS.get(wanted)
    if tenant is None:
        raise OAuthError(400, "invalid_tenant", 90002, f"Tenant '{wanted[:64]}' not found.")
    return tenant


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(413, f"the body may have at most {BODY_LIMIT} bytes")
    return bytes(body)


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


def _only_from_here(request: Request) -> None:
    """Tokens made to order are for tests on this machine, whatever address we listen on."""
    peer = request.client.host if request.client else ""
    if not peer or not ipaddress.ip_address(peer).is_loopback:
        raise HTTPException(403, "control answers only to this machine")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # A page in a browser cannot send this type elsewhere without asking first.
        raise HTTPException(415, "send application/json")


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


def create_app(state: Path, public_url: str | None) -> Starlette:
    """The application; it makes its keys in `state` if they are not there yet."""
    identity = Identity(state, public_url)
    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/people", identity.people),
            Route("/control/tokens", identity.token_to_order, methods=["POST"]),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", identity.discovery),
            Route("/{tenant}/discovery/v2.0/keys", identity.keys),
            Route("/{tenant}/oauth2/v2.0/token", identity.token, methods=["POST"]),
        ],
        exception_handlers={OAuthError: _refused, HTTPException: _http_error},
    )
