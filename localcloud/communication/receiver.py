"""Takes in the delivery reports whose time has come, and notes them at their recipients."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from localcloud.communication.publisher import Publisher
from localcloud.partners.store import Store

BATCH: Final = 500
IDLE_S: Final = 30.0

DUE = """
    SELECT number, recipient_id, status, detail, due_at
    FROM reports
    WHERE received = 0 AND due_at <= :now
    ORDER BY due_at, number
    LIMIT :limit
"""
NEXT_DUE = """
    SELECT min(due_at) AS due_at
    FROM reports
    WHERE received = 0
"""
NOTE = """
    UPDATE recipients
    SET status = :status, detail = :detail, reported_at = :due_at
    WHERE id = :recipient_id
"""
RECEIVED = """
    UPDATE reports
    SET received = 1
    WHERE number = :number
"""


class Receiver:
    """The only one who writes what became of a recipient."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store, self._publisher = store, publisher
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look again: a report was planned."""
        self._wake.set()

    async def run(self) -> None:
        """Receive until cancelled."""
        while True:
            self._wake.clear()
            if self._receive(time.time()):
                self._publisher.wake()
                await asyncio.sleep(0)
            else:
                await self._sleep_until_due()

    def _receive(self, now: float) -> int:
        """Note the reports that are due, in the order of their times. How many there were."""
        due = [dict(row) for row in self._store.rows(DUE, {"now": now, "limit": BATCH})]
        if due:
            with self._store.transaction() as tx:
                tx.executemany(NOTE, due)
                tx.executemany(RECEIVED, due)
        return len(due)

    async def _sleep_until_due(self) -> None:
        due_at = self._store.rows(NEXT_DUE, {})[0]["due_at"]
        wait_s = IDLE_S if due_at is None else min(due_at - time.time(), IDLE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait_s, 0)):
                await self._wake.wait()
