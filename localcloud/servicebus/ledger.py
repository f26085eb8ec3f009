"""How messages enter one queue and how they leave it, each step through the store."""

import asyncio
import logging
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from localcloud.servicebus import reasons
from localcloud.servicebus.changes import CountDelivery, Defer, Delete, Insert, Rewrite
from localcloud.servicebus.decoding import Value
from localcloud.servicebus.entities import Counts, Ids, Message, QueueSettings, State, now_ms
from localcloud.servicebus.errors import NOT_ALLOWED, AmqpError
from localcloud.servicebus.message import Content
from localcloud.servicebus.routing import Destination, History, Staging
from localcloud.servicebus.schedules import Schedule
from localcloud.servicebus.store import Done, Store

log = logging.getLogger(__name__)

NO_CHANGES: Final[Mapping[str, Value]] = MappingProxyType({})
SWEEP_S: Final = 1.0
"""Least time between two searches for expired messages: delivery and peek check for themselves."""
FORWARD_RETRY_S: Final = 1.0


class Ledger:
    """The messages of a queue by sequence number. What can be received is a queue's business."""

    def __init__(
        self,
        name: str,
        settings: QueueSettings,
        *,
        store: Store,
        ids: Ids,
        dead_letters: "Ledger | None" = None,
    ) -> None:
        self.name = name
        self.key = name.lower()
        self.settings = settings
        self.forward_to: Destination | None = None
        self.forward_dead_letters_to: Destination | None = None
        self.history: History | None = None
        self.schedule = Schedule(self, store, ids)
        self.sequence = 0
        self.status = "Active"
        self.gone = False
        self.used_at_ms = now_ms()
        self._store = store
        self._ids = ids
        self._dead_letters = dead_letters
        self._messages: dict[int, Message] = {}
        self._sweep_timer: asyncio.TimerHandle | None = None

    def advance(self, staging: Staging) -> int:
        self.sequence += 1
        staging.count(self.key, self.sequence)
        return self.sequence

    def take(
        self,
        content: Content,
        staging: Staging,
        *,
        origin: int | None = None,
        hops: int = 0,
        known: bool = False,
    ) -> None:
        if self.history and not known and not self.history.is_new(content, staging):
            return
        if self.forward_to is not None:
            self._forward(content, staging, origin or self.advance(staging), hops)
        elif self.settings.requires_session and content.session is None:
            description = "Session enabled entity doesn't allow a message whose session id is null."
            self._put_aside(content, staging, origin, reasons.NO_SESSION, description)
        else:
            self.put(content, staging, origin)

    def _forward(self, content: Content, staging: Staging, origin: int, hops: int) -> None:
        assert self.forward_to is not None
        obstacle = reasons.against_forwarding(self.forward_to, hops)
        if obstacle is None:
            self.forward_to.take(content, staging, origin=origin, hops=hops + 1)
        else:
            self._put_aside(content, staging, origin, *obstacle)

    def _put_aside(
        self, content: Content, staging: Staging, origin: int | None, reason: str, description: str
    ) -> None:
        """Dead-letter a message that never was in this queue."""
        assert self._dead_letters is not None
        self._dead_letters.put(content.modified(reasons.why(reason, description)), staging, origin)

    def put(
        self,
        content: Content,
        staging: Staging,
        origin: int | None = None,
        *,
        enqueued_at_ms: int | None = None,
        delivery_count: int = 0,
    ) -> None:
        """Stage a message of this very queue."""
        sequence = self.advance(staging)
        if self._dead_letters is not None:
            content = content.limited(self.settings.default_ttl_ms)
        at_ms = staging.now_ms if enqueued_at_ms is None else enqueued_at_ms
        lives = content.ttl_ms if self._dead_letters is not None else None
        message = Message(
            self._ids.next(),
            sequence,
            origin or sequence,
            at_ms,
            None if lives is None else at_ms + lives,
            delivery_count,
            content,
        )
        staging.add(message.row(self.key), lambda: self._admit(message))

    def counts(self) -> Counts:
        """How much is in the queue and its dead-letter queue; looks at every message."""
        waiting = [*self.schedule.messages()]
        dead = [] if self._dead_letters is None else self._dead_letters.peek(0, sys.maxsize)
        everything = (*self._messages.values(), *waiting, *dead)
        size = sum(message.content.size() for message in everything)
        return Counts(len(self._messages), len(waiting), len(dead), size)

    def restore(self, rows: Iterable[Insert]) -> None:
        """Take back what the store kept. Locks are gone: the messages can be received again."""
        for row in rows:
            if row.due_at_ms is None:
                self._admit(Message.restored(row))
            else:
                self.schedule.restore(row)

    def dissolve(self) -> None:
        """The queue is deleted: nothing is left of it, and nothing comes to it any more."""
        self.gone = True
        self.schedule.dissolve()
        self._messages.clear()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()

    def _admit(self, message: Message) -> None:
        if self.gone:
            return
        self._messages[message.sequence] = message
        self.make_available(message)
        if message.expires_at_ms is not None:
            self._sweep_at(message.expires_at_ms)

    def make_available(self, message: Message) -> None:
        """Nobody holds the message: offer it, set it aside again if deferred, or forward it."""
        if self.gone:
            return
        if self.forward_to is not None:
            self._move(message)
        elif message.deferred:
            message.state = State.DEFERRED
        else:
            message.state = State.READY
            self._offer(message)

    def _offer(self, message: Message) -> None:
        """The message can be received."""
        raise NotImplementedError

    def _move(self, message: Message) -> None:
        """Forward a message that came before the queue was told to."""
        staging = Staging()
        self._forward(message.content, staging, message.enqueued_sequence, 0)

        def moved(failure: AmqpError | None) -> None:
            if failure is None:
                self._forget(message)
            else:
                asyncio.get_running_loop().call_later(FORWARD_RETRY_S, self._move, message)

        staging.changes.append(Delete(message.id))
        message.state = State.SETTLING
        staging.submit(self._store, moved)

    def peek(self, from_sequence: int, limit: int, session: str | None = None) -> list[Message]:
        """Up to `limit` messages from a sequence number on, in order, whatever their state."""
        now = now_ms()
        found = [
            message
            for message in (*self._messages.values(), *self.schedule.messages())
            if message.sequence >= from_sequence
            and (session is None or message.content.session == session)
            and not message.expired(now)
        ]
        return sorted(found, key=lambda message: message.sequence)[:limit]

    def _submit(self, message: Message, staging: Staging, done: Done) -> None:
        """Store a settlement; when that fails the message is available again, and `done` told."""

        def settled(failure: AmqpError | None) -> None:
            if failure is not None:
                self.make_available(message)
            done(failure)

        message.state = State.SETTLING
        staging.submit(self._store, settled)

    def _remove(self, message: Message, done: Done) -> None:
        staging = Staging()
        staging.add(Delete(message.id), lambda: self._forget(message))
        self._submit(message, staging, done)

    def _forget(self, message: Message) -> None:
        self._messages.pop(message.sequence, None)

    def _count_failure(
        self, message: Message, done: Done, properties: Mapping[str, Value] = NO_CHANGES
    ) -> None:
        message.delivery_count += 1
        limit = self.settings.max_delivery_count
        if limit is not None and message.delivery_count >= limit:
            description = f"Message could not be consumed after {limit} delivery attempts."
            self._bury(
                message, {**properties, **reasons.why(reasons.MAX_DELIVERIES, description)}, done
            )
            return
        staging = Staging()
        self._modify(message, properties, staging)
        staging.add(
            CountDelivery(message.delivery_count, message.id), lambda: self.make_available(message)
        )
        self._submit(message, staging, done)

    def _modify(self, message: Message, properties: Mapping[str, Value], staging: Staging) -> None:
        """Stage other application properties of a message."""
        if properties:
            content = message.content.modified(properties)
            rewrite = Rewrite(content.stored(), message.id)
            staging.add(rewrite, lambda: setattr(message, "content", content))

    def _set_aside(self, message: Message, properties: Mapping[str, Value], done: Done) -> None:
        def deferred() -> None:
            message.deferred = True
            self.make_available(message)

        staging = Staging()
        self._modify(message, properties, staging)
        staging.add(Defer(message.id), deferred)
        self._submit(message, staging, done)

    def _bury(self, message: Message, properties: Mapping[str, Value], done: Done) -> None:
        if self._dead_letters is None:
            raise AmqpError(NOT_ALLOWED, "A dead letter cannot be dead-lettered again.")
        content = message.content.modified(properties)
        staging = Staging()
        staging.add(Delete(message.id), lambda: self._forget(message))
        target = self.forward_dead_letters_to
        if target is not None and reasons.against_forwarding(target, 0) is None:
            named = content.with_source(self.name)
            target.take(named, staging, origin=message.enqueued_sequence, hops=1)
        else:
            self._dead_letters.put(
                content,
                staging,
                message.enqueued_sequence,
                enqueued_at_ms=message.enqueued_at_ms,
                delivery_count=message.delivery_count,
            )
        self._submit(message, staging, done)

    def _expire(self, message: Message) -> None:
        if self.settings.dead_letter_expired and self._dead_letters is not None:
            description = "The message expired and was dead lettered."
            self._bury(message, reasons.why(reasons.EXPIRED, description), nobody_waits)
        else:
            self._remove(message, nobody_waits)

    def _sweep_at(self, when_ms: int) -> None:
        """Look for expired messages at that time, or earlier when a search is due already."""
        loop = asyncio.get_running_loop()
        at = loop.time() + max((when_ms - now_ms()) / 1000, SWEEP_S)
        if self._sweep_timer is not None:
            if self._sweep_timer.when() <= at:
                return
            self._sweep_timer.cancel()
        self._sweep_timer = loop.call_at(at, self._sweep)

    def _sweep(self) -> None:
        self._sweep_timer = None
        now = now_ms()
        for message in tuple(self._messages.values()):
            if message.state in (State.READY, State.DEFERRED) and message.expired(now):
                self._expire(message)
        ends = [m.expires_at_ms for m in self._messages.values() if m.expires_at_ms is not None]
        if ends:
            self._sweep_at(min(ends))


def nobody_waits(_failure: AmqpError | None) -> None:
    """The store has logged a failure, and the message is still there."""
