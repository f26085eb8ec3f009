"""The administration API as the Python SDK sees it, synchronous and asynchronous."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import MessagingEntityDisabledError, ServiceBusError
from azure.servicebus.management import (
    CorrelationRuleFilter,
    SqlRuleAction,
    SqlRuleFilter,
    TrueRuleFilter,
)

from localcloud.tests.servicebus.administrator import Administration
from localcloud.tests.servicebus.rig import BrokerProcess
from localcloud.tests.servicebus.sdk import Sdk
from localcloud.tests.servicebus.waiting import bodies, receive

# So the SDK asks whether a rule has parameters.
pytestmark = pytest.mark.filterwarnings("ignore:Testing an element's truth:DeprecationWarning")
SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(params=[True, False], ids=["sync", "aio"])
async def admin(
    broker: BrokerProcess, request: pytest.FixtureRequest
) -> AsyncIterator[Administration]:
    client = Administration(broker, synchronous=request.param)
    yield client
    await client.close()


@pytest.fixture(scope="session")
async def bus(broker: BrokerProcess) -> AsyncIterator[Sdk]:
    sdk = Sdk(broker.connection_string(), synchronous=False)
    yield sdk
    await sdk.close()


@pytest.mark.conforms(
    "Administration",
    "entities are managed as Atom entries over HTTPS",
    source="learn:rest/api/servicebus/",
)
async def test_a_queue_is_created_changed_and_deleted(admin: Administration) -> None:
    name = f"{admin.prefix}-made/Queue"
    created = await admin(
        "create_queue",
        name,
        lock_duration=timedelta(seconds=7),
        max_delivery_count=3,
        default_message_time_to_live=timedelta(days=1, hours=2, seconds=3.5),
        dead_lettering_on_message_expiration=True,
        requires_duplicate_detection=True,
        duplicate_detection_history_time_window="PT1M",
        auto_delete_on_idle=timedelta(hours=1),
        forward_dead_lettered_messages_to="goal",
        user_metadata="<made & tested>",
        max_size_in_megabytes=2048,
    )
    got = await admin("get_queue", name.lower())
    assert got.lock_duration == timedelta(seconds=7)
    assert got.max_delivery_count == 3
    assert got.default_message_time_to_live == timedelta(days=1, hours=2, seconds=3.5)
    assert got.dead_lettering_on_message_expiration
    assert got.requires_duplicate_detection
    assert got.duplicate_detection_history_time_window == timedelta(minutes=1)
    assert got.auto_delete_on_idle == timedelta(hours=1)
    assert got.forward_dead_lettered_messages_to == created.forward_dead_lettered_messages_to
    assert got.forward_dead_lettered_messages_to.endswith("/goal")
    assert (got.user_metadata, got.max_size_in_megabytes) == ("<made & tested>", 2048)
    assert (got.status, got.availability_status) == ("Active", "Available")
    assert not got.requires_session
    assert not got.enable_partitioning
    got.max_delivery_count = 5
    await admin("update_queue", got)
    again = await admin("get_queue", name)
    assert dict(again) | {"name": name.lower()} == dict(got)
    await admin("delete_queue", name)
    with pytest.raises(ResourceNotFoundError):
        await admin("get_queue", name)


async def test_what_is_impossible_is_refused_and_changes_nothing(admin: Administration) -> None:
    names = {queue.name for queue in await admin("list_queues")}
    refusals: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any], str]] = [
        (ResourceExistsError, "create_queue", ("GOAL",), {}, ""),
        (ResourceExistsError, "create_topic", ("goal",), {}, ""),
        (ResourceNotFoundError, "delete_queue", ("nowhere",), {}, ""),
        (ResourceNotFoundError, "get_subscription", ("relay", "nobody"), {}, ""),
        (ResourceNotFoundError, "create_subscription", ("nowhere", "s"), {}, ""),
        (ResourceNotFoundError, "create_rule", ("relay", "nobody", "r"), {}, ""),
        (ResourceNotFoundError, "delete_rule", ("relay", "all", "none"), {}, ""),
        (HttpResponseError, "create_queue", ("no spaces",), {}, "the name 'no spaces'"),
        (HttpResponseError, "create_queue", ("a" * 261,), {}, "at most 260 characters"),
        (HttpResponseError, "create_subscription", ("relay", "s" * 51), {}, "at most 50"),
        (HttpResponseError, "create_rule", ("relay", "all", "r" * 51), {}, "at most 50"),
        (HttpResponseError, "create_queue", ("q",), {"lock_duration": "PT6M"}, "LockDuration"),
        (HttpResponseError, "create_queue", ("q",), {"max_delivery_count": 0}, "MaxDelivery"),
        (HttpResponseError, "create_queue", ("q",), {"auto_delete_on_idle": "PT4M"}, "PT5M"),
        (HttpResponseError, "create_queue", ("q",), {"enable_partitioning": True}, "Partition"),
        (HttpResponseError, "create_queue", ("q",), {"user_metadata": "x" * 1025}, "1024"),
        (HttpResponseError, "create_queue", ("q",), {"forward_to": "nowhere"}, "nowhere"),
        (HttpResponseError, "create_queue", ("q",), {"max_message_size_in_kilobytes": 9}, "Max"),
        (HttpResponseError, "delete_queue", ("goal",), {}, "forwards to 'goal'"),
        (
            HttpResponseError,
            "create_rule",
            ("relay", "all", "r"),
            {"filter": SqlRuleFilter("n >")},
            "expected before the end",
        ),
    ]
    for kind, method, arguments, options, text in refusals:
        with pytest.raises(kind) as refused:
            await admin(method, *arguments, **options)
        assert text in str(refused.value), (method, arguments, options)
    assert {queue.name for queue in await admin("list_queues")} == names


async def test_a_fixed_setting_cannot_be_changed(admin: Administration) -> None:
    queue = await admin("get_queue", "deferred")
    queue.requires_session = True
    with pytest.raises(HttpResponseError, match="RequiresSession of an entity cannot change"):
        await admin("update_queue", queue)
    queue.requires_session, queue.name = False, "nowhere"
    with pytest.raises(ResourceNotFoundError):
        await admin("update_queue", queue)
    assert not (await admin("get_queue", "deferred")).requires_session


async def test_topics_have_subscriptions_and_these_have_rules(admin: Administration) -> None:
    topic = f"{admin.prefix}-made-topic"
    await admin("create_topic", topic, default_message_time_to_live="PT1H")
    for number in range(3):
        await admin("create_subscription", topic, f"s{number}", lock_duration="PT5S")
    listed = await admin("list_subscriptions", topic, max_page_size=2)
    assert [subscription.name for subscription in listed] == ["s0", "s1", "s2"]
    kept: dict[str, Any] = {
        "n": 7,
        "large": 2**40,
        "half": 0.5,
        "yes": True,
        "text": "ü",
        "since": SINCE,
    }
    chosen = CorrelationRuleFilter(label="x", correlation_id="c", properties=kept)
    action = SqlRuleAction("SET x = @v", parameters={"@v": 3})
    await admin("create_rule", topic, "s0", "chosen", filter=chosen, action=action)
    await admin("create_rule", topic, "s0", "sql", filter=SqlRuleFilter("n > @m", {"@m": 1}))
    default, rule, sql = await admin("list_rules", topic, "s0")
    assert (default.name, type(default.filter)) == ("$Default", TrueRuleFilter)
    assert (rule.filter.label, rule.filter.correlation_id) == ("x", "c")
    assert rule.filter.properties == kept
    assert (rule.action.sql_expression, rule.action.parameters) == ("SET x = @v", {"@v": 3})
    assert (sql.filter.sql_expression, sql.filter.parameters) == ("n > @m", {"@m": 1})
    rule.filter = CorrelationRuleFilter(label="y")
    await admin("update_rule", topic, "s0", rule)
    assert (await admin("get_rule", topic, "s0", "chosen")).filter.label == "y"
    await admin("delete_rule", topic, "s0", "$Default")
    assert [rule.name for rule in await admin("list_rules", topic, "s0")] == ["chosen", "sql"]
    subscription = await admin("get_subscription", topic, "s0")
    subscription.max_delivery_count = 4
    await admin("update_subscription", topic, subscription)
    assert [rule.name for rule in await admin("list_rules", topic, "s0")] == ["chosen", "sql"]
    assert (await admin("get_topic_runtime_properties", topic)).subscription_count == 3
    await admin("delete_subscription", topic, "s1")
    await admin("delete_topic", topic)
    with pytest.raises(ResourceNotFoundError):
        await admin("get_topic", topic)
    with pytest.raises(ResourceNotFoundError):
        await admin("list_subscriptions", topic)


async def test_a_wrong_key_is_refused(broker: BrokerProcess, admin: Administration) -> None:
    synchronous = admin.prefix == "sync"
    stranger = Administration(broker, synchronous=synchronous, key="d3Jvbmc=")
    with pytest.raises(ClientAuthenticationError, match="InvalidSignature"):
        await stranger("create_queue", "stolen")
    with pytest.raises(ResourceNotFoundError):
        await admin("get_queue", "stolen")
    await stranger.close()


ONE = pytest.mark.parametrize("admin", [False], indirect=True, ids=["aio"])


@pytest.mark.conforms(
    "Administration",
    "counts tell active, dead-letter and scheduled messages apart",
    source="learn:azure/service-bus-messaging/message-counters",
)
@ONE
async def test_counts_tell_what_is_where(admin: Administration, bus: Sdk) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    await admin("create_queue", "counted")
    pair = await bus.queue_pair("counted")
    await pair.sender.send_messages([ServiceBusMessage("x" * 100) for _ in range(5)])
    later = datetime.now(UTC) + timedelta(hours=1)
    await pair.sender.schedule_messages([ServiceBusMessage("later")] * 2, later)
    dead, deferred, done = await receive(pair.receiver, 3)
    await pair.receiver.dead_letter_message(dead, reason="bad")
    await pair.receiver.defer_message(deferred)
    await pair.receiver.complete_message(done)
    found = await admin("get_queue_runtime_properties", "counted")
    assert (found.total_message_count, found.active_message_count) == (6, 3)
    assert (found.dead_letter_message_count, found.scheduled_message_count) == (1, 2)
    assert (found.transfer_message_count, found.transfer_dead_letter_message_count) == (0, 0)
    assert 400 < found.size_in_bytes < 2_000
    assert before < found.created_at_utc <= found.updated_at_utc <= found.accessed_at_utc
    await admin("delete_queue", "counted")


@ONE
async def test_changes_take_effect_at_once(admin: Administration, bus: Sdk) -> None:
    queue = await admin("create_queue", "changing")
    await admin("create_queue", "changing-goal")
    pair = await bus.queue_pair("changing")
    await pair.sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    (a,) = await receive(pair.receiver, 1)
    queue.max_delivery_count = 1
    await admin("update_queue", queue)
    await pair.receiver.abandon_message(a)
    counts = await admin("get_queue_runtime_properties", "changing")
    assert (counts.active_message_count, counts.dead_letter_message_count) == (1, 1)
    queue.forward_to = "changing-goal"
    await admin("update_queue", queue)
    (forwarded,) = await receive(await bus.queue_receiver("changing-goal"), 1)
    assert bodies([forwarded]) == ["b"]
    queue.forward_to, queue.status = None, "Disabled"
    await admin("update_queue", queue)
    refusals: tuple[Any, ...] = await asyncio.gather(
        bus.queue_sender("changing"), bus.queue_receiver("changing"), return_exceptions=True
    )
    assert [*map(type, refusals)] == [MessagingEntityDisabledError] * 2
    await admin("delete_queue", "changing")
    await admin("delete_queue", "changing-goal")


@ONE
async def test_a_deleted_queue_takes_its_messages_and_links_with_it(
    admin: Administration, bus: Sdk
) -> None:
    await admin("create_queue", "short-lived", requires_session=True)
    sender, receiver = await asyncio.gather(
        bus.queue_sender("short-lived"), bus.queue_receiver("short-lived", session_id="s")
    )
    await sender.send_messages([ServiceBusMessage(text, session_id="s") for text in "ab"])
    (a,) = await receive(receiver, 1)
    await admin("delete_queue", "short-lived")
    with pytest.raises(ServiceBusError):
        await receiver.complete_message(a)
    with pytest.raises(ServiceBusError):
        await sender.send_messages(ServiceBusMessage("c", session_id="s"))
    await admin("create_queue", "short-lived")
    pair = await bus.queue_pair("short-lived")
    await pair.sender.send_messages(ServiceBusMessage("new"))
    (new,) = await receive(pair.receiver, 1)
    assert (str(new), new.sequence_number) == ("new", 1)
    await admin("delete_queue", "short-lived")


@ONE
async def test_the_namespace_describes_itself(admin: Administration) -> None:
    found = await admin("get_namespace_properties")
    assert (found.messaging_sku, found.namespace_type) == ("Standard", "Messaging")
