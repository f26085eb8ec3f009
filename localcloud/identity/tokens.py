"""Access and ID tokens with the claims that Entra's v2.0 endpoint writes."""

import base64
import hashlib
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from localcloud.identity import directory
from localcloud.identity.directory import (
    EMPLOYEES,
    Api,
    Application,
    Person,
    Tenant,
    Workload,
)
from localcloud.identity.keys import KeyRing, SigningKey

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


@dataclass(frozen=True)
class SignedIn:
    """One sign-in of a person: `sid` names it, `auth_time` is when it was, in seconds."""

    sid: str = field(default_factory=lambda: str(uuid.uuid4()))
    auth_time: int = field(default_factory=lambda: int(time.time()))


def for_person(
    person: Person, client: Application, api: Api, scope: str, signed_in: SignedIn
) -> Claims:
    """What an access token says about a person who signed in through `client`."""
    return _about(person, client, signed_in) | {
        "aud": api.audience,
        "azp": client.client_id,
        "azpacr": "0",  # a public client: it proved nothing about itself
        "scp": scope,
    }


def for_application_of(
    person: Person, client: Application, signed_in: SignedIn, nonce: str | None
) -> Claims:
    """What an ID token tells the application about the person who signed in to it."""
    claims = _about(person, client, signed_in) | {"aud": client.client_id}
    return claims if nonce is None else claims | {"nonce": nonce}


def _about(person: Person, client: Application, signed_in: SignedIn) -> Claims:
    """Who it is, what they are here, and when they signed in.

    `sid`, `auth_time`, `email` and `groups` are optional claims in Entra, to be switched on for
    each application: https://learn.microsoft.com/entra/identity-platform/optional-claims
    """
    claims: Claims = {
        "auth_time": signed_in.auth_time,
        "name": person.name,
        "oid": person.oid,
        "preferred_username": person.username,
        "sid": signed_in.sid,
        "sub": pairwise_subject(person.oid, client.client_id),
    }
    if person.tenant == "clients":
        claims["email"] = person.username
    if person.groups:
        claims["groups"] = list(person.groups)
    if person.roles:
        claims["roles"] = list(person.roles)
    return claims


def for_workload(workload: Workload, resource: str) -> Claims:
    """What a token says about a managed identity.

    `aud` is the resource as it was asked for. The roles are those of Azure: there a service looks
    them up, here the token brings them, so that no stand-in needs a directory.
    """
    claims: Claims = {
        "appid": workload.client_id,
        "aud": resource,
        "azp": workload.client_id,
        "azpacr": "2",  # it proved itself with a certificate of the platform
        "idtyp": "app",
        "oid": workload.object_id,
        "sub": workload.object_id,
        "xms_mirid": (
            f"/subscriptions/{EMPLOYEES.id}/resourcegroups/local/providers"
            f"/Microsoft.ManagedIdentity/userAssignedIdentities/{workload.name}"
        ),
    }
    if roles := workload.roles.get(directory.resource(resource) or ""):
        claims["roles"] = list(roles)
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


def read(
    token: str,
    keys: KeyRing,
    *,
    base: str,
    tenant: Tenant,
    audience: str | None = None,
    expired: bool = False,
) -> Claims:
    """The claims of a token that this tenant signed, for `audience` unless that is None.

    With `expired` it may be over its time. Raises a PyJWTError when it is not good.
    """
    kid = jwt.get_unverified_header(token).get("kid")
    for key in keys.published(tenant.kind):
        if key.kid == kid:
            claims: Claims = jwt.decode(
                token,
                key.private.public_key(),
                ["RS256"],
                {
                    "require": ["exp", "iss", "aud"],
                    "verify_aud": audience is not None,
                    "verify_exp": not expired,
                },
                audience=audience,
                issuer=issuer(base, tenant),
            )
            return claims
    raise jwt.InvalidTokenError("the token is signed by an unknown key")
