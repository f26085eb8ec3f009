"""A message in a queue, and what a queue and its consumers expect of each other."""

import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus.message import Content


def now_ms() -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return int(time.time() * 1000)


class State(Enum):
    """Where in its life a message is. While settling, the disk decides what comes next."""

    READY = auto()
    LOCKED = auto()
    SETTLING = auto()


@dataclass(slots=True, eq=False)
class Message:
    """One message in one queue."""

    id: int
    sequence: int
    enqueued_sequence: int
    enqueued_at_ms: int
    expires_at_ms: int | None
    delivery_count: int
    content: Content
    state: State = State.READY
    token: UUID | None = None
    locked_until_ms: int = 0

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
        if peeked:
            notes[wire.MESSAGE_STATE] = enc.int32(0)
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
