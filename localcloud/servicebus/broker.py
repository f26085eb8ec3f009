"""The entities at work: built from their descriptions, found by address, published to."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

from localcloud.servicebus import quotas
from localcloud.servicebus.changes import Insert, Stored
from localcloud.servicebus.entities import DEAD_LETTER_SUFFIX, TAKES_NONE, Ids, QueueSettings
from localcloud.servicebus.errors import ENTITY_DISABLED, NOT_ALLOWED, NOT_FOUND, AmqpError
from localcloud.servicebus.message import Content
from localcloud.servicebus.queues import Queue
from localcloud.servicebus.routing import History, Staging, Subscription, Topic
from localcloud.servicebus.schedules import Schedule
from localcloud.servicebus.session_queues import SessionQueue
from localcloud.servicebus.specs import QueueSpec, Spec, SubscriptionSpec, TopicSpec
from localcloud.servicebus.store import Done, Store

log = logging.getLogger(__name__)

type Entity = Topic | Queue
type Outlet = QueueSpec | SubscriptionSpec


class Broker:
    """All queues, topics and subscriptions of one namespace, over one store."""

    def __init__(self, store: Store, last_id: int = 0) -> None:
        self.store = store
        self._ids = Ids(last_id)
        self._topics: dict[str, Topic] = {}
        self._queues: dict[str, Queue] = {}
        self._schedules: dict[str, Schedule] = {}
        self._inlets: set[str] = set()

    def add(self, spec: Spec) -> None:
        """Let an entity work. A subscription's topic must be there, and what it forwards to."""
        if isinstance(spec, TopicSpec):
            topic = self._topics[spec.name.lower()] = Topic(spec.name)
            self._schedules[topic.key] = Schedule(topic, self.store, self._ids)
        elif isinstance(spec, QueueSpec):
            self._inlets.add(self._add_queue(spec.name, spec).key)
        elif isinstance(spec, SubscriptionSpec):
            queue = self._add_queue(f"{spec.topic}/Subscriptions/{spec.name}", spec)
            topic = self._topics[spec.topic.lower()]
            topic.subscriptions[queue.key] = Subscription(queue, spec.rules)
        self.change(spec)

    def _add_queue(self, name: str, spec: Outlet) -> Queue:
        build = partial(Queue, store=self.store, ids=self._ids)
        dead_letters = build(name + DEAD_LETTER_SUFFIX, QueueSettings(spec.lock_ms))
        kind = SessionQueue if spec.requires_session else Queue
        settings = QueueSettings(spec.lock_ms, requires_session=spec.requires_session)
        queue = kind(name, settings, store=self.store, ids=self._ids, dead_letters=dead_letters)
        self._queues |= {queue.key: queue, dead_letters.key: dead_letters}
        self._schedules[queue.key] = queue.schedule
        return queue

    def change(self, spec: Spec) -> None:
        """Let an entity work according to its new description."""
        entity = self.entity(path_of_spec(spec))
        assert entity is not None
        entity.status = spec.status
        if isinstance(spec, QueueSpec | TopicSpec):
            _remember_ids(entity, spec)
        if isinstance(entity, Topic):
            entity.default_ttl_ms = spec.default_ttl_ms
        elif isinstance(spec, QueueSpec | SubscriptionSpec):
            self._change_queue(entity, spec)
        if isinstance(spec, SubscriptionSpec):
            self._topics[spec.topic.lower()].subscriptions[entity.key].rules = spec.rules

    def _change_queue(self, queue: Queue, spec: Outlet) -> None:
        settings = QueueSettings(
            spec.lock_ms,
            spec.max_delivery_count,
            spec.default_ttl_ms,
            spec.dead_letter_expired,
            spec.requires_session,
        )
        dead_letters = self._queues[(queue.name + DEAD_LETTER_SUFFIX).lower()]
        for changed in (queue, dead_letters):
            changed.has_mixed_locks |= changed.settings.lock_ms != spec.lock_ms
        dead_letters.settings = QueueSettings(spec.lock_ms)
        queue.settings = settings
        self.connect(spec)

    def connect(self, spec: Outlet) -> None:
        """Let a queue forward to where it should; what does not exist is not forwarded to."""
        queue = self._queues[path_of_spec(spec)]
        queue.forward_to = self._target(spec.forward_to)
        queue.forward_dead_letters_to = self._target(spec.forward_dead_letters_to)
        if queue.forward_to is not None:
            queue.redirect()

    def _target(self, name: str | None) -> Entity | None:
        return None if name is None else self.entity(name.lower())

    def remove(self, path: str) -> None:
        """Forget an entity with all its messages; what was about to be done to them fails."""
        entity = self.entity(path)
        assert entity is not None
        entity.gone = True
        self._schedules.pop(path).dissolve()
        self._inlets.discard(path)
        if isinstance(entity, Topic):
            del self._topics[path]
            return
        entity.dissolve()
        del self._queues[path]
        self._queues.pop(path + DEAD_LETTER_SUFFIX.lower()).dissolve()
        for topic in self._topics.values():
            topic.subscriptions.pop(path, None)

    def restore(self, stored: Stored) -> None:
        """Take back what the store kept, once all entities are there."""
        entities: list[Entity] = [*self._topics.values(), *self._queues.values()]
        for entity in entities:
            entity.sequence = stored.counters.get(entity.key, 0)
        for remembered in stored.message_ids:
            known = self.entity(remembered.entity)
            if known is not None and known.history is not None:
                known.history.restore(remembered)
        for state in stored.sessions:
            queue_of_state = self._queues.get(state.queue)
            if isinstance(queue_of_state, SessionQueue):
                queue_of_state.restore_states([state])
        by_entity: dict[str, list[Insert]] = defaultdict(list)
        for row in stored.messages:
            by_entity[row.queue].append(row)
        for key, rows in by_entity.items():
            self._restore_messages(key, rows)

    def _restore_messages(self, key: str, rows: Sequence[Insert]) -> None:
        if key in self._queues:
            self._queues[key].restore(rows)
        elif key in self._topics:
            for row in rows:
                if row.due_at_ms is not None:  # or else it is of a queue that had this name
                    self._schedules[key].restore(row)
        else:
            log.warning(
                "%d stored messages of %s are kept: the topology no longer has it", len(rows), key
            )

    def entity(self, path: str) -> Entity | None:
        """The topic or queue (also subscription or dead-letter queue) at an entity path."""
        return self._topics.get(path) or self._queues.get(path)

    def queue(self, path: str) -> Queue | None:
        """The queue, subscription or dead-letter queue at an entity path."""
        return self._queues.get(path)

    def topic(self, path: str) -> Topic | None:
        """The topic at an entity path."""
        return self._topics.get(path)

    def scheduled(self, path: str) -> int:
        """How many messages wait for their time at an entity path."""
        return len([*self._schedules[path].messages()])

    def accepts(self, path: str) -> bool:
        """Whether messages can be sent there: to topics, and to queues that are no part of one."""
        return path in self._topics or path in self._inlets

    def publish(self, entity: Entity, contents: Sequence[Content], done: Done) -> None:
        """Route messages, all or none of them; `done` hears when they are on disk.

        Those with a time in the future wait until then. Raises AmqpError for a message that the
        entity does not take.
        """
        _check(entity, contents)
        staging = Staging()
        entity.used_at_ms = staging.now_ms
        for content in contents:
            content.with_message_id(uuid4().hex)
            due = content.due_at_ms()
            if due is not None and due > staging.now_ms:
                self._schedule(entity, content, due, staging)
            else:
                entity.take(content, staging)
        staging.submit(self.store, done)

    def schedule(
        self,
        entity: Entity,
        contents: Sequence[Content],
        done: Callable[[AmqpError | None, list[int]], None],
    ) -> None:
        """Like `publish`; `done` also hears the sequence numbers, 0 for a duplicate."""
        _check(entity, contents)
        staging = Staging()
        numbers = []
        for content in contents:
            content.with_message_id(uuid4().hex)
            due = content.due_at_ms() or staging.now_ms
            numbers.append(self._schedule(entity, content, due, staging))
        staging.submit(self.store, lambda failure: done(failure, numbers))

    def _schedule(self, entity: Entity, content: Content, due: int, staging: Staging) -> int:
        if entity.history is not None and not entity.history.is_new(content, staging):
            return 0
        return self._schedules[entity.key].put(content, due, staging)

    def cancel(self, entity: Entity, sequences: Sequence[int], done: Done) -> None:
        """Remove scheduled messages, all or none. Raises AmqpError when one is not waiting."""
        self._schedules[entity.key].cancel(sequences, done)


def _remember_ids(entity: Entity, spec: QueueSpec | TopicSpec) -> None:
    if not spec.detects_duplicates:
        entity.history = None
    elif entity.history is None:
        entity.history = History(entity.key, spec.history_ms)
    else:
        entity.history.keep_for(spec.history_ms)


def _check(entity: Entity, contents: Sequence[Content]) -> None:
    if entity.gone:
        raise AmqpError(NOT_FOUND, f"The messaging entity '{entity.name}' could not be found.")
    if entity.status in TAKES_NONE:
        raise disabled(entity.name)
    for content in contents:
        quotas.check(content)
    if isinstance(entity, SessionQueue) and any(content.session is None for content in contents):
        raise AmqpError(
            NOT_ALLOWED,
            "The SessionId was not set on a message, and it cannot be sent to the entity. Entities "
            "that have session support enabled can only receive messages that have the SessionId "
            "set to a valid value.",
        )


def disabled(name: str) -> AmqpError:
    """What a client hears that uses an entity against its status."""
    return AmqpError(ENTITY_DISABLED, f"The messaging entity '{name}' is currently disabled.")


def path_of_spec(spec: Spec) -> str:
    """The path of an entity, in lower case."""
    parent = f"{spec.topic}/subscriptions/" if isinstance(spec, SubscriptionSpec) else ""
    return f"{parent}{spec.name}".lower()


def entity_path(address: str) -> str:
    """The path inside the namespace that an address means, in lower case, without slashes around.

    Addresses come as URLs (`amqps://host/topic`) or as bare paths; the host does not matter.
    """
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()
