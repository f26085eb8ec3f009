"""Bearer tokens of an identity provider, as a managed identity presents them."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import jwt

from localcloud.servicebus.cbs import TokenRefused

LIFESPAN_S: Final = 300
"""How long the keys of the issuer are kept before they are asked for again."""
FETCH_S: Final = 5


class BearerTokens:
    """Checks signature, issuer, audience and lifetime; what the token is good for, others judge."""

    def __init__(self, jwks_url: str, issuer: str, audience: str) -> None:
        self._issuer = issuer
        # Azure AD writes the audience with and without a slash at its end.
        self._audiences = [audience.rstrip("/"), f"{audience.rstrip('/')}/"]
        self._keys = jwt.PyJWKClient(jwks_url, lifespan=LIFESPAN_S, timeout=FETCH_S)

    async def roles(self, token: str) -> tuple[float, frozenset[str]]:
        """Until when the token is good, and which roles its identity has. Raises TokenRefused.

        Azure looks them up; here they are in the token.
        """
        claims = await self.claims(token)
        given = claims.get("roles")
        return float(claims["exp"]), frozenset(map(str, given if isinstance(given, list) else ()))

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What the token says, which is true. Raises TokenRefused."""
        try:
            key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                issuer=self._issuer,
                audience=self._audiences,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenRefused("ExpiredToken: The token is expired.") from error
        except jwt.PyJWKClientConnectionError as error:
            raise TokenRefused("InvalidToken: The keys of the issuer cannot be read.") from error
        except jwt.PyJWTError as error:
            raise TokenRefused(f"InvalidToken: {type(error).__name__}.") from error
        return claims
