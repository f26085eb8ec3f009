"""Sends what the outbox holds: right after a commit, and what is left over from the timer.

Delivery is at least once. A process killed between the broker's acknowledgement and the commit
sends the same events again under the same ids; consumers are idempotent through their inbox.
Within an aggregate a newer event never overtakes an older one: whoever sends holds the
aggregate's claim, sends oldest first, and marks before letting go.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from shared import telemetry
from shared.db import Database
from shared.outbox import events
from shared.outbox.events import Outgoing
from shared.outbox.sender import Sender

INVOCATION_WAITS_S = 1.0
AGGREGATES_PER_BATCH = 64
EVENTS_PER_BATCH = 256
CLAIM_AGAIN_AFTER_S = 0.02
BROKER_REST_S = 2.0
"""How long nobody bothers a broker that has just failed, except the relay."""

_log = telemetry.logger(__name__)


class _Turn:
    """One aggregate's wait, shared by every invocation that waits for it."""

    def __init__(self, gives_up_at: float) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gives_up_at = gives_up_at


class Dispatcher:
    """One per process: concurrent invocations' events go out together, in one transaction."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        *,
        wait_s: float = INVOCATION_WAITS_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._sender, self._wait_s, self._clock = database, sender, wait_s, clock
        self._waiting: dict[UUID, _Turn] = {}
        self._worker: asyncio.Task[None] | None = None
        self._rests_until: float | None = None

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """Send the unsent events of aggregates whose change has been committed.

        Waits until they are sent, but at most a second: then, and on any fault, they are left to
        the relay. Never raises.
        """
        if not aggregate_ids or self._resting():
            return
        gives_up_at = self._clock() + self._wait_s
        # An aggregate that already waits has not been read yet: its turn will see our event too.
        turns = [self._waiting.setdefault(key, _Turn(gives_up_at)).done for key in aggregate_ids]
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        _, waiting = await asyncio.wait(turns, timeout=self._wait_s)
        if waiting:
            self._rest("sending takes too long")  # whoever comes next need not find out again

    async def relay(self, limit: int = 10_000) -> int:
        """Send what is left over, oldest first, at most about `limit` events; how many were sent.

        Raises what the database or the broker raises.
        """
        sent = 0
        while sent < limit:
            async with self._database.reading() as tx:
                waiting = await events.oldest_waiting(tx, limit=EVENTS_PER_BATCH)
            progress, _ = await self._send(waiting) if waiting else (0, ())
            if not progress:
                break
            sent += progress
        self._recovered()
        return sent

    async def lag_s(self) -> float:
        """Age in seconds of the oldest unsent event; 0.0 when nothing waits."""
        async with self._database.reading() as tx:
            return await events.lag_s(tx)

    async def close(self) -> None:
        """Finish the batch in progress and let go of the broker."""
        if self._worker is not None:
            await asyncio.wait({self._worker}, timeout=self._wait_s)
            self._worker.cancel()
        await self._sender.close()

    async def _work(self) -> None:
        """Batch after batch until nobody waits; one batch gathers while another is sent."""
        while self._waiting:
            batch = dict(list(self._waiting.items())[:AGGREGATES_PER_BATCH])
            for key in batch:
                del self._waiting[key]
            try:
                _, busy = await self._send(list(batch))
            except Exception as fault:  # noqa: BLE001 - whatever it is, the relay is the net
                self._failed(fault)
                busy = frozenset()
            else:
                self._recovered()
            if self._wait_again(batch, busy):
                await asyncio.sleep(CLAIM_AGAIN_AFTER_S)

    def _wait_again(self, batch: dict[UUID, _Turn], busy: Collection[UUID]) -> bool:
        """End the turns of `batch`; aggregates that another process is sending get another.

        That process may have read them before our event was there. True when all were busy.
        """
        now = self._clock()
        for key, turn in batch.items():
            if key in busy and now < turn.gives_up_at and key not in self._waiting:
                self._waiting[key] = turn
            else:
                turn.done.set_result(None)
        return len(busy) == len(batch)

    def _resting(self) -> bool:
        return self._rests_until is not None and self._clock() < self._rests_until

    def _rest(self, reason: str) -> None:
        """Let the next invocations pass; only the first time in a row is worth a line."""
        if self._rests_until is None:
            _log.warning("events wait for the relay: %s", reason)
        self._rests_until = self._clock() + BROKER_REST_S

    def _failed(self, fault: Exception) -> None:
        """Send everybody on their way."""
        self._rest(telemetry.describe(fault))
        for turn in self._waiting.values():
            turn.done.set_result(None)
        self._waiting.clear()

    def _recovered(self) -> None:
        if self._rests_until is not None:
            self._rests_until = None
            _log.info("events are sent again")

    async def _send(self, aggregate_ids: Collection[UUID]) -> tuple[int, Collection[UUID]]:
        """Claim, send, mark: how many events went out, and which aggregates others are sending.

        A topic that fails does not keep the others' events from being marked; raises what the
        first such topic raised, when the rest is committed.
        """
        sent: list[Outgoing] = []
        faults: list[Exception] = []
        async with self._database.transaction() as tx:
            claimed = await events.claim(tx, aggregate_ids)
            outgoing = await events.unsent(tx, claimed, limit=EVENTS_PER_BATCH) if claimed else []
            by_topic = attrgetter("topic")
            for topic, of_topic in groupby(sorted(outgoing, key=by_topic), by_topic):
                batch = list(of_topic)
                try:
                    await self._sender.send(topic, batch)
                except Exception as fault:  # noqa: BLE001 - raised below, after the commit
                    faults.append(fault)
                else:
                    sent += batch
            if sent:
                await events.mark_sent(tx, sent)
        if faults:
            raise faults[0]
        return len(sent), set(aggregate_ids) - set(claimed)
