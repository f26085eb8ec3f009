"""Sends what the outbox holds: right after a commit, and what is left over from the timer.

Delivery is at least once. A process killed between the broker's acknowledgement and the commit
sends the same events again under the same ids; consumers are idempotent through their inbox.
Within an aggregate a newer event never overtakes an older one: whoever sends holds the
aggregate's claim, sends oldest first, and marks before letting go.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from uuid import UUID

from shared import telemetry
from shared.db import Database
from shared.outbox import channels
from shared.outbox.channels import Channel, Outgoing
from shared.outbox.sender import Sender

AGGREGATES_PER_BATCH = 64
AGGREGATES_WAITING = 4096
"""With more than this behind, events are better left to the relay than kept in memory."""
EVENTS_PER_BATCH = 256
PACE_S, SLOWEST_PACE_S = 0.03, 0.15
"""The least time from batch to batch, and what it grows to at most."""
REST = 5.0
"""How many times as long as a batch took the next one waits: under load fewer, larger batches."""
CLAIM_AGAIN_AFTER_S = 0.02
BUSY_FOR_S = 1.0
"""How long an aggregate is asked for again that another process is sending."""
CLOSE_WAITS_S = 1.0
BROKER_REST_S = 2.0
"""How long nobody bothers a broker that has just failed, except the relay."""

_log = telemetry.logger(__name__)


class Dispatcher:
    """One per process and channel: invocations at a time share a batch, and a transaction."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        *,
        channel: Channel = channels.SERVICE_BUS,
        pace_s: float = PACE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._sender, self._clock = database, sender, clock
        self._channel, self._pace_s = channel, pace_s
        # Each with the time when it is left to whoever is sending it now.
        self._waiting: dict[UUID, float] = {}
        self._worker: asyncio.Task[None] | None = None
        self._rests_until: float | None = None
        self._next_batch_at = 0.0

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """Have the unsent events of aggregates sent whose change has been committed.

        Does not wait for it: they go out in the background, with those of other invocations. What
        a fault or the end of the process keeps from being sent is left to the relay. Never raises.
        """
        if not aggregate_ids or self._resting() or len(self._waiting) >= AGGREGATES_WAITING:
            return
        gives_up_at = self._clock() + BUSY_FOR_S
        for key in aggregate_ids:
            # One that already waits has not been read yet: its turn will see our event too.
            self._waiting.setdefault(key, gives_up_at)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def settled(self) -> None:
        """Return once nothing waits to be sent by this process."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait({self._worker})

    async def relay(self, limit: int = 10_000, *, older_than_s: float = 0.0) -> int:
        """Send what is left over, oldest first, at most about `limit` events; how many were sent.

        With `older_than_s` younger events are left to whoever has just committed them and is about
        to send them. Raises what the database or the broker raises.
        """
        sent = 0
        while sent < limit:
            async with self._database.reading() as tx:
                waiting = await channels.oldest_waiting(
                    tx, self._channel, limit=EVENTS_PER_BATCH, older_than_s=older_than_s
                )
            progress, _ = await self._send(waiting) if waiting else (0, ())
            if not progress:
                break
            sent += progress
        self._recovered()
        return sent

    async def lag_s(self) -> float:
        """Age in seconds of the oldest unsent event; 0.0 when nothing waits."""
        async with self._database.reading() as tx:
            return await channels.lag_s(tx, self._channel)

    async def close(self) -> None:
        """Finish what waits, within a second, and let go of the broker."""
        if self._worker is not None:
            await asyncio.wait({self._worker}, timeout=CLOSE_WAITS_S)
            self._worker.cancel()
        await self._sender.close()

    async def _work(self) -> None:
        """Batch after batch until nobody waits; one batch gathers while another is sent.

        The first goes at once. A batch costs much the same however many events are in it, so the
        next ones keep their distance, the more so the busier the process and the database are.
        """
        while self._waiting:
            due = self._next_batch_at - time.monotonic()
            if due > 0:
                await asyncio.sleep(due)
            began = time.monotonic()
            batch = dict(islice(self._waiting.items(), AGGREGATES_PER_BATCH))
            for key in batch:
                del self._waiting[key]
            try:
                _, busy = await self._send(batch.keys())
            except Exception as fault:  # noqa: BLE001 - whatever it is, the relay is the net
                self._waiting.clear()
                self._rest(telemetry.describe(fault))
                return
            took = time.monotonic() - began
            self._next_batch_at = began + max(self._pace_s, min(REST * took, SLOWEST_PACE_S))
            self._recovered()
            if self._wait_again(batch, busy):
                await asyncio.sleep(CLAIM_AGAIN_AFTER_S)

    def _wait_again(self, batch: Mapping[UUID, float], busy: Collection[UUID]) -> bool:
        """Give those that another process is sending another turn; True when all were busy.

        That process may have read them before our event was there.
        """
        now = self._clock()
        for key in busy:
            if now < batch[key]:
                self._waiting.setdefault(key, batch[key])
        return len(busy) == len(batch)

    def _resting(self) -> bool:
        return self._rests_until is not None and self._clock() < self._rests_until

    def _rest(self, reason: str) -> None:
        """Let the next invocations pass; only the first time in a row is worth a line."""
        if self._rests_until is None:
            _log.warning("events for %s wait for the relay: %s", self._channel.name, reason)
        self._rests_until = self._clock() + BROKER_REST_S

    def _recovered(self) -> None:
        if self._rests_until is not None:
            self._rests_until = None
            _log.info("events are sent to %s again", self._channel.name)

    async def _send(self, aggregate_ids: Collection[UUID]) -> tuple[int, Collection[UUID]]:
        """Claim, send, mark: how many events went out, and which aggregates others are sending.

        A topic that fails does not keep the others' events from being marked; raises what the
        first such topic raised, when the rest is committed.
        """
        sent: list[Outgoing] = []
        faults: list[Exception] = []
        async with self._database.pipelined() as tx:
            claimed, outgoing = await channels.claim(
                tx, self._channel, aggregate_ids, limit=EVENTS_PER_BATCH
            )
            for topic, batch in _batches(outgoing):
                try:
                    await self._sender.send(topic, batch)
                except Exception as fault:  # noqa: BLE001 - raised below, after the commit
                    faults.append(fault)
                else:
                    sent += batch
            if sent:
                await channels.mark_sent(tx, self._channel, sent)
        if faults:
            raise faults[0]
        return len(sent), set(aggregate_ids) - set(claimed)


def _batches(events: Sequence[Outgoing]) -> Iterator[tuple[str, list[Outgoing]]]:
    """`events`, oldest first, as few batches of one topic each as keep an aggregate's order.

    A consumer of several topics sees what happened to an order in turn as long as every topic
    takes its batch. One that fails does not hold up the others: within a topic the order holds
    whatever happens.
    """
    waves: list[dict[str, list[Outgoing]]] = []
    latest: dict[UUID, tuple[int, str]] = {}
    for event in events:
        wave, topic = latest.get(event.aggregate_id, (0, event.topic))
        if topic != event.topic:
            wave += 1
        latest[event.aggregate_id] = wave, event.topic
        if wave == len(waves):
            waves.append({})
        waves[wave].setdefault(event.topic, []).append(event)
    for by_topic in waves:
        yield from sorted(by_topic.items())
