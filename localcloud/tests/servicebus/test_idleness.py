"""Entities that nobody uses are deleted when they allow it, those in use are not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.servicebus.entities import now_ms
from localcloud.servicebus.idleness import delete_idle, idle
from localcloud.servicebus.namespace import Namespace
from localcloud.servicebus.specs import QueueSpec, SubscriptionSpec, TopicSpec
from localcloud.servicebus.store import Store
from localcloud.servicebus.topology import Topology

FIVE_MINUTES = 300_000
TOPOLOGY = Topology(
    (QueueSpec(name="lasting"), QueueSpec(name="q", idle_ms=FIVE_MINUTES)),
    (TopicSpec(name="t", idle_ms=2 * FIVE_MINUTES),),
    (
        SubscriptionSpec(name="s", topic="t", idle_ms=FIVE_MINUTES),
        SubscriptionSpec(name="on", topic="t", forward_to="q"),
    ),
)


@pytest.fixture
async def namespace(tmp_path: Path) -> AsyncIterator[Namespace]:
    store = Store(tmp_path / "s.db", 1 << 24)
    store.start()
    made = Namespace(store, TOPOLOGY)
    await made.start()
    yield made
    await store.close()


@pytest.mark.conforms(
    "Expiry",
    "an entity that was not used for its AutoDeleteOnIdle is removed",
    source="learn:azure/service-bus-messaging/message-expiration",
)
async def test_entities_are_idle_after_their_own_time(namespace: Namespace) -> None:
    now = now_ms()
    assert idle(namespace, now + FIVE_MINUTES - 60_000) == []
    assert idle(namespace, now + FIVE_MINUTES + 1) == ["t/subscriptions/s", "q"]
    later = now + 2 * FIVE_MINUTES + 1
    assert idle(namespace, later) == ["t/subscriptions/s", "t", "q"]
    queue = namespace.broker.queue("q")
    assert queue is not None
    queue.used_at_ms = later - 1
    assert idle(namespace, later) == ["t/subscriptions/s", "t"]


async def test_idle_entities_are_deleted_for_good(namespace: Namespace, tmp_path: Path) -> None:
    now = now_ms()
    await delete_idle(namespace, now + FIVE_MINUTES + 1)
    # Something still forwards to it.
    assert namespace.get("q") is not None
    assert namespace.get("t/subscriptions/s") is None
    await delete_idle(namespace, now + 2 * FIVE_MINUTES + 1)
    assert namespace.get("q") is None
    assert namespace.get("t/subscriptions/on") is None
    await namespace.broker.store.close()
    store = Store(tmp_path / "s.db", 1 << 24)
    again = Namespace(store, TOPOLOGY)
    assert [found.spec.name for found in again.all(QueueSpec)] == ["lasting"]
    await store.close()
