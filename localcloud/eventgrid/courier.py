"""Carries one subscription's events, so that a slow or dead subscriber disturbs nobody else."""

import asyncio
import contextlib
import logging
import sqlite3
import time
import uuid
from collections.abc import Sequence
from typing import Final, Protocol

from localcloud.eventgrid import schema
from localcloud.eventgrid.events import compact, delivered
from localcloud.eventgrid.pace import (
    DEAD_LETTER_AFTER_S,
    TOO_OLD,
    TRIED_TOO_OFTEN,
    UNHEALTHY_AFTER,
    Outcome,
    Pace,
)
from localcloud.eventgrid.parcels import Parcel
from localcloud.eventgrid.specs import SubscriptionSpec
from localcloud.eventgrid.store import Store

LONGEST_NAP_S: Final = 60.0
"""The clock may be set: what is due is looked up again at the latest then."""
STORE_TROUBLE_S: Final = 1.0
KEEP_SETTLED: Final = 10_000
"""Dead letters that are remembered after their blob was written, the newest."""

log = logging.getLogger(__name__)


class Sender(Protocol):
    """The way to an endpoint."""

    @property
    def slots(self) -> int:
        """Sends in flight at a time."""
        ...

    @property
    def max_events(self) -> int: ...

    @property
    def max_bytes(self) -> int: ...

    async def send(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """The outcome of each; never raises."""
        ...


class Courier:
    """Takes what is due, sends it, books what became of it."""

    def __init__(
        self,
        key: int,
        spec: SubscriptionSpec,
        topic_schema: str,
        *,
        sender: Sender,
        store: Store,
        pace: Pace,
    ) -> None:
        """`key` is the subscription's in the store."""
        self._key, self._spec, self._topic_schema = key, spec, topic_schema
        self._sender, self._store, self._pace = sender, store, pace
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._claimed: set[int] = set()
        self._failures = 0
        self._resting_until = 0.0

    def wake(self) -> None:
        """Look again: an event came."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._wake.clear()
            try:
                nap_s = self._begin()
            except sqlite3.Error:
                log.exception("what is due for %s cannot be read", self._spec.name)
                nap_s = STORE_TROUBLE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(nap_s):
                    await self._wake.wait()

    async def drain(self, within_s: float) -> None:
        """Let what is under way come to its end; `run` is over by then."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()

    def _begin(self) -> float:
        """Start what is due and has room. Seconds until there may be more."""
        now = time.time()
        if self._resting_until > now:
            return min(self._resting_until - now, LONGEST_NAP_S)
        free = self._slots() - len(self._tasks)
        if free <= 0:
            return LONGEST_NAP_S  # the end of a send wakes
        limit = free * min(self._sender.max_events, 500) + len(self._claimed)
        rows = self._store.rows(schema.DUE, {"subscription": self._key, "now": now, "limit": limit})
        fresh = [row for row in rows if row["event"] not in self._claimed]
        parcels = [Parcel.of(dict(row), self._spec, self._topic_schema) for row in fresh]
        old = [parcel for parcel in parcels if self._is_too_old(parcel, now)]
        if old:
            self._settle(now, given_up=[(parcel, TOO_OLD, parcel.outcome) for parcel in old])
        young = [parcel for parcel in parcels if not self._is_too_old(parcel, now)]
        for batch in self._batches(young)[:free]:
            self._claimed.update(parcel.seq for parcel in batch)
            task = asyncio.create_task(self._deliver(batch))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return self._nap(now, more=len(rows) == limit)

    def _nap(self, now: float, *, more: bool) -> float:
        if more and self._slots() > len(self._tasks):
            return 0.0
        query = {"subscription": self._key, "now": now}
        due_at = self._store.row(schema.NEXT_DUE, query)["due_at"]
        return LONGEST_NAP_S if due_at is None else min(max(due_at - now, 0.0), LONGEST_NAP_S)

    def _slots(self) -> int:
        """An endpoint that failed again and again gets one request at a time until it recovers."""
        return self._sender.slots if self._failures < UNHEALTHY_AFTER else 1

    def _is_too_old(self, parcel: Parcel, now: float) -> bool:
        return now - parcel.published_at > self._pace.scaled(self._spec.minutes * 60)

    def _batches(self, parcels: Sequence[Parcel]) -> list[list[Parcel]]:
        batches: list[list[Parcel]] = []
        size = 0
        for parcel in parcels:
            fits = batches and len(batches[-1]) < self._sender.max_events
            if not fits or size + len(parcel.text) > self._sender.max_bytes:
                batches.append([])
                size = 0
            batches[-1].append(parcel)
            size += len(parcel.text) + 1
        return batches

    async def _deliver(self, batch: Sequence[Parcel]) -> None:
        outcomes = await self._sender.send(batch)
        now = time.time()
        done = [p for p, outcome in zip(batch, outcomes, strict=True) if outcome.ok]
        failed = [(p, o) for p, o in zip(batch, outcomes, strict=True) if not o.ok]
        given_up = []
        later = []
        for parcel, outcome in failed:
            if outcome.reason is not None:
                given_up.append((parcel, outcome.reason, outcome.name))
            elif parcel.attempts + 1 >= self._spec.attempts:
                given_up.append((parcel, TRIED_TOO_OFTEN, outcome.name))
            else:
                later.append((parcel, outcome))
        self._watch_health(bool(done), [outcome for _, outcome in failed], now)
        error = f"{failed[-1][1].name}: {failed[-1][1].detail}" if failed else None
        settled = self._settle(now, done, later, given_up, error)
        try:
            await settled
        except sqlite3.Error:
            log.exception("what became of %d deliveries was not written", len(batch))
        finally:
            self._claimed.difference_update(parcel.seq for parcel in batch)

    def _watch_health(self, any_done: bool, failed: Sequence[Outcome], now: float) -> None:
        """Source: the page on delivery and retry, "Delayed delivery" and "Probation"."""
        if any_done:
            self._failures = 0
            return
        # A refusal of this very event says nothing of the endpoint's health.
        self._failures += sum(outcome.reason is None for outcome in failed)
        if self._failures >= UNHEALTHY_AFTER and self._resting_until <= now:
            self._resting_until = now + self._pace.rest_s(failed[-1].name)

    def _settle(
        self,
        now: float,
        done: Sequence[Parcel] = (),
        later: Sequence[tuple[Parcel, Outcome]] = (),
        given_up: Sequence[tuple[Parcel, str, str | None]] = (),
        error: str | None = None,
    ) -> asyncio.Future[None]:
        """Book it. What was tried just now has an error to show, unless it was delivered."""
        tried = error is not None
        gone = [*done, *(parcel for parcel, _, _ in given_up)]
        keys = [{"subscription": self._key, "event": parcel.seq} for parcel in gone]
        postponed = [
            {
                "subscription": self._key,
                "event": parcel.seq,
                "due_at": now + self._pace.wait_s(parcel.attempts + 1, outcome.at_least_s),
                "attempts": parcel.attempts + 1,
                "at": now,
                "outcome": outcome.name,
            }
            for parcel, outcome in later
        ]
        dead = [self._dead(*entry, now=now, tried=tried) for entry in given_up]
        failures = len(later) + (len(given_up) if tried else 0)
        self._claimed.update(parcel.seq for parcel in gone)

        def work(tx: sqlite3.Connection) -> None:
            key = {"subscription": self._key, "at": now}
            tx.executemany(schema.SETTLED, keys)
            tx.executemany(schema.FORGET_EVENT, [{"event": k["event"]} for k in keys])
            tx.executemany(schema.POSTPONED, postponed)
            tx.executemany(schema.GIVEN_UP, dead)
            if done:
                tx.execute(schema.COUNT_DELIVERED, key | {"events": len(done)})
            if failures:
                tx.execute(schema.COUNT_FAILED, key | {"events": failures, "error": error})
            if dead and self._spec.container is None:
                dropped = {"subscription": self._key, "events": len(dead)}
                tx.execute(schema.COUNT_DROPPED, dropped)
                tx.execute(schema.FORGET_OLD_DEAD, {"keep": KEEP_SETTLED})

        future = self._store.write(work)
        if not done and not later and not tried:
            future.add_done_callback(lambda f: self._forget_claims(f, gone))
        return future

    def _forget_claims(self, written: asyncio.Future[None], gone: Sequence[Parcel]) -> None:
        if not written.cancelled() and written.exception() is not None:
            log.error("what was given up was not written: %s", written.exception())
        self._claimed.difference_update(parcel.seq for parcel in gone)

    def _dead(
        self, parcel: Parcel, reason: str, outcome: str | None, *, now: float, tried: bool
    ) -> dict[str, object]:
        body = compact(delivered(parcel.event.body, self._topic_schema, self._spec.schema))
        dropped = self._spec.container is None
        return {
            "guid": str(uuid.uuid4()),
            "subscription": self._key,
            "topic": self._spec.topic,
            "name": self._spec.name,
            "container": self._spec.container,
            "event_id": parcel.event.id,
            "event_type": parcel.event.type,
            "subject": parcel.event.subject,
            "body": None if dropped else body,
            "reason": reason,
            "outcome": outcome,
            "attempts": parcel.attempts + tried,
            "published_at": parcel.published_at,
            "attempted_at": now if tried else parcel.attempted_at,
            "given_up_at": now,
            "due_at": now + self._pace.scaled(DEAD_LETTER_AFTER_S),
            "status": "dropped" if dropped else "waiting",
        }

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a delivery to %s failed in itself", self._spec.name, exc_info=error)
        self._wake.set()
