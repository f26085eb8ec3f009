"""What tests may ask for: tokens to order, other lifetimes, new keys."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localcloud.identity import directory, tokens
from localcloud.identity.directory import Kind
from localcloud.identity.managed import ManagedIdentities
from localcloud.identity.site import NO_STORE, Site, body_of, only_from_here

TEN_YEARS_S = 315_360_000


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenToOrder(_Order):
    """A token for a test, with claims added, replaced or taken away.

    It is a person's, or a workload's for a resource, or nobody's.
    """

    person: str | None = None
    workload: str | None = None
    resource: str = directory.PLATFORM_API
    tenant: Literal["clients", "employees"] | None = None
    claims: dict[str, Any] = {}
    """Laid over the usual claims; null takes a claim away."""
    expires_in: Annotated[int, Field(ge=-TEN_YEARS_S, le=TEN_YEARS_S)] = tokens.LIFETIME_S
    forged: bool = False
    """Signed by a key that no tenant publishes, under the name of the tenant's own."""
    kid: str | None = None
    """Names another key in the header."""


class Lifetime(_Order):
    """How long the tokens of managed identities live from now on."""

    lifetime_s: Annotated[int, Field(ge=1, le=TEN_YEARS_S)]


class Rotation(_Order):
    """New signing keys, of one tenant or of both."""

    tenant: Literal["clients", "employees"] | None = None
    sign_after_s: Annotated[float, Field(ge=0, le=TEN_YEARS_S)] = 0
    retire_after_s: Annotated[float, Field(ge=0, le=TEN_YEARS_S)] = tokens.LIFETIME_S


class NewSecrets(_Order):
    """The secrets with which an application proves itself from now on."""

    client_id: str
    secrets: Annotated[
        list[Annotated[str, Field(min_length=8, max_length=200)]], Field(min_length=1, max_length=2)
    ]


class Control:
    """The endpoints below /control: for this machine only, and never for a page in a browser."""

    def __init__(self, site: Site, managed: ManagedIdentities) -> None:
        self._site, self._managed = site, managed

    async def token(self, request: Request) -> Response:
        """A token to order, signed by the tenant's key unless it is to be forged."""
        order = await _ordered(request, TokenToOrder)
        kind, named = _named(order)
        tenant = directory.EMPLOYEES if kind == "employees" else directory.CLIENTS
        claims = tokens.envelope(self._site.base(request), tenant, expires_in=order.expires_in)
        claims |= _signed_in_at(claims["iat"], named) | order.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        own = self._site.keys.of(kind)
        key = self._site.keys.foreign if order.forged else own
        try:
            signed = tokens.sign(claims, key, kid=order.kid or own.kid)
        except TypeError as impossible:
            raise HTTPException(400, f"claims: {impossible}") from None
        return JSONResponse(
            {"access_token": signed, "token_type": "Bearer", "expires_in": order.expires_in},
            headers=NO_STORE,
        )

    async def managed_identities(self, request: Request) -> Response:
        """Change how long new tokens of managed identities live."""
        self._managed.lifetime_s = (await _ordered(request, Lifetime)).lifetime_s
        return JSONResponse({"lifetime_s": self._managed.lifetime_s})

    async def client_secrets(self, request: Request) -> Response:
        """Replace the secrets of an application that has one."""
        order = await _ordered(request, NewSecrets)
        client = directory.application("employees", order.client_id)
        if client is None or client.secret is None:
            raise HTTPException(404, f"no application with a secret is {order.client_id[:64]!r}")
        self._site.client_secrets.replace(client, order.secrets)
        return Response(status_code=204)

    async def rotate(self, request: Request) -> Response:
        """Let new keys sign, and the old ones go after a while."""
        order = await _ordered(request, Rotation)
        kinds: tuple[Kind, ...] = (order.tenant,) if order.tenant else ("employees", "clients")
        keys = self._site.keys
        for kind in kinds:
            keys.rotate(kind, sign_after_s=order.sign_after_s, retire_after_s=order.retire_after_s)
        return JSONResponse(
            {
                "keys": [
                    {
                        "tenant": kind,
                        "kid": keys.published(kind)[0].kid,
                        "retired": [
                            {"kid": key.kid, "until": key.published_until}
                            for key in keys.published(kind)[1:]
                        ],
                    }
                    for kind in kinds
                ]
            }
        )


async def _ordered[Model: BaseModel](request: Request, model: type[Model]) -> Model:
    only_from_here(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # A page in a browser cannot send this type elsewhere without asking first.
        raise HTTPException(415, "send application/json")
    try:
        return model.model_validate_json(await body_of(request))
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise HTTPException(400, f"{where}: {first['msg']}") from None


def _named(order: TokenToOrder) -> tuple[Kind, tokens.Claims]:
    """The tenant that is to sign, and what it says about whom the order names."""
    if order.workload is not None:
        workload = directory.WORKLOADS.get(order.workload)
        if workload is None:
            raise HTTPException(404, f"no workload is called {order.workload!r}")
        return order.tenant or "employees", tokens.for_workload(workload, order.resource)
    if order.person is not None:
        person = directory.person(order.person)
        if person is None:
            raise HTTPException(404, f"no demo person is called {order.person!r}")
        api = directory.PORTAL_APIS[person.tenant]
        portal = directory.PORTALS[person.tenant]
        return order.tenant or person.tenant, tokens.for_person(
            person, portal, api, " ".join(sorted(api.scopes)), tokens.SignedIn()
        )
    if order.tenant is None:
        raise HTTPException(400, "name a person, a workload or a tenant")
    return order.tenant, {}


def _signed_in_at(issued: int, named: tokens.Claims) -> tokens.Claims:
    """The same claims, of somebody who signed in when the token was issued."""
    return named | {"auth_time": issued} if "auth_time" in named else named
