"""How messages get into queues: what is staged together is stored together, or not at all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from localcloud.servicebus.changes import Advance, Change, ForgetIds, RememberId
from localcloud.servicebus.entities import now_ms
from localcloud.servicebus.errors import AmqpError
from localcloud.servicebus.message import Content
from localcloud.servicebus.rules import Rule, copies
from localcloud.servicebus.store import Done, Store

MAX_HOPS: Final = 4
"""How often one message is forwarded; then it is dead-lettered, because it may go in circles."""


class Staging:
    """Changes to the store, and what follows in memory once they are on disk or refused."""

    def __init__(self, *changes: Change) -> None:
        self.now_ms = now_ms()
        self.changes = list(changes)
        self._counters: dict[str, int] = {}
        self._hooks: list[Done] = []

    def count(self, name: str, value: int) -> None:
        """A counter moved on; that alone is no reason to write."""
        self._counters[name] = value

    def then(self, hook: Done) -> None:
        """Call this when the outcome is known, in the order of registration."""
        self._hooks.append(hook)

    def add(self, change: Change, admit: Callable[[], None]) -> None:
        """Make a change, and `admit` what it is about once it is stored."""
        self.changes.append(change)
        self._hooks.append(lambda failure: None if failure else admit())

    def submit(self, store: Store, done: Done) -> None:
        """Store everything, run the hooks, then call `done`."""

        def settled(failure: AmqpError | None) -> None:
            for hook in self._hooks:
                hook(failure)
            done(failure)

        if not self.changes:
            settled(None)  # no subscription wants it, so there is nothing to keep
            return
        counters = [Advance(name, value) for name, value in self._counters.items()]
        store.submit([*self.changes, *counters], settled)


class Destination(Protocol):
    """Where messages can be sent or forwarded to."""

    name: str
    key: str
    gone: bool
    status: str

    def advance(self, staging: Staging) -> int:
        """The next sequence number."""

    def take(
        self,
        content: Content,
        staging: Staging,
        *,
        origin: int | None = None,
        hops: int = 0,
        known: bool = False,
    ) -> None:
        """Stage one message.

        `origin` is the sequence number it got where it was sent first, `hops` how often it was
        forwarded, and `known` says that it was looked for among the duplicates before.
        """


class History:
    """The message ids that an entity has seen during the window of its duplicate detection."""

    def __init__(self, entity: str, window_ms: int) -> None:
        self._entity = entity
        self._window_ms = window_ms
        # Most have the same window, so the order of insertion is that of expiry, more or less.
        self._until: dict[str, int] = {}

    def restore(self, row: RememberId) -> None:
        self._until[row.message_id] = row.until_ms

    def keep_for(self, window_ms: int) -> None:
        """Remember ids that come from now on for another time."""
        self._window_ms = window_ms

    def is_new(self, content: Content, staging: Staging) -> bool:
        """Whether no other message with this id came; from now on this one has."""
        self._forget(staging)
        message_id = str(content.properties().get("message-id"))
        if message_id in self._until:
            return False
        until = self._until[message_id] = staging.now_ms + self._window_ms
        staging.changes.append(RememberId(self._entity, message_id, until))

        def undo(failure: AmqpError | None) -> None:
            if failure is not None:
                self._until.pop(message_id, None)

        staging.then(undo)
        return True

    def _forget(self, staging: Staging) -> None:
        old = False
        while self._until and next(iter(self._until.values())) <= staging.now_ms:
            del self._until[next(iter(self._until))]
            old = True
        if old:
            staging.changes.append(ForgetIds(self._entity, staging.now_ms))


@dataclass(eq=False)
class Subscription:
    """Where copies of a topic's messages go, and the rules that choose them."""

    queue: Destination
    rules: tuple[Rule, ...]


@dataclass(eq=False)
class Topic:
    """Takes messages in and keeps none: each subscription that wants one gets its own copy."""

    name: str
    default_ttl_ms: int | None = None
    history: History | None = None
    sequence: int = 0
    status: str = "Active"
    gone: bool = False
    used_at_ms: int = field(default_factory=now_ms)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = self.name.lower()

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
        sequence = self.advance(staging)
        limited = content.limited(self.default_ttl_ms)
        for subscription in self.subscriptions.values():
            for copy in copies(subscription.rules, limited):
                subscription.queue.take(copy, staging, origin=origin or sequence, hops=hops)
