"""Who may move money: bearer tokens, checked against the identity provider's published keys."""

import time
from dataclasses import dataclass
from typing import Any

import httpx
import jwt

from localcloud.partners.web import Refused

AUDIENCE = "api://payment-gateway"
ROLE = "payments.process"
TENANT = "11111111-1111-4111-8111-111111111111"
"""The employees' directory, where the merchant's application is registered."""

REFRESH_EVERY_S = 5.0
REMEMBERED_TOKENS = 256
CLOCK_SKEW_S = 30


@dataclass(frozen=True)
class _Issuer:
    name: str
    keys: dict[str, Any]
    fetched_at: float


class Tokens:
    """Verifies access tokens; keys come over HTTP once, and again when an unknown one appears."""

    def __init__(self, identity_url: str) -> None:
        self._discovery = (
            f"{identity_url.rstrip('/')}/{TENANT}/v2.0/.well-known/openid-configuration"
        )
        self._issuer: _Issuer | None = None
        # A client sends one token for an hour: checking the signature once is enough.
        self._good_until: dict[str, float] = {}

    async def check(self, authorization: str | None) -> None:
        """Pass for a valid token with the role.

        Raises Refused: 401 for no token or a bad one, 403 without the role, 503 while the
        identity provider cannot be asked.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(
                401,
                "token_missing",
                "send Authorization: Bearer <access token>",
                headers={"WWW-Authenticate": 'Bearer realm="payment-gateway"'},
            )
        if self._good_until.get(token, 0.0) > time.time():
            return
        try:
            claims = await self._verified(token)
        except jwt.InvalidTokenError as invalid:
            raise Refused(
                401,
                "token_invalid",
                str(invalid) or "the token is not valid",
                headers={
                    "WWW-Authenticate": 'Bearer realm="payment-gateway", error="invalid_token"'
                },
            ) from None
        if ROLE not in claims.get("roles", []):
            raise Refused(
                403,
                "role_missing",
                f"the token lacks the role {ROLE}",
                headers={
                    "WWW-Authenticate": (
                        'Bearer realm="payment-gateway", error="insufficient_scope"'
                    )
                },
            )
        if len(self._good_until) >= REMEMBERED_TOKENS:
            self._good_until.clear()
        self._good_until[token] = float(claims["exp"])

    async def _verified(self, token: str) -> dict[str, Any]:
        kid = jwt.get_unverified_header(token).get("kid")
        issuer = self._issuer
        if issuer is None or (
            kid not in issuer.keys and time.monotonic() - issuer.fetched_at > REFRESH_EVERY_S
        ):
            issuer = self._issuer = await self._fetch()
        key = issuer.keys.get(str(kid))
        if key is None:
            raise jwt.InvalidTokenError("the token is signed by an unknown key")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            ["RS256"],
            {"require": ["exp", "nbf", "iss", "aud"]},
            audience=AUDIENCE,
            issuer=issuer.name,
            leeway=CLOCK_SKEW_S,
        )
        return claims

    async def _fetch(self) -> _Issuer:
        try:
            async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
                found = (await http.get(self._discovery)).raise_for_status().json()
                answer = (await http.get(found["jwks_uri"])).raise_for_status().json()
            keys = jwt.PyJWKSet.from_dict(answer).keys
        except (httpx.HTTPError, ValueError, KeyError, jwt.PyJWTError) as failure:
            raise Refused(
                503,
                "identity_unavailable",
                f"cannot read the identity provider's keys: {failure!r}",
                headers={"Retry-After": "1"},
            ) from failure
        return _Issuer(
            found["issuer"], {str(key.key_id): key.key for key in keys}, time.monotonic()
        )
