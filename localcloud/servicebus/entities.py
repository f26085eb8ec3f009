"""A message in a queue, and what a queue and its consumers expect of each other."""

import time
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus.changes import Insert
from localcloud.servicebus.errors import AmqpError
from localcloud.servicebus.message import Content

DEAD_LETTER_SUFFIX: Final = "/$DeadLetterQueue"
TAKES_NONE: Final = ("Disabled", "SendDisabled")
GIVES_NONE: Final = ("Disabled", "ReceiveDisabled")


def now_ms() -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return int(time.time() * 1000)


class State(Enum):
    """Where in its life a message is. While settling, the disk decides what comes next."""

    READY = "ready"
    LOCKED = "locked"
    SETTLING = "settling"
    DEFERRED = "deferred"
    SCHEDULED = "scheduled"


_PEEKED_STATES: Final = {State.DEFERRED: 1, State.SCHEDULED: 2}
"""What the SDKs call the states; all others are active, 0."""


@dataclass(slots=True, eq=False)
class Message:
    """One message in one queue; `deferred` ones go by their sequence number only, for ever."""

    id: int
    sequence: int
    enqueued_sequence: int
    enqueued_at_ms: int
    expires_at_ms: int | None
    delivery_count: int
    content: Content
    due_at_ms: int | None = None
    deferred: bool = False
    state: State = State.READY
    token: UUID | None = None
    locked_until_ms: int = 0

    @classmethod
    def restored(cls, row: Insert) -> "Message":
        """The message of a stored row."""
        return cls(
            row.id,
            row.sequence,
            row.enqueued_sequence,
            row.enqueued_at_ms,
            row.expires_at_ms,
            row.delivery_count,
            Content.parse(row.content),
            row.due_at_ms,
            bool(row.deferred),
        )

    def row(self, queue: str) -> Insert:
        """What is stored of the message."""
        return Insert(
            self.id,
            queue,
            self.sequence,
            self.enqueued_sequence,
            self.enqueued_at_ms,
            self.expires_at_ms,
            self.delivery_count,
            self.content.stored(),
            self.due_at_ms,
            int(self.deferred),
        )

    def expired(self, now: int) -> bool:
        return self.expires_at_ms is not None and self.expires_at_ms <= now

    def encoded(self, *, peeked: bool = False) -> bytes:
        """The message as its receiver gets it."""
        notes = {
            wire.SEQUENCE_NUMBER: enc.long(self.sequence),
            wire.ENQUEUED_TIME: enc.timestamp(self.enqueued_at_ms),
            wire.ENQUEUED_SEQUENCE_NUMBER: enc.long(self.enqueued_sequence),
        }
        if self.token is not None:
            notes[wire.LOCKED_UNTIL] = enc.timestamp(self.locked_until_ms)
        state = State.DEFERRED if self.deferred else self.state
        if peeked or self.deferred:
            notes[wire.MESSAGE_STATE] = enc.int32(_PEEKED_STATES.get(state, 0))
        return self.content.delivered(self.delivery_count, notes)


class Consumer(Protocol):
    """A receiving link, as its queue sees it."""

    settles_on_delivery: bool

    def can_take(self) -> bool:
        """Whether it has credit and its connection can carry one more message."""

    def reserve(self) -> None:
        """One message will be delivered: spend a credit for it."""

    def deliver(self, message: Message) -> None: ...

    def refund(self) -> None:
        """The reserved message will not come after all."""

    def caught_up(self) -> None:
        """Nothing is ready: a drain may be answered."""


class SessionConsumer(Consumer, Protocol):
    """A receiving link that asks for a session, and gets its messages once it has one."""

    name: str
    wanted_session: str | None
    patience_ms: int

    def granted(self, session: str, locked_until_ms: int) -> None: ...

    def refused(self, error: AmqpError) -> None:
        """It does not get a session."""

    def lost(self, error: AmqpError) -> None:
        """The lock of its session has expired."""


class Ids:
    """Hands out the ids of stored messages."""

    def __init__(self, last: int) -> None:
        self._last = last

    def next(self) -> int:
        self._last += 1
        return self._last


@dataclass(frozen=True)
class QueueSettings:
    """How a queue treats its messages; without a limit a message is delivered for ever."""

    lock_ms: int
    max_delivery_count: int | None = None
    default_ttl_ms: int | None = None
    dead_letter_expired: bool = False
    requires_session: bool = False


class Counts(NamedTuple):
    """Messages of a queue, and their size altogether. Deferred ones are among the active."""

    active: int
    scheduled: int
    dead: int
    size_bytes: int
