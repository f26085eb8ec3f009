"""A queue that requires sessions: each session's messages go in order to the one who holds it."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NoReturn
from uuid import UUID, uuid4

from localcloud.servicebus.changes import SetSessionState
from localcloud.servicebus.entities import (
    Consumer,
    Ids,
    Message,
    QueueSettings,
    SessionConsumer,
    State,
)
from localcloud.servicebus.errors import (
    NOT_ALLOWED,
    NOT_FOUND,
    SESSION_CANNOT_BE_LOCKED,
    TIMEOUT,
    AmqpError,
    MessageLockLost,
    SessionLockLost,
)
from localcloud.servicebus.ledger import Ledger, nobody_waits
from localcloud.servicebus.queues import Queue, Shelf
from localcloud.servicebus.routing import Staging
from localcloud.servicebus.steady import steady_ms
from localcloud.servicebus.store import Done, Store


class Lane:
    """One session: its messages, its state, and who holds it until when."""

    def __init__(self, session: str, shelf: Shelf) -> None:
        self.session = session
        self.shelf = shelf
        self.state: bytes | None = None
        self.holder: SessionConsumer | None = None
        self.locked_until_ms = 0
        self.locked: set[Message] = set()


class SessionQueue(Queue):
    """Lends out whole sessions. A session is free again when its link ends or its lock expires."""

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
        self._lanes: dict[str, Lane] = {}
        # Those that have messages and no holder; who has waited longest is lent out first.
        self._free: dict[str, Lane] = {}
        # All session locks last equally long, so the order of insertion is that of expiry.
        self._lent: dict[SessionConsumer, Lane] = {}
        self._waiting: dict[SessionConsumer, asyncio.TimerHandle] = {}

    def dissolve(self) -> None:
        super().dissolve()
        self._free.clear()
        for lane in self._lanes.values():
            lane.locked.clear()
        for timer in self._waiting.values():
            timer.cancel()
        for consumer in tuple(self._waiting):
            consumer.refused(AmqpError(NOT_FOUND, f"The entity '{self.name}' was deleted."))
        self._waiting.clear()

    def restore_states(self, rows: Iterable[SetSessionState]) -> None:
        for row in rows:
            self._lane(row.session).state = row.state

    def request_session(self, consumer: SessionConsumer) -> None:
        """Lend the wanted session, or the next that has messages, as soon as there is one.

        A named session that somebody holds is refused at once; for the next free one the consumer
        waits as long as its patience lasts.
        """
        session = consumer.wanted_session
        if session is None:
            loop = asyncio.get_running_loop()
            patience_s = consumer.patience_ms / 1000
            self._waiting[consumer] = loop.call_later(patience_s, self._give_up, consumer)
            self.wake()
        elif self._lane(session).holder is None:
            self._lend(self._lane(session), consumer)
        else:
            description = f"The requested session '{session}' cannot be accepted. It is locked."
            consumer.refused(AmqpError(SESSION_CANNOT_BE_LOCKED, description))

    def remove_consumer(self, consumer: Consumer) -> None:
        """Its session is free at once, and what it received from it comes again uncounted."""
        for waiting in [waiting for waiting in self._waiting if waiting is consumer]:
            self._waiting.pop(waiting).cancel()
        for lane in [lane for holder, lane in self._lent.items() if holder is consumer]:
            for message in self._take_back(lane):
                self.make_available(message)
            self._tidy(lane)

    def renew(self, tokens: Sequence[UUID]) -> NoReturn:  # noqa: ARG002 - refused
        raise AmqpError(NOT_ALLOWED, "Messages of a session are locked as long as their session.")

    def renew_session(self, session: str, link: str | None) -> int:
        """Lock a session anew; the time it is then locked until. Raises SessionLockLost."""
        lane = self._held_lane(session, link)
        assert lane.holder is not None
        lane.locked_until_ms = steady_ms() + self.settings.lock_ms
        for message in lane.locked:
            message.locked_until_ms = lane.locked_until_ms
        self._lent[lane.holder] = self._lent.pop(lane.holder)
        return lane.locked_until_ms

    def session_state(self, session: str, link: str | None) -> bytes | None:
        """What was kept with a session. Raises SessionLockLost."""
        return self._held_lane(session, link).state

    def set_session_state(
        self, session: str, link: str | None, state: bytes | None, done: Done
    ) -> None:
        """Keep something with a session, None to clear it. Raises SessionLockLost."""
        lane = self._held_lane(session, link)

        def kept() -> None:
            lane.state = state

        staging = Staging()
        staging.add(SetSessionState(self.key, session, state), kept)
        staging.submit(self._store, done)

    def sessions(self) -> list[str]:
        """The sessions that have messages or state, in alphabetical order."""
        busy = {message.content.session or "" for message in self._messages.values()}
        return sorted(busy | {lane.session for lane in self._lanes.values() if lane.state})

    def lock(self, message: Message) -> None:
        """Lock a message as long as its session. Raises SessionLockLost when nobody holds that."""
        lane = self._lane(message.content.session or "")
        if lane.holder is None:
            raise SessionLockLost
        message.token = uuid4()
        message.state = State.LOCKED
        message.locked_until_ms = lane.locked_until_ms
        self._locks[message.token] = message
        lane.locked.add(message)

    def _held(self, token: UUID) -> Message:
        try:
            return super()._held(token)
        except MessageLockLost:
            raise SessionLockLost from None

    def _held_lane(self, session: str, link: str | None) -> Lane:
        lane = self._lanes.get(session)
        if lane is None or lane.holder is None or lane.locked_until_ms <= steady_ms():
            raise SessionLockLost
        if link is not None and link != lane.holder.name:
            raise SessionLockLost
        return lane

    def _unlock(self, message: Message) -> None:
        super()._unlock(message)
        self._lane(message.content.session or "").locked.discard(message)

    def _lane(self, session: str) -> Lane:
        lane = self._lanes.get(session)
        if lane is None:
            lane = self._lanes[session] = Lane(session, Shelf(self._expire))
        return lane

    def _offer(self, message: Message) -> None:
        lane = self._lane(message.content.session or "")
        lane.shelf.put(message)
        if lane.holder is None:
            self._free[lane.session] = lane
        self.wake()

    def _has_consumers(self) -> bool:
        return bool(self._lent or self._waiting)

    def _pump(self) -> None:
        self._pump_scheduled = False
        while self._waiting and (lane := self._next_free()) is not None:
            consumer, timer = next(iter(self._waiting.items()))
            timer.cancel()
            del self._waiting[consumer]
            self._lend(lane, consumer)
        for consumer, lane in tuple(self._lent.items()):
            if lane.shelf:
                self._deliver(lane.shelf, deque((consumer,)))
            else:
                consumer.caught_up()

    def _next_free(self) -> Lane | None:
        while self._free:
            lane = next(iter(self._free.values()))
            if lane.shelf.first() is not None:
                return lane
            del self._free[lane.session]
            self._tidy(lane)
        return None

    def _lend(self, lane: Lane, consumer: SessionConsumer) -> None:
        self._free.pop(lane.session, None)
        lane.holder = consumer
        lane.locked_until_ms = steady_ms() + self.settings.lock_ms
        self._lent[consumer] = lane
        self._watch_locks()
        consumer.granted(lane.session, lane.locked_until_ms)
        self.wake()

    def _take_back(self, lane: Lane) -> list[Message]:
        """End the lock of a session; the messages that its holder had, without their locks."""
        assert lane.holder is not None
        del self._lent[lane.holder]
        lane.holder = None
        held = sorted(lane.locked, key=lambda message: message.sequence)
        for message in held:
            self._unlock(message)
        if lane.shelf.first() is not None:
            self._free[lane.session] = lane
            self.wake()
        return held

    def _tidy(self, lane: Lane) -> None:
        """Forget a session of which nothing is left."""
        if lane.holder is None and lane.state is None and lane.session not in self._free:
            self._lanes.pop(lane.session, None)

    def _give_up(self, consumer: SessionConsumer) -> None:
        del self._waiting[consumer]
        consumer.refused(AmqpError(TIMEOUT, "No session had messages within the time given."))

    def _watch_locks(self) -> None:
        if self._lock_timer is None and self._lent:
            first_ms = self._first_expiry_ms(lane.locked_until_ms for lane in self._lent.values())
            delay_s = max(first_ms - steady_ms(), 0) / 1000 + 0.001
            loop = asyncio.get_running_loop()
            self._lock_timer = loop.call_later(delay_s, self._expire_locks)

    def _expire_locks(self) -> None:
        self._lock_timer = None
        now = steady_ms()
        expired = [item for item in self._lent.items() if item[1].locked_until_ms <= now]
        for holder, lane in expired:
            for message in self._take_back(lane):
                self._count_failure(message, nobody_waits)
            holder.lost(SessionLockLost())
            self._tidy(lane)
        self._watch_locks()
