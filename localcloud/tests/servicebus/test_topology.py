"""The topology file: what it may say, and which complaint names what it may not."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.servicebus.rules import CorrelationFilter, Rule, TrueFilter
from localcloud.servicebus.specs import QueueSpec
from localcloud.servicebus.topology import TopologyError, load_topology, parse_topology

ROOT = Path(__file__).parents[3]


def document(**topic: Any) -> str:
    entry = {"Name": "orders", **topic}
    return json.dumps({"UserConfig": {"Namespaces": [{"Name": "ns", "Topics": [entry]}]}})


def with_subscription(**subscription: Any) -> str:
    return document(Subscriptions=[{"Name": "saga", **subscription}])


def with_queue(**properties: Any) -> str:
    queues = [{"Name": "q", "Properties": properties}]
    return json.dumps({"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": queues}]}})


def with_rule(properties: Any) -> str:
    return with_subscription(Rules=[{"Name": "r1", "Properties": properties}])


def test_the_platforms_own_topology_is_accepted() -> None:
    topology = load_topology(ROOT / "infra" / "servicebus.topology.json")
    topics = topology.topics
    assert {"order-events", "payment-events"} <= {topic.name for topic in topics}
    saga = topology.subscriptions[0]
    assert (saga.name, saga.lock_ms, saga.max_delivery_count) == ("orders-saga", 30_000, 10)
    assert saga.dead_letter_expired
    assert saga.default_ttl_ms == 14 * 24 * 3_600_000
    assert saga.rules[0] == Rule("placed", CorrelationFilter({}, {"type": "order.placed.v1"}))


def test_a_bare_subscription_has_azures_defaults() -> None:
    (subscription,) = parse_topology(with_subscription()).subscriptions
    assert (subscription.lock_ms, subscription.max_delivery_count) == (60_000, 10)
    assert subscription.default_ttl_ms is None
    assert not subscription.dead_letter_expired
    assert isinstance(subscription.rules[0].filter, TrueFilter)


def test_a_queue_is_read_with_all_its_properties() -> None:
    text = with_queue(
        LockDuration="PT5S",
        MaxDeliveryCount=4,
        DefaultMessageTimeToLive="PT1H",
        DeadLetteringOnMessageExpiration=True,
        RequiresSession=True,
        RequiresDuplicateDetection=True,
        DuplicateDetectionHistoryTimeWindow="PT20S",
        ForwardTo="",
        ForwardDeadLetteredMessagesTo=None,
    )
    assert parse_topology(text).queues == (
        QueueSpec(
            name="q",
            lock_ms=5_000,
            max_delivery_count=4,
            default_ttl_ms=3_600_000,
            dead_letter_expired=True,
            requires_session=True,
            forward_to=None,
            forward_dead_letters_to=None,
            detects_duplicates=True,
            history_ms=20_000,
        ),
    )


def test_comments_are_ignored_but_not_inside_text() -> None:
    text = (
        document(Subscriptions=[]).replace("orders", "a//b").replace("{", "{ // note\n /* x */", 1)
    )
    assert parse_topology(text).topics[0].name == "a//b"


def test_all_parts_of_a_correlation_filter_are_read() -> None:
    conditions = {"Label": "l", "CorrelationId": "c", "Properties": {"p": 1}}
    rule = {"FilterType": "Correlation", "CorrelationFilter": conditions}
    (read,) = parse_topology(with_rule(rule)).subscriptions[0].rules
    assert read.filter == CorrelationFilter({"subject": "l", "correlation-id": "c"}, {"p": 1})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "the file must be an object"),
        ("{}", "the file: UserConfig is missing"),
        ('{"UserConfig": {"Namespaces": []}}', "Namespaces holds 0"),
        (with_queue(ForwardTo="nowhere"), "queue q: ForwardTo names nowhere, which does not exist"),
        (with_queue(ForwardTo="q"), "queue q: ForwardTo names the queue itself"),
        (
            with_queue(RequiresSession=True, ForwardTo="orders"),
            "queue q: RequiresSession excludes ForwardTo",
        ),
        (
            with_queue(
                RequiresDuplicateDetection=True, DuplicateDetectionHistoryTimeWindow="PT19S"
            ),
            "queue q: DuplicateDetectionHistoryTimeWindow must be PT20S to P7D",
        ),
        (document(Name=None), "a topic: Name is missing"),
        (
            with_queue(EnablePartitioning=True),
            "queue q: EnablePartitioning is not supported",
        ),
        (document(Properties={"Sise": 1}), "topic orders: unknown property Sise"),
        (
            document(Properties={"DefaultMessageTimeToLive": "14 days"}),
            "topic orders: DefaultMessageTimeToLive is not a duration",
        ),
        (
            document(Subscriptions=[{"Name": "s"}, {"Name": "S"}]),
            "topic orders: S is declared twice",
        ),
        (
            with_subscription(Properties={"ForwardTo": "elsewhere"}),
            "subscription orders/saga: ForwardTo names elsewhere, which does not exist",
        ),
        (
            with_subscription(Properties={"ForwardDeadLetteredMessagesTo": "elsewhere"}),
            "orders/saga: ForwardDeadLetteredMessagesTo names elsewhere, which does not exist",
        ),
        (
            with_subscription(Properties={"LockDuration": "PT6M"}),
            "subscription orders/saga: LockDuration must be above zero and at most PT5M",
        ),
        (
            with_subscription(Properties={"LockDuration": "P"}),
            "subscription orders/saga: LockDuration is not a duration",
        ),
        (
            with_subscription(Properties={"MaxDeliveryCount": 0}),
            "subscription orders/saga: MaxDeliveryCount must be 1 to 2000",
        ),
        (
            with_subscription(Properties={"MaxDeliveryCount": True}),
            "subscription orders/saga: MaxDeliveryCount must be of type int",
        ),
        (
            with_rule({"FilterType": "Sql", "SqlFilter": {"SqlExpression": "1 = "}}),
            "subscription orders/saga, rule r1: a property was expected before the end",
        ),
        (
            with_rule({"FilterType": "True", "Action": {"SqlExpression": "SET a"}}),
            "subscription orders/saga, rule r1: = was expected before the end",
        ),
        (with_rule({"FilterType": "Jms"}), "rule r1: FilterType Jms is unknown"),
        (
            with_rule({"FilterType": "Correlation", "CorrelationFilter": {"Colour": "red"}}),
            "subscription orders/saga, rule r1: CorrelationFilter has no property Colour",
        ),
        (
            with_rule({"FilterType": "Correlation", "CorrelationFilter": {}}),
            "subscription orders/saga, rule r1: CorrelationFilter is empty",
        ),
    ],
)
def test_a_complaint_names_entity_and_property(text: str, complaint: str) -> None:
    with pytest.raises(TopologyError, match=complaint):
        parse_topology(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"nowhere\.json"):
        load_topology(tmp_path / "nowhere.json")
