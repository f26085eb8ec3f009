"""Reads the live feed for this replica: nothing left out without the clients being told."""

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from notifier.entries import Entry, place
from notifier.metrics import Metrics
from notifier.registry import Registry
from shared import redis_address, telemetry
from shared.credentials import Identity
from shared.live import FEED, FEED_KEPT_S, LiveMessage

BLOCK_S = 1.0
READ_AT_ONCE = 500
ANSWER_WITHIN_S = 4.0
RETRY_S = (0.1, 0.5)

START = "0-0"
"""Where a feed stands that has no entry yet."""

_log = telemetry.logger(__name__)


class Backplane:
    """The reader. Every entry names the one before it, so that a gap is seen whatever made it.

    After an outage clients are told to fetch in any case: whoever published meanwhile could not.
    """

    def __init__(
        self,
        redis_url: str,
        registry: Registry,
        metrics: Metrics,
        identity: Identity | None = None,
    ) -> None:
        pool = ConnectionPool(
            **redis_address.options(
                redis_url,
                identity,
                decode_responses=True,
                protocol=2,  # the shape of XREAD's answer depends on it
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=ANSWER_WITHIN_S,
                socket_timeout=BLOCK_S + ANSWER_WITHIN_S,
            )
        )
        self._redis = Redis.from_pool(pool)
        self._registry, self._metrics = registry, metrics
        self._position: str | None = None
        self._outage = False
        self.connected = False

    async def run(self) -> None:
        """Read for ever."""
        while True:
            try:
                await self._read()
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is tried again
                self._lost(fault)
                await asyncio.sleep(random.uniform(*RETRY_S))  # noqa: S311 - spreads load

    async def close(self) -> None:
        """Let go of the connection."""
        await self._redis.aclose()

    async def _read(self) -> None:
        if self._position is None:
            self._move(await self._tail() or START)
        position = str(self._position)
        # While nobody has heard from Redis, an answer is wanted at once.
        block_ms = int(BLOCK_S * 1000) if self.connected else 1
        answer: Any = await self._redis.xread({FEED: position}, READ_AT_ONCE, block_ms)
        entries = answer[0][1] if answer else []
        lost = not entries and await self._is_lost()
        told = self._back()
        if lost and not told:
            self._registry.resync("flush")
        for entry_id, fields in entries:
            self._take(entry_id, fields, told=told)
            told = False
            await asyncio.sleep(0)  # those who write to clients take turns with the reader

    def _take(self, entry_id: str, fields: Mapping[str, str], *, told: bool) -> None:
        """`told`: the clients have just been told to fetch, whatever this shows."""
        gap = not self._follows(entry_id, fields.get("p", ""))
        self._move(entry_id)
        if gap and not told:
            self._registry.resync("gap")
        try:
            entry = Entry(entry_id, LiveMessage.from_text(fields["m"]))
            entry.hub_text  # noqa: B018 - made here, where one that cannot be is expected
            self._registry.fan_out(entry)
        except (KeyError, ValueError) as fault:
            self._metrics.entries.labels("unreadable").inc()
            _log.error("an entry of the feed cannot be read: %s", type(fault).__qualname__)
            return
        self._metrics.entries.labels("delivered").inc()
        self._metrics.lag.observe(max(0.0, time.time() - place(entry_id)[0] / 1000))

    def _follows(self, entry_id: str, previous: str) -> bool:
        """Whether nothing lies between our position and this entry."""
        assert self._position is not None
        if previous == self._position or (not previous and self._position == START):
            return True
        # The feed itself is dropped after a day without messages.
        return not previous and _days_apart(self._position, place(entry_id)[0])

    async def _is_lost(self) -> bool:
        """In a quiet moment: whether the feed ends before the place where we are.

        It was flushed, or another server took over that did not have it all. We go back to its end.
        """
        assert self._position is not None
        tail = await self._tail()
        if tail is not None and place(tail) >= place(self._position):
            return False
        if tail is None:
            seconds, _ = await self._redis.time()
            if self._position == START or _days_apart(self._position, seconds * 1000):
                return False
        self._move(tail or START)
        return True

    async def _tail(self) -> str | None:
        newest: Any = await self._redis.xrevrange(FEED, count=1)
        return str(newest[0][0]) if newest else None

    def _move(self, position: str) -> None:
        self._position = self._registry.position = position

    def _lost(self, fault: Exception) -> None:
        if self.connected or not self._outage:
            _log.warning("the feed cannot be read: %s", telemetry.describe(fault))
        self.connected, self._outage = False, True
        self._metrics.feed_connected.set(0)

    def _back(self) -> bool:
        """Redis answers; whether that ended an outage, of which the clients are told."""
        if self.connected:
            return False
        self.connected = True
        self._metrics.feed_connected.set(1)
        _log.info("the feed is read")
        outage, self._outage = self._outage, False
        if outage:
            self._registry.resync("outage")
        return outage


def _days_apart(position: str, now_ms: int) -> bool:
    return now_ms - place(position)[0] >= FEED_KEPT_S * 1000
