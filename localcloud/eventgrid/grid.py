"""Event Grid itself: topics, their subscribers, and publishing to them."""

import asyncio
import logging
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.eventgrid import schema
from localcloud.eventgrid.dead_letters import DeadLetters
from localcloud.eventgrid.errors import GridError, not_found
from localcloud.eventgrid.events import Event, compact
from localcloud.eventgrid.handshake import HandshakeFailed
from localcloud.eventgrid.keys import TopicKeys
from localcloud.eventgrid.records import BY_HAND, CREATING, SUCCEEDED
from localcloud.eventgrid.specs import SubscriptionSpec, TopicSpec
from localcloud.eventgrid.subscribers import Subscriber, Surroundings
from localcloud.eventgrid.topology import Topology

STORE_FILE = Path("eventgrid.sqlite3")

log = logging.getLogger(__name__)


@dataclass
class Topic:
    """A topic at work. `refused` counts requests since this process started."""

    spec: TopicSpec
    declared: bool
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    refused: int = 0


class Grid:
    """All topics. Names are looked up in any case."""

    def __init__(self, around: Surroundings, keys: TopicKeys, dead_letters: DeadLetters) -> None:
        self.around, self.keys, self.dead_letters = around, keys, dead_letters
        self._topics: dict[str, Topic] = {}
        self._trials: list[Subscriber] = []
        self._changing = asyncio.Lock()

    def load(self, topology: Topology) -> None:
        """Take over what the store has and the file declares; the file wins.

        A handshake that is done counts until the subscription's properties change. What the file
        no longer declares is gone. Raises SpecRefused when something cannot be reached from here.
        """
        records = self.around.records
        for spec in topology.subscriptions:
            self.around.endpoints.refuse_unreachable(spec)
        declared = {topic.name for topic in topology.topics}
        for topic, was_declared in records.topics():
            if was_declared and topic.name not in declared:
                records.drop_topic(topic.name)
        for topic in topology.topics:
            records.keep_topic(topic, declared=True)
        for topic, is_declared in records.topics():
            self._topics[topic.name.lower()] = Topic(topic, is_declared)
            self.keys.of(topic.name)
        self._load_subscriptions(topology.subscriptions)

    def _load_subscriptions(self, declared: Iterable[SubscriptionSpec]) -> None:
        records = self.around.records
        specs = {topic.spec.name: topic.spec for topic in self._topics.values()}
        wanted = {(spec.topic, spec.name.lower()): spec for spec in declared}
        for key, spec, was_declared, state in records.subscriptions(specs):
            new = wanted.pop((spec.topic, spec.name.lower()), None)
            if new is None and was_declared:
                records.drop(key)
            elif new is not None:
                changed = new.document != spec.document and new.needs_handshake
                again = CREATING if changed or state != SUCCEEDED else SUCCEEDED
                records.keep(new, again if new.needs_handshake else SUCCEEDED, declared=True)
                self._add(key, new, again if new.needs_handshake else SUCCEEDED, declared=True)
            else:
                self.around.endpoints.refuse_unreachable(spec)
                # The code of a handshake by hand ended with the process that gave it: ask anew.
                again = CREATING if state == BY_HAND else state
                self._add(key, spec, again, declared=False)
        for new in wanted.values():
            state = CREATING if new.needs_handshake else SUCCEEDED
            self._add(records.keep(new, state, declared=True), new, state, declared=True)

    def start(self) -> None:
        """Deliver what waits."""
        for topic in self._topics.values():
            for subscriber in topic.subscribers.values():
                subscriber.start()

    async def stop(self) -> None:
        """Begin nothing new; what is in flight ends first."""
        everyone = [s for topic in self._topics.values() for s in topic.subscribers.values()]
        await asyncio.gather(*(subscriber.stop() for subscriber in everyone))

    def topics(self) -> list[Topic]:
        """By name."""
        return [self._topics[name] for name in sorted(self._topics)]

    def topic(self, name: str) -> Topic:
        """Raises GridError 404."""
        found = self._topics.get(name.lower())
        if found is None:
            raise not_found(f"The topic {name[:50]!r}")
        return found

    def subscriber(self, topic: str, name: str) -> Subscriber:
        """Raises GridError 404."""
        found = self.topic(topic).subscribers.get(name.lower())
        if found is None:
            raise not_found(f"The event subscription {name[:64]!r} of {topic[:50]!r}")
        return found

    async def publish(self, topic: Topic, events: Sequence[Event]) -> None:
        """Accept the events, all or none: they are kept when this returns.

        Raises GridError 503 when they could not be written.
        """
        now = time.time()
        takers = [s for s in topic.subscribers.values() if s.takes_events]
        matched = [(event, [s for s in takers if s.wants(event)]) for event in events]
        kept = [(compact(event.body), by) for event, by in matched if by]
        counts = {s.key: sum(s in by for _, by in kept) for s in takers}

        def work(tx: sqlite3.Connection) -> None:
            for body, by in kept:
                row = {"guid": str(uuid.uuid4()), "at": now, "body": body}
                seq = tx.execute(schema.NEW_EVENT, row).lastrowid
                rows = [{"subscription": s.key, "event": seq, "at": now} for s in by]
                tx.executemany(schema.NEW_DELIVERY, rows)
            for key, count in counts.items():
                if count:
                    tx.execute(schema.COUNT_MATCHED, {"subscription": key, "events": count})
            tx.execute(
                schema.COUNT_PUBLISHED,
                {
                    "topic": topic.spec.name,
                    "events": len(events),
                    "unmatched": len(events) - len(kept),
                    "at": now,
                },
            )

        try:
            await self.around.store.write(work)
        except sqlite3.Error as error:
            log.exception("%d events were not written", len(events))
            message = "The events could not be stored; nothing was accepted."
            raise GridError(503, "ServiceUnavailable", message) from error
        for subscriber in takers:
            if counts[subscriber.key]:
                subscriber.wake()

    def put_topic(self, spec: TopicSpec) -> Topic:
        """Make the topic, or change it. GridError 400 when its schema would change."""
        found = self._topics.get(spec.name.lower())
        if found is not None and found.spec.schema != spec.schema:
            raise GridError(400, "InvalidRequest", "inputSchema of a topic cannot be changed.")
        declared = found.declared if found else False
        self.around.records.keep_topic(spec, declared=declared)
        self.keys.of(spec.name)
        if found is None:
            found = self._topics[spec.name.lower()] = Topic(spec, declared)
        found.spec = spec
        return found

    async def drop_topic(self, name: str) -> None:
        """Delete the topic with its subscriptions, if there is one."""
        async with self._changing:
            found = self._topics.pop(name.lower(), None)
            if found is not None:
                for subscriber in found.subscribers.values():
                    await subscriber.stop()
                    self.around.records.drop(subscriber.key)
                self.around.records.drop_topic(found.spec.name)
                self.keys.forget(found.spec.name)

    async def put_subscription(self, spec: SubscriptionSpec) -> Subscriber:
        """Make the subscription or change it, after a handshake with its webhook.

        Raises SpecRefused; GridError 400 when the webhook does not agree: nothing was changed then.
        """
        self.around.endpoints.refuse_unreachable(spec)
        trial = await self._agreed(self.topic(spec.topic), spec)
        async with self._changing:
            topic = self.topic(spec.topic)
            old = topic.subscribers.get(spec.name.lower())
            if old is not None:
                await old.stop()
            declared = old.declared if old else False
            key = self.around.records.keep(spec, trial.state, declared=declared)
            made = self._add(key, spec, trial.state, declared=declared)
            made.code = trial.code
            made.start()
        return made

    async def _agreed(self, topic: Topic, spec: SubscriptionSpec) -> Subscriber:
        """A subscriber that gets nothing yet: its state says how the handshake went."""
        trial = Subscriber(-1, spec, topic.spec, self.around, declared=False, state=SUCCEEDED)
        if not spec.needs_handshake:
            return trial
        trial.state = CREATING
        self._trials.append(trial)
        try:
            await trial.ask()
        except HandshakeFailed as refusal:
            raise GridError(400, "Url validation", str(refusal)) from refusal
        finally:
            self._trials.remove(trial)
        return trial

    def confirm(self, topic: str, name: str, code: str) -> bool:
        """Complete a handshake by hand; whether there is one with that code."""
        found = self.topic(topic).subscribers.get(name.lower())
        return any(one.agree(code) for one in (*self._trials, *([found] if found else [])))

    async def drop_subscription(self, topic: str, name: str) -> None:
        """Delete the subscription and what waits for it, if there is one."""
        async with self._changing:
            found = self.topic(topic).subscribers.pop(name.lower(), None)
            if found is not None:
                await found.stop()
                self.around.records.drop(found.key)

    def _add(self, key: int, spec: SubscriptionSpec, state: str, *, declared: bool) -> Subscriber:
        topic = self.topic(spec.topic)
        made = Subscriber(key, spec, topic.spec, self.around, declared, state)
        topic.subscribers[spec.name.lower()] = made
        return made
