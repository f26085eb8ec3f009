"""One background worker per process and channel: messages of many invocations share a batch."""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable

from shared import telemetry

PACE_S, SLOWEST_PACE_S = 0.03, 0.15
"""The least time from batch to batch, and what it grows to at most."""
REST = 3.0
"""How many times as long as a batch took the next one waits: under load fewer, larger batches."""
FAULT_REST_S = 2.0

_log = telemetry.logger(__name__)


class Lane:
    """Batches of one channel, one at a time; `batch` sends up to so many and says how many.

    A channel whose provider is away rests: nothing is sent until then, and what waits is taken up
    again afterwards. Another channel's lane does not notice.
    """

    def __init__(
        self,
        name: str,
        batch: Callable[[int], Awaitable[int]],
        *,
        size: int,
        pace_s: float = PACE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._batch, self._size, self._pace_s = name, batch, size, pace_s
        self._clock = clock
        self._turn = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._kicked = False
        self._rests_until: float | None = None
        self._next_batch_at = 0.0

    @property
    def resting(self) -> bool:
        """Whether the channel is left alone now."""
        return self._rests_until is not None and self._clock() < self._rests_until

    def kick(self) -> None:
        """Have what is due sent in the background. Never raises."""
        self._kicked = True
        if not self.resting and (self._worker is None or self._worker.done()):
            # In a context of its own: what it sends is not of the invocation that woke it.
            self._worker = asyncio.create_task(self._work(), context=contextvars.Context())

    async def settled(self) -> None:
        """Return once the worker has nothing to do."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait({self._worker})

    async def drain(self, limit: int) -> int:
        """Send what is due, about `limit` at most; how many. Raises what the database raises."""
        done = 0
        while done < limit and not self.resting:
            taken = await self._one_batch(min(self._size, limit - done))
            done += taken
            if not taken:
                break
        return done

    def rest(self, seconds: float, reason: str) -> None:
        """Leave the channel alone for so long, then go on."""
        if not self.resting:
            _log.warning("%s rests for %g s: %s", self._name, seconds, reason)
        until = self._clock() + seconds
        if self._rests_until is None or until > self._rests_until:
            self._rests_until = until
            if self._wake is not None:
                self._wake.cancel()
            self._wake = asyncio.get_running_loop().call_later(seconds, self.kick)

    async def close(self, timeout_s: float) -> None:
        """Finish the batch at work, within `timeout_s`; what is cut off is sent again later."""
        if self._wake is not None:
            self._wake.cancel()
        if self._worker is not None:
            await asyncio.wait({self._worker}, timeout=timeout_s)
            self._worker.cancel()

    async def _work(self) -> None:
        taken = self._size
        while not self.resting and (self._kicked or taken == self._size):
            due = self._next_batch_at - time.monotonic()
            if due > 0:
                await asyncio.sleep(due)
            self._kicked = False
            began = time.monotonic()
            try:
                taken = await self._one_batch(self._size)
            except Exception as fault:  # noqa: BLE001 - whatever it is, the timer is the net
                self.rest(FAULT_REST_S, telemetry.describe(fault))
                return
            took = time.monotonic() - began
            self._next_batch_at = began + max(self._pace_s, min(REST * took, SLOWEST_PACE_S))

    async def _one_batch(self, size: int) -> int:
        async with self._turn:
            return await self._batch(size)
