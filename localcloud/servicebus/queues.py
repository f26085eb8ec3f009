"""A message queue: delivery in order, locks and their expiry, settlement."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import UUID, uuid4

from localcloud.servicebus.decoding import Value
from localcloud.servicebus.entities import Consumer, Ids, Message, QueueSettings, State, now_ms
from localcloud.servicebus.errors import (
    MESSAGE_NOT_FOUND,
    NOT_ALLOWED,
    AmqpError,
    MessageLockLost,
)
from localcloud.servicebus.ledger import Ledger, nobody_waits
from localcloud.servicebus.steady import steady_ms
from localcloud.servicebus.store import Done, Store


class Shelf:
    """Messages that can be received, by sequence number; `expire` hears of those too old."""

    def __init__(self, expire: Callable[[Message], None]) -> None:
        self._expire = expire
        self._heap: list[tuple[int, int, Message]] = []
        self._puts = itertools.count()

    def __bool__(self) -> bool:
        """Whether there may be any; cheaper than to look for the first."""
        return bool(self._heap)

    def put(self, message: Message) -> None:
        heapq.heappush(self._heap, (message.sequence, next(self._puts), message))

    def first(self) -> Message | None:
        """The message to receive next. Those that are gone meanwhile fall off."""
        now = now_ms()
        while self._heap:
            message = self._heap[0][-1]
            if message.state is State.READY:
                if not message.expired(now):
                    return message
                self._expire(message)
            heapq.heappop(self._heap)
        return None

    def take(self) -> Message | None:
        """Remove and return the first."""
        message = self.first()
        if message is not None:
            heapq.heappop(self._heap)
        return message


class Queue(Ledger):
    """Delivers in the order of sequence numbers, at least once, to consumers in turn."""

    def __init__(
        self,
        name: str,
        settings: QueueSettings,
        *,
        store: Store,
        ids: Ids,
        dead_letters: Ledger | None = None,
    ) -> None:
        super().__init__(name, settings, store=store, ids=ids, dead_letters=dead_letters)
        self._shelf = Shelf(self._expire)
        # Locks last equally long unless the queue was changed: insertion is the order of expiry.
        self._locks: dict[UUID, Message] = {}
        self.has_mixed_locks = False
        """Whether the lock duration was changed while the broker ran."""
        self._consumers: deque[Consumer] = deque()
        self._pump_scheduled = False
        self._lock_timer: asyncio.TimerHandle | None = None

    def dissolve(self) -> None:
        super().dissolve()
        self._locks.clear()
        if self._lock_timer is not None:
            self._lock_timer.cancel()

    def in_use(self) -> bool:
        """Whether anybody receives."""
        return self._has_consumers()

    def redirect(self) -> None:
        """Where messages go on to has changed: forward what nobody holds."""
        for message in tuple(self._messages.values()):
            if message.state in (State.READY, State.DEFERRED):
                self.make_available(message)

    def add_consumer(self, consumer: Consumer) -> None:
        self._consumers.append(consumer)
        self.wake()

    def remove_consumer(self, consumer: Consumer) -> None:
        """What it holds stays locked until the locks expire, as in Azure."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def wake(self) -> None:
        """Deliver what can be delivered, soon."""
        if not self._pump_scheduled and self._has_consumers():
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def renew(self, tokens: Sequence[UUID]) -> int:
        """Lock these messages anew; the time they are then locked until. Raises MessageLockLost."""
        held = [self._held(token) for token in tokens]
        until = steady_ms() + self.settings.lock_ms
        for token, message in zip(tokens, held, strict=True):
            message.locked_until_ms = until
            self._locks[token] = self._locks.pop(token)
        return until

    def complete(self, token: UUID, done: Done) -> None:
        """Remove a message for good. Raises MessageLockLost."""
        self._remove(self._claim(token), done)

    def abandon(self, token: UUID, properties: Mapping[str, Value], done: Done) -> None:
        """Count a failed delivery and make the message available. Raises MessageLockLost.

        This and the next two also set application `properties` of the message.
        """
        self._count_failure(self._claim(token), done, properties)

    def defer(self, token: UUID, properties: Mapping[str, Value], done: Done) -> None:
        """Set a message aside for `deferred`. Raises MessageLockLost."""
        self._set_aside(self._claim(token), properties, done)

    def release(self, token: UUID, done: Done) -> None:
        """Make a message available as if it had not been delivered. Raises MessageLockLost."""
        self.make_available(self._claim(token))
        done(None)

    def dead_letter(self, token: UUID, properties: Mapping[str, Value], done: Done) -> None:
        """Move a message to the dead-letter queue. Raises MessageLockLost, or AmqpError there."""
        if self._dead_letters is None:
            raise AmqpError(NOT_ALLOWED, "A dead letter cannot be dead-lettered again.")
        self._bury(self._claim(token), properties, done)

    def deferred(self, sequences: Sequence[int], session: str | None) -> list[Message]:
        """The deferred messages with these numbers. Raises AmqpError unless all can be received."""
        messages = []
        for sequence in sequences:
            message = self._messages.get(sequence)
            if (
                message is None
                or message.state is not State.DEFERRED
                or message.content.session != (session or message.content.session)
            ):
                raise AmqpError(MESSAGE_NOT_FOUND, f"No message {sequence} is deferred.")
            messages.append(message)
        return messages

    def lock(self, message: Message) -> None:
        """Lock a message for one receiver, who settles it by the token it now has."""
        message.token = uuid4()
        message.state = State.LOCKED
        message.locked_until_ms = steady_ms() + self.settings.lock_ms
        self._locks[message.token] = message
        self._watch_locks()

    def remove(self, message: Message, done: Done) -> None:
        """Remove a message that nobody holds, because it is received and deleted."""
        self._remove(message, done)

    def _held(self, token: UUID) -> Message:
        message = self._locks.get(token)
        if message is None or message.locked_until_ms <= steady_ms():
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

    def _offer(self, message: Message) -> None:
        self._shelf.put(message)
        self.wake()

    def _has_consumers(self) -> bool:
        return bool(self._consumers)

    def _pump(self) -> None:
        self._pump_scheduled = False
        self._deliver(self._shelf, self._consumers)

    def _deliver(self, shelf: Shelf, consumers: deque[Consumer]) -> None:
        waiting = 0
        while waiting < len(consumers):
            consumer = consumers[0]
            consumers.rotate(-1)
            if not consumer.can_take():
                waiting += 1
                continue
            message = shelf.take()
            if message is None:
                break
            waiting = 0
            consumer.reserve()
            self._hand_over(message, consumer)
        if shelf.first() is None:
            for consumer in tuple(consumers):
                consumer.caught_up()

    def _hand_over(self, message: Message, consumer: Consumer) -> None:
        if not consumer.settles_on_delivery:
            self.lock(message)
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
        held = self._locks.values()
        if self._lock_timer is None and held:
            first_ms = self._first_expiry_ms(message.locked_until_ms for message in held)
            delay_s = max(first_ms - steady_ms(), 0) / 1000 + 0.001
            loop = asyncio.get_running_loop()
            self._lock_timer = loop.call_later(delay_s, self._expire_locks)

    def _first_expiry_ms(self, times: Iterable[int]) -> int:
        return min(times) if self.has_mixed_locks else next(iter(times))

    def _expire_locks(self) -> None:
        self._lock_timer = None
        now = steady_ms()
        held = iter(self._locks.values())
        lost = [*itertools.takewhile(lambda message: message.locked_until_ms <= now, held)]
        if self.has_mixed_locks:
            lost += [message for message in held if message.locked_until_ms <= now]
        for message in lost:
            self._unlock(message)
            self._count_failure(message, nobody_waits)
        self._watch_locks()
