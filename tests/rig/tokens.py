"""Tenants of a directory that signs tokens for tests, and tokens as forgers make them."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from shared.auth import Authenticator, TrustedIssuer
from shared.problem import TokenInvalid


@cache
def key_of(_tid: str, _kid: str) -> rsa.RSAPrivateKey:
    """One key per tenant and name for the whole run: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Tenant:
    """An issuer with one signing key; `fetches` counts how often its key set was read."""

    def __init__(self, kind: str, tid: str, audience: str, person: UUID) -> None:
        self.kind, self.tid, self.audience, self.person = kind, tid, audience, person
        self.issuer = f"https://identity.test/{tid}/v2.0"
        self.jwks_url = f"https://identity.test/{tid}/discovery/v2.0/keys"
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.fetches = 0
        self.rotate("first")

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on, and withdraw the others."""
        self.keys = {kid: key_of(self.tid, kid)}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a good token; a change to None leaves the claim out."""
        now = int(time.time())
        scopes = {
            "client": "orders.readwrite products.read",
            "employee": "employee.access",
            "gateway": None,
        }
        good: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "tid": self.tid,
            "oid": str(self.person),
            "sub": "pairwise",
            "ver": "2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "scp": scopes[self.kind],
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, *, headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
        kid, key = next(iter(self.keys.items()))
        return jwt.encode(
            self.claims(**changes),
            key,
            algorithm="RS256",
            headers={"kid": kid} | dict(headers or {}),
        )

    def key_set(self) -> dict[str, Any]:
        def entry(kid: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
            jwk: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
            return jwk | {"kid": kid, "use": "sig"}

        return {"keys": [entry(kid, key) for kid, key in self.keys.items()]}

    def trusted(self) -> TrustedIssuer:
        kind: Any = self.kind
        return TrustedIssuer(kind, self.issuer, self.audience, self.jwks_url)


def authenticator_of(*tenants: Tenant, clock: Callable[[], float] = time.time) -> Authenticator:
    """Trusts `tenants`, whose key sets are read without a network."""
    by_url = {tenant.jwks_url: tenant for tenant in tenants}

    async def fetch(url: str) -> Mapping[str, Any]:
        by_url[url].fetches += 1
        return by_url[url].key_set()

    return Authenticator([tenant.trusted() for tenant in tenants], fetch=fetch, clock=clock)


def hs256(claims: Mapping[str, Any], secret: bytes, kid: str) -> str:
    """A token signed with `secret`; PyJWT itself refuses to take a public key for one."""
    parts = ({"alg": "HS256", "typ": "JWT", "kid": kid}, claims)
    encoded = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    ]
    digest = hmac.new(secret, ".".join(encoded).encode(), "sha256").digest()
    return ".".join([*encoded, base64.urlsafe_b64encode(digest).decode().rstrip("=")])


async def refusal_of(authenticator: Authenticator, token: str) -> str:
    with pytest.raises(TokenInvalid) as refused:
        await authenticator.authenticate(f"Bearer {token}")
    assert refused.value.status == 401
    return refused.value.detail


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def with_parts(token: str, *, header: object = None, claims: object = None) -> str:
    """The token with its header or claims replaced, under its old signature."""
    old_header, old_claims, signature = token.split(".")
    header = old_header if header is None else encoded(header)
    claims = old_claims if claims is None else encoded(claims)
    return f"{header}.{claims}.{signature}"
