"""When a loop looks for work, and how much of it may run at a time."""

import asyncio
import contextlib
import time
from datetime import datetime

from localcloud.durable import events

_HORIZON_S = 60.0
"""What is due later than this is left to polling, so that pending alarms stay few."""

_SLACK_S = 0.002
"""Alarms ring a little late rather than early: an early look finds nothing and sleeps on."""


_PATIENCE_S = 0.1
"""How long work that waits lets work overtake it that continues other work."""


class Alarm:
    """Wakes one loop: at once, or when something is due."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the loop now, or as soon as it sleeps."""
        self._rung.set()

    def ring_at(self, at: datetime) -> None:
        """Wake the loop at `at`."""
        self.ring_in((at - events.now()).total_seconds())

    def ring_in(self, delay_s: float) -> None:
        """Wake the loop after `delay_s`."""
        if delay_s <= 0:
            self._rung.set()
        elif delay_s < _HORIZON_S:
            asyncio.get_running_loop().call_later(delay_s + _SLACK_S, self._rung.set)

    async def wait(self, at_most_s: float) -> None:
        """Return when rung, or after `at_most_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._rung.wait()
        self._rung.clear()


class Slots:
    """Room for a number of pieces of work.

    While `queued`, more work waits in the database than there is room for: then `reserve` grants
    nothing, so that new work does not overtake what waits. Work that continues other work may
    overtake it, unless what waits has waited for a slot for too long.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._freed = asyncio.Event()
        self._wanted_since: float | None = None
        self.queued = False
        self.closed = False

    def reserve(self, wanted: int, *, continues: bool = False) -> int:
        """How many of `wanted` slots the caller now has."""
        if self.closed or (self.queued and not (continues and self._patient())):
            return 0
        granted = min(wanted, self._free)
        self._free -= granted
        return granted

    def _patient(self) -> bool:
        since = self._wanted_since
        return since is None or time.monotonic() - since < _PATIENCE_S

    @property
    def free(self) -> int:
        """How many nobody has."""
        return self._free

    async def one_free(self, within_s: float) -> None:
        """Return when a slot is free, or after `within_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._until_free()

    async def take(self, most: int | None = None) -> int:
        """Every free slot, at most `most`; waits until there is one. 0 once closed."""
        self._wanted_since = time.monotonic()
        await self._until_free()
        self._wanted_since = None
        if self.closed:
            return 0
        granted = self._free if most is None else min(self._free, most)
        self._free -= granted
        return granted

    async def _until_free(self) -> None:
        while not self._free and not self.closed:
            self._freed.clear()
            await self._freed.wait()

    def close(self) -> None:
        """Grant nothing from now on."""
        self.closed = True
        self._freed.set()

    def give(self, count: int = 1) -> None:
        """Slots back."""
        self._free += count
        if count:
            self._freed.set()
