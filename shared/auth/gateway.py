"""The gateway proves itself with its managed identity and carries the person's token beside it."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from shared.auth.keys import Fetch, fetch_json
from shared.auth.tokens import TrustedIssuer, Verifier, object_id
from shared.problem import GatewayRequired, TokenExpired, TokenInvalid, TokenMissing


class Gateway:
    """Knows the gateway by its token: `identities` are the object ids of its managed identity.

    Where it is the `only` way in, nobody's own token opens anything without it.
    """

    def __init__(
        self,
        issuer: TrustedIssuer,
        identities: Collection[UUID],
        *,
        only: bool,
        fetch: Fetch = fetch_json,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not identities:
            raise ValueError("name the gateway's identities, or nothing gets in")
        self._identities, self._only = frozenset(identities), only
        self._verifier = Verifier([issuer], _identity, fetch=fetch, clock=clock)

    async def through(self, authorization: str | None, forwarded: str | None) -> str | None:
        """The header that holds the person's own token: the forwarded one, if the gateway did that.

        Raises GatewayRequired where `Authorization` is not the gateway's and would have to be.
        """
        if forwarded is None and not self._only:
            return authorization
        await self._check(authorization)
        return forwarded

    async def partner(self, authorization: str | None) -> None:
        """Nothing if a partner's request may come like this. Raises GatewayRequired."""
        if authorization is not None or self._only:
            await self._check(authorization)

    async def _check(self, authorization: str | None) -> None:
        try:
            identity = await self._verifier.bearer(authorization)
        except TokenMissing as fault:
            raise GatewayRequired("this is open through the gateway only") from fault
        except (TokenExpired, TokenInvalid) as fault:
            raise GatewayRequired("the gateway's own token is not valid") from fault
        if identity not in self._identities:
            raise GatewayRequired("the token in Authorization is not the gateway's")


def _identity(claims: Mapping[str, Any], trusted: TrustedIssuer) -> UUID:
    """Whose token it is; managed identities get tokens of version 1.0 or 2.0, so both will do."""
    if not trusted.issuer.rstrip("/").removesuffix("/v2.0").endswith(f"/{claims['tid']}"):
        raise TokenInvalid("the token's tenant is not its issuer's")
    return object_id(claims)
