"""Redis as a cache that may be missing, slow or emptied at any moment: never the truth."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared import telemetry

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from shared.credentials import Identity

TIMEOUT_S = 0.05
REST_S = 1.0
"""After a failure nobody waits for Redis for this long."""
CONNECTIONS = 100

_log = telemetry.logger(__name__)


class Script:
    """A script that Redis runs; sent once, then named by its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Cache:
    """Fails open and fast: whatever happens to Redis, callers see a miss and no exception."""

    def __init__(
        self, url: str, identity: "Identity | None" = None, *, timeout_s: float | None = None
    ) -> None:
        """`timeout_s` is how long an answer may take: by default no longer than a miss costs."""
        self._url, self._identity = url, identity
        self._timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._redis: Redis | None = None
        self._rests_until = 0.0

    async def get(self, key: str) -> str | None:
        """The text under `key`; None on a miss and while Redis is away."""
        if (redis := self._connected()) is None:
            return None
        try:
            value = await redis.get(key)
        except Exception as fault:  # noqa: BLE001 - a cache may not fail its caller
            self._failed(fault)
            return None
        return None if value is None else str(value)

    async def set(self, key: str, value: str, ttl_s: float) -> None:
        """Keep `value` for `ttl_s` seconds, if Redis is there."""
        if (redis := self._connected()) is None:
            return
        try:
            await redis.set(key, value, px=max(1, int(ttl_s * 1000)))
        except Exception as fault:  # noqa: BLE001 - a cache may not fail its caller
            self._failed(fault)

    async def delete(self, *keys: str) -> None:
        """Drop `keys`, if Redis is there; what stays for lack of it stays until its time is up."""
        if not keys or (redis := self._connected()) is None:
            return
        try:
            await redis.delete(*keys)
        except Exception as fault:  # noqa: BLE001 - a cache may not fail its caller
            self._failed(fault)

    async def mark(self, key: str, ttl_s: float) -> bool:
        """Set the mark `key` for `ttl_s` seconds; whether that worked."""
        if (redis := self._connected()) is None:
            return False
        try:
            await redis.set(key, "", px=max(1, int(ttl_s * 1000)))
        except Exception as fault:  # noqa: BLE001 - a cache may not fail its caller
            self._failed(fault)
            return False
        return True

    async def marked(self, key: str) -> bool | None:
        """Whether the mark `key` is set; None while Redis is away and nobody can tell."""
        if (redis := self._connected()) is None:
            return None
        try:
            return bool(await redis.exists(key))
        except Exception as fault:  # noqa: BLE001 - a cache may not fail its caller
            self._failed(fault)
            return None

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """What the script answers, in one round trip; None while Redis is away.

        Whether it ran is not known then.
        """
        if (redis := self._connected()) is None:
            return None
        try:
            # Of very many who ask at once some wait for a connection instead of being refused.
            async with self._turns:
                return await _evaluated(redis, script, keys, arguments)
        except Exception as fault:  # noqa: BLE001 - a cache may not fail its caller
            self._failed(fault)
            return None

    async def close(self) -> None:
        """Let go of the connections; the next use opens new ones."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    def _connected(self) -> "Redis | None":
        if time.monotonic() < self._rests_until:
            return None
        if self._redis is None:
            from redis.asyncio import (  # noqa: PLC0415 - heavy; paid for by who uses it
                ConnectionPool,
                Redis,
            )
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415

            from shared import redis_address  # noqa: PLC0415

            pool = ConnectionPool(
                **redis_address.options(
                    self._url,
                    self._identity,
                    socket_timeout=self._timeout_s,
                    socket_connect_timeout=self._timeout_s,
                    retry=Retry(NoBackoff(), 0),
                    max_connections=CONNECTIONS,
                    decode_responses=True,
                )
            )
            self._redis = Redis.from_pool(pool)
        return self._redis

    def _failed(self, fault: Exception) -> None:
        self._rests_until = time.monotonic() + REST_S
        _log.warning("cache unavailable: %s", type(fault).__qualname__)


async def _evaluated(
    redis: "Redis", script: Script, keys: Sequence[str], arguments: Sequence[str | int]
) -> Any:
    from redis.exceptions import NoScriptError  # noqa: PLC0415 - heavy; paid for by who uses it

    try:
        return await redis.evalsha(script.digest, len(keys), *keys, *arguments)
    except NoScriptError:
        return await redis.eval(script.text, len(keys), *keys, *arguments)
