"""The gateway's own tokens, by App Service's managed-identity protocol."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.upstream import Backends

_RENEWED_S = 300
"""A token is not used in the last five minutes of its life."""
_VERSION = "2019-08-01"
_FIRST_HTTP_ERROR = 400


@dataclass(frozen=True)
class _Held:
    token: str
    good_until: float


class ManagedIdentityClient:
    """Tokens for resources, each fetched once, however many requests wait for it.

    `endpoint` and `header` are App Service's IDENTITY_ENDPOINT and IDENTITY_HEADER.
    """

    def __init__(self, backends: Backends, endpoint: str, header: str) -> None:
        self._backends, self._endpoint, self._header = backends, endpoint, header
        self._held: dict[tuple[str, str | None], _Held] = {}
        self._locks: dict[tuple[str, str | None], asyncio.Lock] = {}

    async def token(self, resource: str, client_id: str | None) -> str:
        """An access token for `resource`. Raises Refusal ManagedIdentityFailure."""
        key = resource, client_id
        held = self._held.get(key)
        if held is not None and held.good_until > time.time():
            return held.token
        async with self._locks.setdefault(key, asyncio.Lock()):
            held = self._held.get(key)
            if held is None or held.good_until <= time.time():
                held = self._held[key] = await self._fetched(resource, client_id)
            return held.token

    async def _fetched(self, resource: str, client_id: str | None) -> _Held:
        asked = {"api-version": _VERSION, "resource": resource}
        if client_id:
            asked["client_id"] = client_id
        address = f"{self._endpoint}?{urlencode(asked)}"
        try:
            status, answer = await self._backends.get_json(
                address, {"X-IDENTITY-HEADER": self._header}
            )
            if status >= _FIRST_HTTP_ERROR:
                raise _failure(f"the managed identity's endpoint answered {status}")
            return _Held(answer["access_token"], float(answer["expires_on"]) - _RENEWED_S)
        except (OSError, KeyError, TypeError, ValueError) as fault:
            raise _failure(f"the managed identity has no token for {resource}") from fault


def _failure(message: str) -> Refusal:
    return Refusal(
        source="authentication-managed-identity", reason="ManagedIdentityFailure", message=message
    )
