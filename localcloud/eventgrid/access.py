"""Who may publish: whoever has a key of the topic, a signature made with one, or a token.

Source: https://learn.microsoft.com/azure/event-grid/authenticate-with-access-keys-shared-access-signatures
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from localcloud.eventgrid.errors import GridError
from localcloud.servicebus.bearer import BearerTokens
from localcloud.servicebus.cbs import TokenRefused

AUDIENCE: Final = "https://eventgrid.azure.net"
ROLE: Final = "EventGrid Data Sender"
"""What an identity must be to publish.

Source: https://learn.microsoft.com/azure/event-grid/authenticate-with-microsoft-entra-id
"""
_SIGNATURE: Final = "sharedaccesssignature "
_BEARER: Final = "bearer "
_KEPT_TOKENS: Final = 256
_AMERICAN: Final = "%m/%d/%Y %I:%M:%S %p"
"""How .NET writes the expiry of a signature."""


class Access:
    """Looks at the headers of a request."""

    def __init__(self, tokens: BearerTokens | None) -> None:
        self._tokens = tokens
        self._known: dict[str, float] = {}

    async def check(
        self, headers: Mapping[str, str], topic: str, keys: Iterable[str], *, keys_open: bool
    ) -> None:
        """GridError 401 unless the request may publish to the topic."""
        key, signature = headers.get("aeg-sas-key"), headers.get("aeg-sas-token")
        authorization = headers.get("authorization", "")
        if signature is None and authorization.lower().startswith(_SIGNATURE):
            signature = authorization[len(_SIGNATURE) :]
        if key is None and signature is None:
            if authorization.lower().startswith(_BEARER):
                await self._check_token(authorization[len(_BEARER) :].strip(), topic)
                return
            raise _unauthorized(
                "The request has none of aeg-sas-key, aeg-sas-token and Authorization."
            )
        if not keys_open:
            raise _unauthorized(f"Access keys are disabled for {topic}.")
        if key is not None:
            if not _is_one_of(key, keys):
                raise _unauthorized(
                    f"The request authorization key is not authorized for {topic.upper()}."
                )
            return
        _check_signature(signature or "", topic, keys)

    async def _check_token(self, token: str, topic: str) -> None:
        if self._known.get(token, 0) > time.time():
            return
        if self._tokens is None:
            raise _unauthorized("No identity provider is set, so no token is accepted.")
        try:
            expiry, roles = await self._tokens.roles(token)
        except TokenRefused as refusal:
            raise _unauthorized(
                f"The token is not authorized for {topic.upper()}: {refusal}"
            ) from None
        if ROLE not in roles:
            raise _unauthorized(
                "The principal associated with access token presented with the incoming request"
                f" does not have permission to send data to {topic.upper()}."
            )
        if len(self._known) >= _KEPT_TOKENS:
            self._known.clear()
        self._known[token] = expiry


def _check_signature(token: str, topic: str, keys: Iterable[str]) -> None:
    """`r=<endpoint>&e=<expiry>&s=<signature of what stands before it>`, each URL-encoded."""
    signed, _, signature = token.partition("&s=")
    fields = dict(part.partition("=")[::2] for part in signed.split("&"))
    given = unquote(signature)
    expected = [_signature(key, signed) for key in keys]
    if not _is_one_of(given, expected):
        raise _unauthorized(f"The signature is not authorized for {topic.upper()}.")
    resource = urlsplit(unquote(fields.get("r", "")))
    if resource.path.rstrip("/").lower() not in {"", f"/{topic.lower()}/api/events"}:
        raise _unauthorized("The signature is for another resource.")
    if _expiry(unquote(fields.get("e", ""))) <= datetime.now(UTC):
        raise _unauthorized("The signature is expired.")


def _signature(key: str, signed: str) -> str:
    made = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
    return base64.b64encode(made).decode()


def _expiry(text: str) -> datetime:
    """ISO 8601 or the American form. GridError 401 for anything else."""
    plain = text.replace("+", " ", 1) if text.count("+") > 1 else text
    for read in (datetime.fromisoformat, lambda given: datetime.strptime(given, _AMERICAN)):  # noqa: DTZ007 - UTC is added below
        try:
            moment = read(plain)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise _unauthorized("The expiry of the signature is no time.")


def _is_one_of(given: str, accepted: Iterable[str]) -> bool:
    candidate, found = given.encode(errors="replace"), False
    for key in accepted:
        # No early end: the time must not tell which key came close.
        found |= hmac.compare_digest(candidate, key.encode())
    return found


def _unauthorized(message: str) -> GridError:
    return GridError(401, "Unauthorized", message)
