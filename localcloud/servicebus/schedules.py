"""Messages that wait for their time, and then enter their topic or queue as if just sent."""

import asyncio
import heapq
from collections.abc import Iterator, Sequence
from typing import Final

from localcloud.servicebus.changes import Delete, Insert
from localcloud.servicebus.entities import Ids, Message, State
from localcloud.servicebus.entities import now_ms as clock_ms
from localcloud.servicebus.errors import MESSAGE_NOT_FOUND, AmqpError
from localcloud.servicebus.message import Content
from localcloud.servicebus.routing import Destination, Staging
from localcloud.servicebus.store import Done, Store

LONGEST_WAIT_S: Final = 60.0
"""The wall clock is consulted at least this often, in case somebody sets it."""
RETRY_MS: Final = 1_000
"""How long a message that could not be enqueued when it was due waits for the next attempt."""


class Schedule:
    """The scheduled messages of one topic or queue, which also gives them sequence numbers.

    The number holds until the message is due: then it gets a new one, as one just sent does.
    """

    def __init__(self, destination: Destination, store: Store, ids: Ids) -> None:
        self._destination = destination
        self._store = store
        self._ids = ids
        self._waiting: dict[int, Message] = {}
        self._due: list[tuple[int, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def put(self, content: Content, due_at_ms: int, staging: Staging) -> int:
        """Stage a message for that time; the sequence number by which it can be cancelled."""
        sequence = self._destination.advance(staging)
        message = Message(
            self._ids.next(), sequence, sequence, staging.now_ms, None, 0, content, due_at_ms
        )
        staging.add(message.row(self._destination.key), lambda: self._admit(message))
        return sequence

    def restore(self, row: Insert) -> None:
        self._admit(Message.restored(row))

    def messages(self) -> Iterator[Message]:
        """Those that wait, in no order."""
        return iter(self._waiting.values())

    def cancel(self, sequences: Sequence[int], done: Done) -> None:
        """Remove messages, all or none. Raises AmqpError when one does not wait (any more)."""
        messages = [self._waiting.get(sequence) for sequence in set(sequences)]
        if None in messages:
            raise AmqpError(MESSAGE_NOT_FOUND, "A message with this number is not scheduled.")
        self._leave([message for message in messages if message is not None], Staging(), done)

    def dissolve(self) -> None:
        """The destination is gone, and what waited for it with it."""
        self._waiting.clear()
        self._due.clear()
        self._watch()

    def _admit(self, message: Message, earliest_ms: int = 0) -> None:
        assert message.due_at_ms is not None
        if self._destination.gone:
            return
        message.state = State.SCHEDULED
        self._waiting[message.sequence] = message
        heapq.heappush(self._due, (max(message.due_at_ms, earliest_ms), message.sequence))
        self._watch()

    def _leave(self, messages: Sequence[Message], staging: Staging, done: Done) -> None:
        """Delete messages together with what is staged; a refusal by the store puts them back."""
        for message in messages:
            self._waiting.pop(message.sequence, None)
            staging.changes.append(Delete(message.id))

        def left(failure: AmqpError | None) -> None:
            if failure is not None:
                for message in messages:
                    self._admit(message, clock_ms() + RETRY_MS)
            done(failure)

        staging.submit(self._store, left)

    def _watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            delay_s = max(self._due[0][0] - clock_ms(), 0) / 1000 + 0.001
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(delay_s, LONGEST_WAIT_S), self._enqueue_due)

    def _enqueue_due(self) -> None:
        now = clock_ms()
        while self._due and self._due[0][0] <= now:
            _, sequence = heapq.heappop(self._due)
            message = self._waiting.get(sequence)
            if message is not None:
                staging = Staging()
                self._destination.take(message.content, staging, known=True)
                self._leave([message], staging, _nobody_waits)
        self._watch()


def _nobody_waits(_failure: AmqpError | None) -> None:
    """The store has logged a failure, and the message still waits."""
