"""Access tokens with the claims that Entra's v2.0 endpoint writes."""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from localcloud.identity.directory import Api, Application, Person, Tenant
from localcloud.identity.keys import SigningKey

LIFETIME_S = 3600

Claims = dict[str, Any]


def issuer(base: str, tenant: Tenant) -> str:
    return f"{base}/{tenant.id}/v2.0"


def pairwise_subject(oid: str, client_id: str) -> str:
    """The `sub` of one person at one application: stable, and different at every other one."""
    digest = hashlib.sha256(f"{oid}|{client_id}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def envelope(base: str, tenant: Tenant, *, expires_in: int = LIFETIME_S) -> Claims:
    """The claims that every token carries, valid for `expires_in` seconds.

    A negative `expires_in` gives a token that was good once: it was issued a lifetime before it
    ended, that many seconds ago.
    """
    now = int(time.time())
    expires = now + expires_in
    issued = now if expires_in > 0 else expires - LIFETIME_S
    return {
        "iss": issuer(base, tenant),
        "iat": issued,
        "nbf": issued,
        "exp": expires,
        "tid": tenant.id,
        "uti": secrets.token_urlsafe(16),
        "ver": "2.0",
    }


def for_person(person: Person, client: Application, api: Api, scopes: Sequence[str]) -> Claims:
    """What a token says about a person who signed in through `client`."""
    claims: Claims = {
        "aud": api.audience,
        "azp": client.client_id,
        "azpacr": "0",  # a public client: it proved nothing about itself
        "name": person.name,
        "oid": person.oid,
        "preferred_username": person.username,
        "scp": " ".join(scopes),
        "sub": pairwise_subject(person.oid, client.client_id),
    }
    if person.roles:
        claims["roles"] = list(person.roles)
    return claims


def for_application(client: Application, api: Api, roles: Sequence[str]) -> Claims:
    """What a token says about an application acting for itself: roles, and no scope."""
    return {
        "aud": api.audience,
        "azp": client.client_id,
        "azpacr": "1",  # it proved itself with a secret
        "idtyp": "app",
        "oid": client.object_id,
        "roles": list(roles),
        "sub": client.object_id,  # Entra's rule: without a user, subject and object id are one
    }


def sign(claims: Mapping[str, Any], key: SigningKey, *, kid: str | None = None) -> str:
    """The compact JWT; `kid` names another key than the one that signed."""
    return jwt.encode(dict(claims), key.private, "RS256", {"kid": kid or key.kid})
