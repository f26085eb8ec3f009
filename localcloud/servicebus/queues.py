"""A message queue: delivery in order, locks and their expiry, settlement, dead-lettering."""

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid4

from localcloud.servicebus.entities import Consumer, Ids, Message, QueueSettings, State, now_ms
from localcloud.servicebus.errors import NOT_ALLOWED, AmqpError, MessageLockLost
from localcloud.servicebus.message import Content
from localcloud.servicebus.store import Advance, Change, CountDelivery, Delete, Done, Insert, Store

MAX_DELIVERIES_REASON: Final = "MaxDeliveryCountExceeded"
EXPIRED_REASON: Final = "TTLExpiredException"
SWEEP_S: Final = 1.0
"""Least time between two searches for expired messages: delivery and peek check for themselves."""


class Queue:
    """Delivers in the order of sequence numbers, at least once, to consumers in turn."""

    def __init__(
        self,
        name: str,
        settings: QueueSettings,
        *,
        store: Store,
        ids: Ids,
        dead_letters: "Queue | None" = None,
    ) -> None:
        self.name = name
        self.key = name.lower()
        self._settings = settings
        self._store = store
        self._ids = ids
        self._dead_letters = dead_letters
        self._sequence = 0
        self._messages: dict[int, Message] = {}
        self._ready: list[int] = []
        # All locks of a queue last equally long, so the order of insertion is that of expiry.
        self._locks: dict[UUID, Message] = {}
        self._consumers: deque[Consumer] = deque()
        self._pump_scheduled = False
        self._lock_timer: asyncio.TimerHandle | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None

    def stage(
        self, content: Content, enqueued_sequence: int, enqueued_at_ms: int, delivery_count: int = 0
    ) -> tuple[Message, list[Change]]:
        """A message of this queue and the changes to store; `admit` it once they are on disk."""
        self._sequence += 1
        lives = [ttl for ttl in (content.ttl_ms, self._settings.default_ttl_ms) if ttl is not None]
        message = Message(
            self._ids.next(),
            self._sequence,
            enqueued_sequence,
            enqueued_at_ms,
            enqueued_at_ms + min(lives) if lives and self._dead_letters else None,
            delivery_count,
            content,
        )
        row = Insert(
            message.id,
            self.key,
            message.sequence,
            enqueued_sequence,
            enqueued_at_ms,
            message.expires_at_ms,
            delivery_count,
            content.stored(),
        )
        return message, [row, Advance(self.key, self._sequence)]

    def restore(self, last_sequence: int, rows: Sequence[Insert]) -> None:
        """Take back what the store kept. Locks are gone: the messages can be received again."""
        self._sequence = last_sequence
        for row in rows:
            content = Content.parse(row.content)
            self.admit(
                Message(
                    row.id,
                    row.sequence,
                    row.enqueued_sequence,
                    row.enqueued_at_ms,
                    row.expires_at_ms,
                    row.delivery_count,
                    content,
                )
            )

    def admit(self, message: Message) -> None:
        """Make a stored message available."""
        self._messages[message.sequence] = message
        self._make_ready(message)
        if message.expires_at_ms is not None:
            self._sweep_at(message.expires_at_ms)

    def add_consumer(self, consumer: Consumer) -> None:
        self._consumers.append(consumer)
        self.wake()

    def remove_consumer(self, consumer: Consumer) -> None:
        """What it holds stays locked until the locks expire, as in Azure."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def wake(self) -> None:
        """Deliver what can be delivered, soon."""
        if not self._pump_scheduled and self._consumers:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def peek(self, from_sequence: int, limit: int) -> list[Message]:
        """Up to `limit` messages from a sequence number on, in order, whatever their state."""
        now = now_ms()
        sequences = sorted(sequence for sequence in self._messages if sequence >= from_sequence)
        messages = (self._messages[sequence] for sequence in sequences)
        return [message for message in messages if not message.expired(now)][:limit]

    def renew(self, tokens: Sequence[UUID]) -> int:
        """Lock these messages anew; the time they are then locked until. Raises MessageLockLost."""
        held = [self._held(token) for token in tokens]
        until = now_ms() + self._settings.lock_ms
        for token, message in zip(tokens, held, strict=True):
            message.locked_until_ms = until
            self._locks[token] = self._locks.pop(token)
        return until

    def complete(self, token: UUID, done: Done) -> None:
        """Remove a message for good. Raises MessageLockLost."""
        self._remove(self._claim(token), done)

    def abandon(self, token: UUID, done: Done) -> None:
        """Count a failed delivery and make the message available. Raises MessageLockLost."""
        self._count_failure(self._claim(token), done)

    def release(self, token: UUID, done: Done) -> None:
        """Make a message available as if it had not been delivered. Raises MessageLockLost."""
        self._make_ready(self._claim(token))
        done(None)

    def dead_letter(
        self, token: UUID, reason: str | None, description: str | None, done: Done
    ) -> None:
        """Move a message to the dead-letter queue. Raises MessageLockLost, or AmqpError there."""
        if self._dead_letters is None:
            raise AmqpError(NOT_ALLOWED, "A dead letter cannot be dead-lettered again.")
        self._bury(self._claim(token), reason, description, done)

    def _held(self, token: UUID) -> Message:
        message = self._locks.get(token)
        if message is None or message.locked_until_ms <= now_ms():
            raise MessageLockLost
        return message

    def _claim(self, token: UUID) -> Message:
        """End a lock in favour of a settlement."""
        message = self._held(token)
        self._unlock(message)
        return message

    def _unlock(self, message: Message) -> None:
        assert message.token is not None
        del self._locks[message.token]
        message.token = None
        message.state = State.SETTLING

    def _make_ready(self, message: Message) -> None:
        message.state = State.READY
        heapq.heappush(self._ready, message.sequence)
        self.wake()

    def _submit(self, message: Message, changes: list[Change], done: Done) -> None:
        """Store a settlement; when that fails the message is available again, and `done` told."""

        def settled(failure: AmqpError | None) -> None:
            if failure is not None:
                self._make_ready(message)
            done(failure)

        message.state = State.SETTLING
        self._store.submit(changes, settled)

    def _remove(self, message: Message, done: Done) -> None:
        def removed(failure: AmqpError | None) -> None:
            if failure is None:
                del self._messages[message.sequence]
            done(failure)

        self._submit(message, [Delete(message.id)], removed)

    def _count_failure(self, message: Message, done: Done) -> None:
        message.delivery_count += 1
        limit = self._settings.max_delivery_count
        if limit is not None and message.delivery_count >= limit:
            description = f"Message could not be consumed after {limit} delivery attempts."
            self._bury(message, MAX_DELIVERIES_REASON, description, done)
            return

        def counted(failure: AmqpError | None) -> None:
            if failure is None:
                self._make_ready(message)
            done(failure)

        self._submit(message, [CountDelivery(message.delivery_count, message.id)], counted)

    def _bury(
        self, message: Message, reason: str | None, description: str | None, done: Done
    ) -> None:
        assert self._dead_letters is not None
        grave = self._dead_letters
        content = message.content.with_dead_letter_reason(reason, description)
        buried, changes = grave.stage(
            content, message.enqueued_sequence, message.enqueued_at_ms, message.delivery_count
        )

        def moved(failure: AmqpError | None) -> None:
            if failure is None:
                del self._messages[message.sequence]
                grave.admit(buried)
            done(failure)

        self._submit(message, [Delete(message.id), *changes], moved)

    def _next_ready(self) -> Message | None:
        now = now_ms()
        while self._ready:
            message = self._messages[heapq.heappop(self._ready)]
            if not message.expired(now):
                return message
            self._expire(message)
        return None

    def _expire(self, message: Message) -> None:
        if self._settings.dead_letter_expired and self._dead_letters is not None:
            description = "The message expired and was dead lettered."
            self._bury(message, EXPIRED_REASON, description, _nothing)
        else:
            self._remove(message, _nothing)

    def _pump(self) -> None:
        self._pump_scheduled = False
        waiting = 0
        while waiting < len(self._consumers):
            consumer = self._consumers[0]
            self._consumers.rotate(-1)
            if not consumer.can_take():
                waiting += 1
                continue
            message = self._next_ready()
            if message is None:
                break
            waiting = 0
            consumer.reserve()
            self._hand_over(message, consumer)
        if not self._ready:
            for consumer in tuple(self._consumers):
                consumer.caught_up()

    def _hand_over(self, message: Message, consumer: Consumer) -> None:
        if not consumer.settles_on_delivery:
            message.token = uuid4()
            message.state = State.LOCKED
            message.locked_until_ms = now_ms() + self._settings.lock_ms
            self._locks[message.token] = message
            self._watch_locks()
            consumer.deliver(message)
            return

        def removed(failure: AmqpError | None) -> None:
            if failure is None:
                consumer.deliver(message)
            else:
                consumer.refund()
            self.wake()

        self._remove(message, removed)

    def _watch_locks(self) -> None:
        if self._lock_timer is None and self._locks:
            first = next(iter(self._locks.values()))
            delay_s = max(first.locked_until_ms - now_ms(), 0) / 1000 + 0.001
            loop = asyncio.get_running_loop()
            self._lock_timer = loop.call_later(delay_s, self._expire_locks)

    def _expire_locks(self) -> None:
        self._lock_timer = None
        now = now_ms()
        lost = []
        for message in self._locks.values():
            if message.locked_until_ms > now:
                break
            lost.append(message)
        for message in lost:
            self._unlock(message)
            self._count_failure(message, _nothing)
        self._watch_locks()

    def _sweep_at(self, when_ms: int) -> None:
        """Look for expired messages at that time, or earlier when a search is already due."""
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
        ready = [m for m in self._messages.values() if m.state is State.READY]
        for message in [m for m in ready if m.expired(now)]:
            self._ready.remove(message.sequence)
            self._expire(message)
        heapq.heapify(self._ready)
        ends = [m.expires_at_ms for m in self._messages.values() if m.expires_at_ms is not None]
        if ends:
            self._sweep_at(min(ends))


def _nothing(_failure: AmqpError | None) -> None:
    """Nobody waits for this; the store has logged a failure and the message is still there."""
