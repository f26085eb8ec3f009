"""How Redis is reached: with what its address says, or as the platform's own identity."""

import base64
import json
import time
from typing import Any

from redis.asyncio.connection import SSLConnection, parse_url
from redis.credentials import CredentialProvider

from shared import trust
from shared.credentials import REDIS, Identity

LEAVE_BEFORE_S = 60.0
"""A connection is replaced so long before the token ends that it was opened with…"""
LEAVE_BEFORE_SHARE = 0.2
"""… or, of a token with little time left, before so much of that."""


def options(url: str, identity: Identity | None, **wanted: Any) -> dict[str, Any]:
    """What a pool of connections to `url` is made with: `wanted`, unless the address says it.

    A `rediss` address without a password is opened by the identity, as Azure Managed Redis wants
    it: user name is its object id, the password a token.
    https://learn.microsoft.com/azure/redis/entra-for-authentication
    """
    given: dict[str, Any] = wanted | dict(parse_url(url))
    if identity is None or given.get("connection_class") is not SSLConnection:
        return given
    if given.get("password") or given.get("username"):
        return given
    return given | {"connection_class": TokenConnection, "identity": identity}


class TokenConnection(SSLConnection):
    """A connection that ends before its token does: the server would cut it, whatever it does.

    The client's own way is to sign in again on the open connection. It does that after the
    connection was given back, when another task may have taken it already, and the two read each
    other's answers. So an old connection is replaced when it comes back instead.
    """

    def __init__(self, *, identity: Identity, **given: Any) -> None:
        self._login = _Login(identity)
        super().__init__(credential_provider=self._login, **given)
        # Reading the system's authorities takes longer than a cache may.
        self.ssl_context.context = trust.context(self.ca_certs)

    async def connect(self) -> None:
        """Called by the pool for each use: opens what is closed, and what has grown old anew."""
        if self._is_old:
            await self.disconnect()
        await super().connect()  # type: ignore[no-untyped-call]

    def should_reconnect(self) -> bool:
        """Whether the pool shall replace this connection instead of keeping it."""
        return self._is_old or bool(super().should_reconnect())  # type: ignore[no-untyped-call]

    @property
    def _is_old(self) -> bool:
        return self.is_connected and time.time() >= self._login.leave_at


class _Login(CredentialProvider):
    """One connection's user name and password."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.leave_at = 0.0

    async def get_credentials_async(self) -> tuple[str, str]:
        given = await self._identity.token(REDIS)
        left_s = given.expires_on - time.time()
        self.leave_at = given.expires_on - min(LEAVE_BEFORE_S, left_s * LEAVE_BEFORE_SHARE)
        return object_id(given.token), given.token


def object_id(token: str) -> str:
    """Whose token it is. ValueError when it does not say so."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return str(claims["oid"])
    except (IndexError, KeyError, TypeError, ValueError) as fault:
        raise ValueError("the token names no object id") from fault
