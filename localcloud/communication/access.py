"""Who may send: whoever signs with the access key, or shows a token for Communication Services.

Source: https://learn.microsoft.com/rest/api/communication/authentication
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from starlette.requests import Request

from localcloud.partners.web import Refused
from localcloud.servicebus.bearer import BearerTokens
from localcloud.servicebus.cbs import TokenRefused

AUDIENCE: Final = "https://communication.azure.com"
ROLES: Final = frozenset({"Communication and Email Service Owner", "Contributor", "Owner"})
"""What an identity must be, one of these, to send."""
SKEW: Final = timedelta(minutes=5)
"""How far the date of a signed request may be from now, either way."""

_SCHEME: Final = "HMAC-SHA256 "
_SIGNED: Final = "x-ms-date;host;x-ms-content-sha256"


class BadKey(ValueError):
    """An access key that is not base64."""


def _denied(message: str = "Denied by the resource provider.") -> Refused:
    return Refused(401, "Denied", message, headers={"WWW-Authenticate": "HMAC-SHA256, Bearer"})


class Access:
    """Knows the access keys and, if there is one, the identity provider."""

    def __init__(
        self,
        keys: list[str],
        tokens: BearerTokens | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises BadKey for a key that is not base64."""
        try:
            self._keys = [base64.b64decode(key, validate=True) for key in keys]
        except binascii.Error:
            raise BadKey("an access key is base64") from None
        self._tokens, self._clock = tokens, clock

    async def check(self, request: Request, body: bytes) -> None:
        """Refused with 401 unless the request is signed well or bears a good token."""
        presented = request.headers.get("authorization", "")
        if presented.startswith(_SCHEME):
            self._check_signature(request, body, presented.removeprefix(_SCHEME))
        elif presented[:7].lower() == "bearer ":
            await self._check_token(presented[7:].strip())
        else:
            raise _denied("The request has neither a signature nor a token.")

    def _check_signature(self, request: Request, body: bytes, presented: str) -> None:
        headers = request.headers
        date = headers.get("x-ms-date", "")
        parts = dict(part.partition("=")[::2] for part in presented.split("&"))
        if parts.get("SignedHeaders", "").lower() != _SIGNED:
            raise _denied()
        content_hash = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if not _same(headers.get("x-ms-content-sha256", ""), content_hash):
            raise _denied("The body is not what x-ms-content-sha256 says.")
        target = request.scope["raw_path"].decode("latin-1")
        if query := request.scope["query_string"].decode("latin-1"):
            target += f"?{query}"
        signed = f"{request.method}\n{target}\n{date};{headers.get('host', '')};{content_hash}"
        signature = parts.get("Signature", "")
        if not any(_same(signature, _sign(key, signed)) for key in self._keys):
            raise _denied()
        self._check_date(date)

    def _check_date(self, date: str) -> None:
        try:
            at = parsedate_to_datetime(date)
        except ValueError:
            raise _denied("x-ms-date is no date.") from None
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        if abs(self._clock() - at) > SKEW:
            raise _denied("The date of the request is too far from the time of the service.")

    async def _check_token(self, token: str) -> None:
        if self._tokens is None:
            raise _denied("No identity provider is set.")
        try:
            _, roles = await self._tokens.roles(token)
        except TokenRefused as why:
            raise _denied(str(why)) from None
        if ROLES.isdisjoint(roles):
            raise Refused(403, "Forbidden", "The identity has no role in this resource.")


def _sign(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()


def _same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode(), expected.encode())
