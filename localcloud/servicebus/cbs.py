"""Claims-based security: which entities a connection may use, and until when."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final, Literal, Protocol
from urllib.parse import unquote, unquote_plus

from localcloud.servicebus.broker import entity_path
from localcloud.servicebus.decoding import Value

type Right = Literal["Send", "Listen", "Manage"]

ADDRESS: Final = "$cbs"
ROLES: Final[Mapping[str, frozenset[Right]]] = {
    "Azure Service Bus Data Owner": frozenset({"Send", "Listen", "Manage"}),
    "Azure Service Bus Data Sender": frozenset({"Send"}),
    "Azure Service Bus Data Receiver": frozenset({"Listen"}),
}
"""What identities may do.

Source: https://learn.microsoft.com/azure/service-bus-messaging/authenticate-application
"""
EVERYTHING: Final[frozenset[Right]] = ROLES["Azure Service Bus Data Owner"]
_PREFIX: Final = "SharedAccessSignature "


class TokenRefused(Exception):
    """The token proves nothing; the text says why and repeats no part of the token."""


class Bearers(Protocol):
    """Checks the tokens of an identity provider."""

    async def roles(self, token: str) -> tuple[float, frozenset[str]]:
        """Until when the token is good, in seconds since 1970, and its identity's roles.

        Raises TokenRefused.
        """


class TokenGate:
    """The tokens that one connection presented."""

    def __init__(self, keys: Mapping[str, str], bearers: Bearers | None = None) -> None:
        self._keys = keys
        self._bearers = bearers
        self._expiries: dict[str, tuple[float, frozenset[Right]]] = {}
        self._trusted = False

    def trust(self, key_name: str, key: str) -> bool:
        """Whether this is a key itself (SASL PLAIN), which opens everything."""
        known = self._keys.get(key_name)
        self._trusted = known is not None and hmac.compare_digest(known.encode(), key.encode())
        return self._trusted

    def knows(self, token: Value) -> bool:
        """Whether this is a token of the identity provider, to be given to `put_bearer`."""
        return self._bearers is not None and isinstance(token, str) and not _is_signature(token)

    async def put_bearer(self, name: Value, token: str) -> None:
        """Accept a token of the identity provider for the entity `name`. Raises TokenRefused."""
        assert self._bearers is not None
        expiry, roles = await self._bearers.roles(token)
        path = entity_path(name if isinstance(name, str) else "")
        rights = frozenset(right for role in roles for right in ROLES.get(role, ()))
        self._expiries[path] = expiry, rights

    def put(self, name: Value, token: Value) -> None:
        """Accept a shared access signature for the entity `name`. Raises TokenRefused."""
        if not isinstance(name, str) or not isinstance(token, str):
            raise TokenRefused("MalformedToken: A token and the name of an entity are required.")
        if not _is_signature(token):
            raise TokenRefused("InvalidToken: Only shared access signatures are known here.")
        fields = dict(part.partition("=")[::2] for part in token.removeprefix(_PREFIX).split("&"))
        scope, expiry = fields.get("sr", ""), fields.get("se", "")
        key = self._keys.get(unquote_plus(fields.get("skn", "")))
        if key is None or not _signed(fields.get("sig", ""), f"{scope}\n{expiry}", key):
            raise TokenRefused("InvalidSignature: The token has an invalid signature.")
        if not expiry.isdecimal() or int(expiry) <= time.time():
            raise TokenRefused("ExpiredToken: The token is expired.")
        path = entity_path(name)
        if not _covers(entity_path(unquote_plus(scope)), path):
            raise TokenRefused("InvalidAudience: The token was signed for another entity.")
        self._expiries[path] = float(expiry), EVERYTHING

    def allows(self, path: str, right: Right | None = None) -> bool:
        """Whether an unexpired token covers the entity path, and gives that right to it."""
        now = time.time()
        return self._trusted or any(
            expiry > now and _covers(scope, path) and (right is None or right in rights)
            for scope, (expiry, rights) in self._expiries.items()
        )

    def next_expiry_s(self) -> float | None:
        """Seconds until the next token expires, None when none will."""
        now = time.time()
        return min((at - now for at, _ in self._expiries.values() if at > now), default=None)


def _is_signature(token: str) -> bool:
    return token.startswith(_PREFIX)


def _covers(scope: str, path: str) -> bool:
    return scope in ("", path) or path.startswith(f"{scope}/")


def _signed(signature: str, text: str, key: str) -> bool:
    expected = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    try:
        # Not unquote_plus: an unescaped plus sign is a digit of Base64, not a space.
        given = base64.b64decode(unquote(signature), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(expected, given)
