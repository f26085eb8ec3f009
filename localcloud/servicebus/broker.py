"""The broker's entities: finds them by address and routes what is published to subscriptions."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from localcloud.servicebus import message as wire
from localcloud.servicebus.entities import Ids, QueueSettings, now_ms
from localcloud.servicebus.errors import NOT_IMPLEMENTED, AmqpError
from localcloud.servicebus.message import Content
from localcloud.servicebus.queues import Queue
from localcloud.servicebus.rules import Filter
from localcloud.servicebus.store import Advance, Change, Done, Insert, Store
from localcloud.servicebus.topology import TopicSpec

log = logging.getLogger(__name__)

DEAD_LETTER_SUFFIX: Final = "/$DeadLetterQueue"


@dataclass(eq=False)
class Topic:
    """Takes messages in and keeps none: each subscription that wants one gets its own copy."""

    name: str
    default_ttl_ms: int | None
    subscriptions: list[tuple[Queue, tuple[Filter, ...]]] = field(default_factory=list)
    sequence: int = 0

    @property
    def key(self) -> str:
        return self.name.lower()

    def audience(self, content: Content) -> list[Queue]:
        """The subscriptions with a filter that matches, each once."""
        return [
            queue
            for queue, filters in self.subscriptions
            if any(candidate.matches(content) for candidate in filters)
        ]


class Broker:
    """All topics and subscriptions of one namespace, over one store."""

    def __init__(self, topics: Sequence[TopicSpec], store: Store) -> None:
        rows, counters = store.load()
        self.store = store
        self._ids = Ids(rows[-1].id if rows else 0)
        self._topics: dict[str, Topic] = {}
        self._queues: dict[str, Queue] = {}
        for spec in topics:
            self._add_topic(spec, counters.get(spec.name.lower(), 0))
        self._restore(rows, counters)

    def _add_topic(self, spec: TopicSpec, sequence: int) -> None:
        topic = Topic(spec.name, spec.default_ttl_ms, sequence=sequence)
        self._topics[topic.key] = topic
        for sub in spec.subscriptions:
            name = f"{spec.name}/Subscriptions/{sub.name}"
            dead_letters = Queue(
                name + DEAD_LETTER_SUFFIX,
                QueueSettings(sub.lock_ms),
                store=self.store,
                ids=self._ids,
            )
            settings = QueueSettings(
                sub.lock_ms, sub.max_delivery_count, sub.default_ttl_ms, sub.dead_letter_expired
            )
            queue = Queue(
                name, settings, store=self.store, ids=self._ids, dead_letters=dead_letters
            )
            topic.subscriptions.append((queue, sub.filters))
            self._queues |= {queue.key: queue, dead_letters.key: dead_letters}

    def _restore(self, rows: Sequence[Insert], counters: dict[str, int]) -> None:
        by_queue: dict[str, list[Insert]] = defaultdict(list)
        for row in rows:
            by_queue[row.queue].append(row)
        for key, queue in self._queues.items():
            queue.restore(counters.get(key, 0), by_queue.pop(key, []))
        for key, orphans in by_queue.items():
            log.warning(
                "%d stored messages of %s are kept: the topology no longer has it",
                len(orphans),
                key,
            )

    def topic(self, path: str) -> Topic | None:
        return self._topics.get(path)

    def queue(self, path: str) -> Queue | None:
        """The subscription or dead-letter queue at an entity path."""
        return self._queues.get(path)

    def publish(self, topic: Topic, contents: Sequence[Content], done: Done) -> None:
        """Route messages, all or none of them; `done` hears when they are on disk.

        Raises AmqpError for a message that asks for what is not supported.
        """
        for content in contents:
            if content.annotation(wire.SCHEDULED_TIME) is not None:
                raise AmqpError(NOT_IMPLEMENTED, "Scheduled messages are not supported yet.")
        now = now_ms()
        changes: list[Change] = []
        staged = []
        for content in contents:
            topic.sequence += 1
            content.with_message_id(uuid4().hex)
            content.limit_ttl(topic.default_ttl_ms)
            for queue in topic.audience(content):
                message, rows = queue.stage(content, topic.sequence, now)
                staged.append((queue, message))
                changes += rows
        if not changes:
            done(None)  # no subscription wants it, so there is nothing to keep
            return
        changes.append(Advance(topic.key, topic.sequence))

        def stored(failure: AmqpError | None) -> None:
            if failure is None:
                for queue, message in staged:
                    queue.admit(message)
            done(failure)

        self.store.submit(changes, stored)


def entity_path(address: str) -> str:
    """The path inside the namespace that an address means, in lower case, without slashes around.

    Addresses come as URLs (`amqps://host/topic`) or as bare paths; the host does not matter.
    """
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()
