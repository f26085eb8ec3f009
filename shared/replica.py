"""Where lists and searches read: from a replica, unless the caller has written just now."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol
from uuid import UUID

from shared import telemetry
from shared.db import UNAVAILABLE, Database, Transaction

AFTER_WRITE_S = 10.0
"""For this long after a write its author reads from the primary; replicas must lag by less."""
REST_S = 15.0
"""After a failure nobody waits for the replica for this long."""

_log = telemetry.logger(__name__)


class Marks(Protocol):
    """Short-lived marks that every process sees; shared.cache.Cache keeps them."""

    async def mark(self, key: str, ttl_s: float) -> bool:
        """Whether the mark was set."""
        ...

    async def marked(self, key: str) -> bool | None:
        """Whether the mark is set; None if nobody can tell."""
        ...


class ReadSide:
    """Chooses between primary and replica for each read; without a replica it is all primary.

    Who has just written reads what he wrote. If the marks cannot tell who has, everybody reads from
    the primary; if the replica cannot answer, likewise.
    """

    def __init__(
        self,
        primary: Database,
        replica: Database | None = None,
        marks: Marks | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert replica is None or marks is not None, "a replica lags: marks tell for whom"
        self._primary, self._replica, self._marks = primary, replica, marks
        self._clock = clock
        self._replica_from = 0.0

    async def wrote(self, caller_id: UUID) -> None:
        """Remember that the caller has changed something, or may have."""
        if self._marks is not None and not await self._marks.mark(_key(caller_id), AFTER_WRITE_S):
            self._avoid_replica(AFTER_WRITE_S)

    @contextlib.asynccontextmanager
    async def reading(self, caller_id: UUID) -> AsyncIterator[Transaction]:
        """A connection for the caller's queries, as `Database.reading` gives it."""
        async with contextlib.AsyncExitStack() as stack:
            replica = self._replica if await self._replica_will_do(caller_id) else None
            tx = None
            if replica is not None:
                try:
                    tx = await stack.enter_async_context(replica.reading())
                except UNAVAILABLE as fault:
                    self._give_up_on_replica(fault)
            if tx is None:
                yield await stack.enter_async_context(self._primary.reading())
                return
            try:
                yield tx
            except UNAVAILABLE as fault:
                self._give_up_on_replica(fault)
                raise

    async def _replica_will_do(self, caller_id: UUID) -> bool:
        if self._marks is None or self._clock() < self._replica_from:
            return False
        wrote = await self._marks.marked(_key(caller_id))
        if wrote is None:
            # A write may have gone unmarked for as long as the marks are away, and they may be back
            # before its author reads.
            self._avoid_replica(AFTER_WRITE_S)
        return wrote is False

    def _give_up_on_replica(self, fault: Exception) -> None:
        _log.warning("replica unavailable: %s", telemetry.describe(fault))
        self._avoid_replica(REST_S)

    def _avoid_replica(self, seconds: float) -> None:
        self._replica_from = max(self._replica_from, self._clock() + seconds)


def _key(caller_id: UUID) -> str:
    return f"replica:wrote:{caller_id}"
