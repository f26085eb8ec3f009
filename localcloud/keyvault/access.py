"""Who may do what: tokens of the directory, and the Azure roles in them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import jwt

from localcloud.identity import directory
from localcloud.keyvault.errors import VaultError, forbidden

AZURE: Final = "https://vault.azure.net"
READ: Final = frozenset({"getSecret", "readMetadata"})
WRITE: Final = frozenset({"setSecret", "update", "delete", "recover", "purge", "backup", "restore"})
ROLES: Final[Mapping[str, frozenset[str]]] = {
    "Key Vault Secrets User": READ,
    "Key Vault Secrets Officer": READ | WRITE,
    "Key Vault Administrator": READ | WRITE,
}
"""https://learn.microsoft.com/azure/key-vault/general/rbac-guide"""
KEYS_LIFESPAN_S: Final = 300
KEYS_TIMEOUT_S: Final = 5


class Challenged(VaultError):
    """The request has no good token: 401 with the challenge that says where to get one."""

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(401, "Unauthorized", message)
        self.challenge = challenge


@dataclass(frozen=True)
class Caller:
    """Who calls: an object of the directory, and what its roles let it do."""

    oid: str
    actions: frozenset[str]

    def must(self, action: str) -> None:
        """VaultError 403 when the caller may not do it."""
        if action not in self.actions:
            raise forbidden(action, self.oid)


def resource_of(authority: str) -> str:
    """What a token for the vault at `authority` is asked for: the domain that the vault is in.

    Azure's `shop.vault.azure.net` gives https://vault.azure.net. The SDKs refuse a resource that
    is not a parent of the address they call (https://aka.ms/azsdk/blog/vault-uri), so a vault at
    127.0.0.1:7083 must name https://0.0.1:7083; a name without a dot gives Azure's.
    """
    parent = authority.partition(".")[2]
    return f"https://{parent}" if parent else AZURE


class Access:
    """Checks the tokens that the directory at `identity` gives in the employees' tenant."""

    def __init__(self, identity: str) -> None:
        self._tenant = f"{identity.rstrip('/')}/{directory.EMPLOYEES.id}"
        self._keys = jwt.PyJWKClient(
            f"{self._tenant}/discovery/v2.0/keys", lifespan=KEYS_LIFESPAN_S, timeout=KEYS_TIMEOUT_S
        )

    async def caller(self, authorization: str | None, authority: str) -> Caller:
        """Who sends this Authorization header to the vault at `authority`. Raises Challenged."""
        resource = resource_of(authority)
        challenge = f'Bearer authorization="{self._tenant}", resource="{resource}"'
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Challenged("AKV10000: Request is missing a Bearer or PoP token.", challenge)
        try:
            key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token.strip())
            claims = jwt.decode(
                token.strip(),
                key,
                algorithms=["RS256"],
                issuer=f"{self._tenant}/v2.0",
                audience=[resource, f"{resource}/", AZURE, f"{AZURE}/"],
                options={"require": ["exp", "iss", "aud", "oid"]},
            )
        except jwt.PyJWKClientConnectionError as fault:
            raise VaultError(503, "ServiceUnavailable", "The directory does not answer.") from fault
        except jwt.PyJWTError as refusal:
            message = _reason(refusal, resource)
            raise Challenged(message, f'{challenge}, error="invalid_token"') from refusal
        roles = claims.get("roles", [])
        granted = (ROLES.get(role, frozenset()) for role in roles if isinstance(role, str))
        return Caller(str(claims["oid"]), frozenset().union(*granted))


def _reason(refusal: jwt.PyJWTError, resource: str) -> str:
    """Key Vault's sentence. Nothing of the token is repeated."""
    if isinstance(refusal, jwt.InvalidAudienceError):
        return f"AKV10022: Invalid audience. Expected {resource}."
    if isinstance(refusal, jwt.InvalidIssuerError):
        return "AKV10032: Invalid issuer."
    return f"Error validating token: {type(refusal).__name__}."
