"""The broker's entities: built from the topology, found by address, published to."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

from localcloud.servicebus.changes import Insert, Stored
from localcloud.servicebus.entities import DEAD_LETTER_SUFFIX, Ids, QueueSettings
from localcloud.servicebus.errors import NOT_ALLOWED, AmqpError
from localcloud.servicebus.message import Content
from localcloud.servicebus.queues import Queue
from localcloud.servicebus.routing import Destination, History, Staging, Topic
from localcloud.servicebus.schedules import Schedule
from localcloud.servicebus.session_queues import SessionQueue
from localcloud.servicebus.store import Done, Store
from localcloud.servicebus.topology import QueueSpec, TopicSpec, Topology

log = logging.getLogger(__name__)

type Entity = Topic | Queue


class Broker:
    """All queues, topics and subscriptions of one namespace, over one store."""

    def __init__(self, topology: Topology, store: Store) -> None:
        stored = store.load()
        self.store = store
        self._ids = Ids(stored.messages[-1].id if stored.messages else 0)
        self._topics: dict[str, Topic] = {}
        self._queues: dict[str, Queue] = {}
        self._schedules: dict[str, Schedule] = {}
        self._inlets: set[str] = set()
        for spec in topology.queues:
            self._inlets.add(self._add_queue(spec.name, spec).key)
        for topic in topology.topics:
            self._add_topic(topic)
        for spec in topology.queues:
            self._connect(spec.name, spec)
        for topic in topology.topics:
            for subscription in topic.subscriptions:
                self._connect(f"{topic.name}/Subscriptions/{subscription.name}", subscription)
        self._restore(stored)

    def _add_queue(self, name: str, spec: QueueSpec) -> Queue:
        build = partial(Queue, store=self.store, ids=self._ids)
        dead_letters = build(name + DEAD_LETTER_SUFFIX, QueueSettings(spec.lock_ms))
        settings = QueueSettings(
            spec.lock_ms,
            spec.max_delivery_count,
            spec.default_ttl_ms,
            spec.dead_letter_expired,
            spec.requires_session,
        )
        kind = SessionQueue if spec.requires_session else Queue
        queue = kind(name, settings, store=self.store, ids=self._ids, dead_letters=dead_letters)
        if spec.duplicate_window_ms is not None:
            queue.history = History(queue.key, spec.duplicate_window_ms)
        self._queues |= {queue.key: queue, dead_letters.key: dead_letters}
        self._schedules[queue.key] = queue.schedule
        return queue

    def _add_topic(self, spec: TopicSpec) -> None:
        topic = Topic(spec.name, spec.default_ttl_ms)
        if spec.duplicate_window_ms is not None:
            topic.history = History(topic.key, spec.duplicate_window_ms)
        self._topics[topic.key] = topic
        self._schedules[topic.key] = Schedule(topic, self.store, self._ids)
        for sub in spec.subscriptions:
            queue = self._add_queue(f"{spec.name}/Subscriptions/{sub.name}", sub)
            topic.subscriptions.append((queue, sub.rules))

    def _connect(self, name: str, spec: QueueSpec) -> None:
        """Let a queue forward; the topology made sure that the targets exist."""
        queue = self._queues[name.lower()]
        if spec.forward_to is not None:
            queue.forward_to = self.entity(spec.forward_to.lower())
        if spec.forward_dead_letters_to is not None:
            queue.forward_dead_letters_to = self.entity(spec.forward_dead_letters_to.lower())

    def _restore(self, stored: Stored) -> None:
        counters = stored.counters
        for topic in self._topics.values():
            topic.sequence = counters.get(topic.key, 0)
        for queue in self._queues.values():
            queue.sequence = counters.get(queue.key, 0)
        for remembered in stored.message_ids:
            entity = self.entity(remembered.entity)
            if entity is not None and entity.history is not None:
                entity.history.restore(remembered)
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


def _check(entity: Destination, contents: Sequence[Content]) -> None:
    if isinstance(entity, SessionQueue) and any(content.session is None for content in contents):
        raise AmqpError(
            NOT_ALLOWED,
            "The SessionId was not set on a message, and it cannot be sent to the entity. Entities "
            "that have session support enabled can only receive messages that have the SessionId "
            "set to a valid value.",
        )


def entity_path(address: str) -> str:
    """The path inside the namespace that an address means, in lower case, without slashes around.

    Addresses come as URLs (`amqps://host/topic`) or as bare paths; the host does not matter.
    """
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()
