"""The public keys of one issuer: fetched when needed, cached, never fetched in a stampede."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from shared import telemetry
from shared.problem import ServiceUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

type Fetch = Callable[[str], Awaitable[Mapping[str, Any]]]
"""Gets the JSON object at a URL; raises when it cannot."""

REFRESH_AT_MOST_EVERY_S = 30.0
RETRY_FIRST_FETCH_AFTER_S = 1.0
REFRESH_AFTER_S = 3600.0
MINIMUM_KEY_BITS = 2048
FETCH_TIMEOUT_S = 5.0

_log = telemetry.logger(__name__)


async def fetch_json(url: str) -> Mapping[str, Any]:
    """The JSON object at `url`. Raises httpx.HTTPError or ValueError when there is none."""
    import httpx  # noqa: PLC0415 - heavy; only a process that verifies tokens pays for it

    async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_S) as client:
        answer = await client.get(url)
        answer.raise_for_status()
        document = answer.json()
    if not isinstance(document, dict):
        raise TypeError("a key set is a JSON object (RFC 7517 §5)")
    return document


class KeySet:
    """Signing keys of the issuer whose JWKS stands at `url`."""

    def __init__(
        self, url: str, *, fetch: Fetch = fetch_json, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._fetch, self._clock = url, fetch, clock
        self._keys: dict[str, RSAPublicKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._in_flight: asyncio.Task[None] | None = None

    def holds(self, kid: str) -> bool:
        """Whether the key is (still) among those last fetched."""
        return kid in self._keys

    async def key(self, kid: str) -> "RSAPublicKey | None":
        """The key named `kid`; None when the issuer has no such key.

        Fetches the set on first use, hourly, and for an unknown `kid`, but not more often than
        every 30 seconds, whatever callers send. Raises ServiceUnavailable while the set could
        never be fetched.
        """
        stale = self._fetched_at is None or self._clock() - self._fetched_at > REFRESH_AFTER_S
        if (stale or kid not in self._keys) and (self._in_flight or self._may_fetch()):
            await self._refresh()
        if self._fetched_at is None:
            raise ServiceUnavailable("the signing keys of the identity provider cannot be read")
        return self._keys.get(kid)

    def _may_fetch(self) -> bool:
        if self._tried_at is None:
            return True
        pause = RETRY_FIRST_FETCH_AFTER_S if self._fetched_at is None else REFRESH_AT_MOST_EVERY_S
        return self._clock() - self._tried_at >= pause

    async def _refresh(self) -> None:
        """One fetch at a time; whoever comes meanwhile waits for the same."""
        if self._in_flight is None:
            self._tried_at = self._clock()
            self._in_flight = asyncio.create_task(self._fetch_once())
            self._in_flight.add_done_callback(self._landed)
        # A caller that goes away must not take the fetch away from the others.
        await asyncio.shield(self._in_flight)

    def _landed(self, _task: asyncio.Task[None]) -> None:
        self._in_flight = None

    async def _fetch_once(self) -> None:
        try:
            document = await self._fetch(self._url)
            keys = _rsa_signing_keys(document)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the keys at hand stay in use
            _log.warning("signing keys could not be fetched: %s", telemetry.describe(fault))
            return
        self._keys, self._fetched_at = keys, self._clock()


def _rsa_signing_keys(document: Mapping[str, Any]) -> "dict[str, RSAPublicKey]":
    """RSA signature keys by `kid`; keys of other kinds, and weak ones, are left out."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415 - heavy
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415 - heavy

    keys = {}
    for jwk in document["keys"]:
        if jwk.get("kty") != "RSA" or jwk.get("use", "sig") != "sig" or "kid" not in jwk:
            continue
        public = {name: jwk[name] for name in ("kty", "n", "e")}
        key = RSAAlgorithm.from_jwk(public)
        if isinstance(key, RSAPublicKey) and key.key_size >= MINIMUM_KEY_BITS:
            keys[str(jwk["kid"])] = key
    return keys
