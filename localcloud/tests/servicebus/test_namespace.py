"""What stays of entities that were changed at run time, and when the topology file wins."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.management import SqlRuleFilter

from localcloud.servicebus.changes import Change, Empty, ForgetEntity, Insert, PutEntity
from localcloud.servicebus.errors import AmqpError
from localcloud.servicebus.namespace import Namespace
from localcloud.servicebus.records import Described, declaration, merge
from localcloud.servicebus.rules import CorrelationFilter, Rule, SqlAction, SqlFilter
from localcloud.servicebus.specs import QueueSpec, SubscriptionSpec, TopicSpec, duration_text
from localcloud.servicebus.store import Done, Store
from localcloud.servicebus.topology import Topology
from localcloud.tests.servicebus.rig import BrokerProcess, running, subscription, write_topology
from localcloud.tests.servicebus.sdk import Sdk
from localcloud.tests.servicebus.waiting import bodies, receive

# So the SDK asks whether a rule has parameters; a killed broker leaves its clients with litter.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Testing an element's truth:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
QUEUE = QueueSpec(name="Q", max_delivery_count=3)
TOPIC = TopicSpec(name="t")
SUBSCRIPTION = SubscriptionSpec(name="s", topic="t")
TOPOLOGY = Topology((QUEUE,), (TOPIC,), (SUBSCRIPTION,))


def stored(*entities: Described) -> list[PutEntity]:
    return [entity.record() for entity in entities]


def test_an_empty_store_takes_what_the_topology_declares() -> None:
    entities, deleted, changes = merge(TOPOLOGY, [])
    assert {path: found.spec for path, found in entities.items()} == {
        "q": QUEUE,
        "t": TOPIC,
        "t/subscriptions/s": SUBSCRIPTION,
    }
    assert deleted == []
    assert changes == stored(*entities.values())
    assert merge(TOPOLOGY, stored(*entities.values())) == (entities, [], [])


def test_what_was_changed_stays_until_the_topology_says_something_else() -> None:
    changed = replace(QUEUE, max_delivery_count=7)
    known = stored(Described(changed, 1, 2, declaration(QUEUE)))
    entities, _, changes = merge(Topology((QUEUE,), (), ()), known)
    assert entities == {"q": Described(changed, 1, 2, declaration(QUEUE))}
    assert changes == []
    newer = replace(QUEUE, lock_ms=5_000)
    entities, _, (put,) = merge(Topology((newer,), (), ()), known)
    assert entities["q"].spec == newer
    assert (entities["q"].created_at_ms, put) == (1, entities["q"].record())


def test_what_was_deleted_stays_so_until_the_topology_says_something_else() -> None:
    (record,) = stored(Described(QUEUE, 1, 2, declaration(QUEUE)))
    tombstone = record._replace(entry=None)
    entities, deleted, changes = merge(Topology((QUEUE,), (), ()), [tombstone])
    assert (entities, deleted, changes) == ({}, [tombstone], [])
    newer = replace(QUEUE, lock_ms=5_000)
    entities, deleted, _ = merge(Topology((newer,), (), ()), [tombstone])
    assert (entities["q"].spec, deleted) == (newer, [])


def test_what_was_made_at_run_time_stays_and_what_the_topology_dropped_goes() -> None:
    made = Described(replace(QUEUE, name="made"), 1, 2)
    dropped = Described(QUEUE, 1, 2, declaration(QUEUE))
    orphan = Described(SUBSCRIPTION, 1, 2)
    entities, _, changes = merge(Topology((), (), ()), stored(made, dropped, orphan))
    assert entities == {"made": made}
    assert changes == [ForgetEntity("q"), ForgetEntity("t/subscriptions/s")]


def test_a_description_is_read_as_it_was_declaration() -> None:
    rules = (
        Rule("a", CorrelationFilter({"subject": "x", "to": "y"}, {"n": 1, "h": 1.5, "b": True})),
        Rule("b", SqlFilter("n > @m", {"@m": 3}), SqlAction("SET a = 1")),
    )
    rich = replace(SUBSCRIPTION, rules=rules, idle_ms=300_000, forward_to="q", user_metadata="m")
    full = replace(QUEUE, default_ttl_ms=90_061_500, detects_duplicates=True, status="Disabled")
    known = stored(Described(full, 1, 2), Described(TOPIC, 1, 2), Described(rich, 3, 4))
    entities, _, changes = merge(Topology((), (), ()), known)
    assert [found.spec for found in entities.values()] == [full, TOPIC, rich]
    assert changes == []


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "PT0S"),
        (500, "PT0.5S"),
        (60_000, "PT1M"),
        (86_400_000, "P1D"),
        (1_209_600_000, "P14D"),
        (93_784_005, "P1DT2H3M4.005S"),
        (None, "P10675199DT2H48M5.4775807S"),
    ],
)
def test_durations_are_written_as_azure_writes_them(ms: int | None, text: str) -> None:
    assert duration_text(ms) == text


def administration(broker: BrokerProcess) -> ServiceBusAdministrationClient:
    return ServiceBusAdministrationClient.from_connection_string(
        broker.admin_connection_string(), connection_verify=str(broker.certificate)
    )


async def test_changes_and_rules_survive_a_kill_and_the_file_wins_once_it_changes(
    tmp_path: Path,
) -> None:
    state, options = tmp_path / "state", ("--admin-port", "0")
    topics = {"t": [subscription("s"), subscription("other")]}
    topology = write_topology(tmp_path / "t.json", topics, {"q": {}, "doomed": {}})
    broker = BrokerProcess(topology, state, *options)
    sdk = Sdk(broker.connection_string(), synchronous=False)
    async with administration(broker) as admin:
        await admin.create_queue("made", lock_duration="PT5S", requires_session=True)
        await admin.create_subscription("t", "made")
        queue = await admin.get_queue("q")
        queue.max_delivery_count = 2
        await admin.update_queue(queue)
        await admin.create_rule("t", "s", "large", filter=SqlRuleFilter("n > 10"))
        await admin.delete_rule("t", "s", "$Default")
        (sender,) = await asyncio.gather(sdk.queue_sender("doomed"))
        await sender.send_messages(ServiceBusMessage("never seen again"))
        await admin.delete_queue("doomed")
        created = (await admin.get_queue_runtime_properties("q")).created_at_utc
    made = await sdk.queue_sender("made")
    await made.send_messages(ServiceBusMessage("kept", session_id="x"))
    certificate = broker.certificate.read_bytes()
    broker.kill()
    await sdk.close()
    with running(topology, state, *options) as again:
        async with administration(again) as admin:
            assert again.certificate.read_bytes() == certificate
            assert [queue.name async for queue in admin.list_queues()] == ["made", "q"]
            assert (await admin.get_queue("q")).max_delivery_count == 2
            assert (await admin.get_queue_runtime_properties("q")).created_at_utc == created
            assert [rule.name async for rule in admin.list_rules("t", "s")] == ["large"]
            await admin.create_queue("doomed")
            counts = await admin.get_queue_runtime_properties("doomed")
            assert counts.total_message_count == 0
        sdk = Sdk(again.connection_string(), synchronous=False)
        session = await sdk.queue_receiver("made", session_id="x")
        assert bodies(await receive(session, 1)) == ["kept"]
        await sdk.close()
    queues: dict[str, dict[str, Any]] = {"q": {"MaxDeliveryCount": 9}, "doomed": {}}
    write_topology(topology, topics, queues)
    with running(topology, state, *options) as last:
        async with administration(last) as admin:
            assert (await admin.get_queue("q")).max_delivery_count == 9
            assert [rule.name async for rule in admin.list_rules("t", "s")] == ["large"]
            names = [sub.name async for sub in admin.list_subscriptions("t")]
            assert names == ["made", "other", "s"]


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    state, options = tmp_path / "state", ("--admin-port", "0")
    topology = write_topology(tmp_path / "t.json", {"t": [subscription("s")]}, {})
    broker = BrokerProcess(topology, state, *options)
    made: list[str] = []
    enough = asyncio.Event()

    async def create_for_ever(prefix: str) -> None:
        async with administration(broker) as admin:
            while True:
                name = f"{prefix}{len(made)}"
                await admin.create_queue(name)
                await admin.create_rule("t", "s", name, filter=SqlRuleFilter("1 = 0"))
                made.append(name)
                if len(made) >= 20:
                    enough.set()

    creating = asyncio.gather(*map(create_for_ever, "ab"), return_exceptions=True)
    async with asyncio.timeout(30):
        await enough.wait()
    broker.kill()
    creating.cancel()
    await asyncio.wait([creating])
    with running(topology, state, *options) as again:
        async with administration(again) as admin:
            queues = {queue.name async for queue in admin.list_queues()}
            rules = {rule.name async for rule in admin.list_rules("t", "s")}
    assert {*made} - queues == set()
    assert {*made} - rules == set()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path / "s.db", 1 << 20)
    made.start()
    yield made
    await made.close()


def row(queue: str, number: int, content: bytes = b"") -> Insert:
    return Insert(number, queue, number, number, 1_000, None, 0, content)


async def test_a_new_entity_does_not_inherit_what_an_older_one_left(store: Store) -> None:
    await store.write([row("new", 1), row("new/$deadletterqueue", 2), row("kept", 3)])
    namespace = Namespace(store, Topology((), (), ()))
    await namespace.create(QueueSpec(name="new"))
    assert store.load().messages == [row("kept", 3)]


async def test_a_topic_leaves_the_messages_of_a_queue_of_its_name_alone(store: Store) -> None:
    await store.write([row("t", 1)])
    await Namespace(store, Topology((), (TOPIC,), ())).start()
    assert store.load().messages == [row("t", 1)]


async def fill(store: Store) -> None:
    for number in range(1, 100):
        await store.write([row("q", number, b"x" * 20_000)])


async def test_a_full_store_starts_and_forgets_no_declaration(store: Store) -> None:
    with pytest.raises(AmqpError, match="full"):
        await fill(store)
    many = [replace(QUEUE, name=f"q{number}", user_metadata="x" * 1_000) for number in range(100)]
    topology = Topology(tuple(many), (), ())
    namespace = Namespace(store, topology)
    await namespace.start()
    assert len(namespace.all(QueueSpec)) == 100
    assert store.load().entities == []
    await store.write([Empty("q")])
    await Namespace(store, topology).start()
    assert len(store.load().entities) == 100


async def test_a_refused_change_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = Namespace(store, TOPOLOGY)
    await namespace.start()
    queue, topic = namespace.broker.queue("q"), namespace.broker.topic("t")
    changed = replace(QUEUE, max_delivery_count=9)
    monkeypatch.setattr(store, "submit", refuse)
    for change in (
        namespace.create(replace(QUEUE, name="new")),
        namespace.update(changed),
        namespace.put_rule("t/subscriptions/s", Rule("r", SqlFilter("1 = 1"))),
    ):
        with pytest.raises(AmqpError, match="no disk"):
            await change
    assert namespace.get("new") is None
    assert namespace.broker.entity("new") is None
    assert queue is not None
    assert topic is not None
    assert queue.settings.max_delivery_count == 3
    assert [rule.name for rule in namespace.rules("t/subscriptions/s")] == ["$Default"]
    assert len(topic.subscriptions["t/subscriptions/s"].rules) == 1


def refuse(_changes: Sequence[Change], done: Done) -> None:
    done(AmqpError("amqp:internal-error", "no disk"))
