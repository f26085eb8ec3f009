"""Entities, rules and types as the second client, `@azure/service-bus` for Node.js, sees them."""

from typing import Any

import pytest

from localcloud.tests.servicebus.rig import BrokerProcess
from localcloud.tests.servicebus.sdk import Sdk
from localcloud.tests.servicebus.waiting import receive


def test_filters_choose_and_actions_change(seen: dict[str, Any]) -> None:
    assert seen["filters"] == {
        "correlated": [[1, None]],
        "large": [[2, 200], [3, 200]],
        "all": [[1, None], [2, None], [3, None]],
    }


@pytest.mark.conforms(
    "Rules",
    "rules are added, removed and enumerated over the entity's $management",
    source="learn:azure/service-bus-messaging/service-bus-amqp-request-response",
)
def test_rules_can_be_changed_while_a_subscription_works(seen: dict[str, Any]) -> None:
    unnamed = ("messageId", "to", "replyTo", "sessionId", "replyToSessionId", "contentType")
    assert seen["ruleManager"] == {
        "before": [{"name": "$Default", "filter": {"sqlExpression": "1=1"}, "action": {}}],
        "twice": "MessagingEntityAlreadyExists",
        "malformed": "GeneralError",
        "missing": "MessagingEntityNotFound",
        "after": [
            {
                "name": "large",
                "filter": {"sqlExpression": "n >= 100"},
                "action": {"sqlExpression": "SET rank = n * 2"},
            },
            {
                "name": "urgent",
                "filter": {
                    **dict.fromkeys(unnamed),
                    "correlationId": "c",
                    "subject": "urgent",
                    "applicationProperties": {"kind": "a", "n": 7, "yes": True},
                },
                "action": {},
            },
        ],
        "bodies": [["large", 200], ["urgent", None]],
        "left": 0,
    }


def test_queues_are_administered(seen: dict[str, Any]) -> None:
    assert seen["administerQueues"] == {
        "created": {
            "lockDuration": "PT7S",
            "maxDeliveryCount": 3,
            "defaultMessageTimeToLive": "P1D",
            "userMetadata": "made by a test",
            "status": "Active",
        },
        "forwards": "sb://127.0.0.1/js-send",
        "counts": [3, 2, 1],
        "sized": True,
        "updated": [5, "SendDisabled"],
        "disabled": "MessagingEntityDisabled",
        "bodies": [1, 2],
        "refusals": {
            "twice": "MessageEntityAlreadyExistsError",
            "fixed": "ServiceError",
            "name": "ServiceError",
            "missing": "MessageEntityNotFoundError",
            "unwanted": "MessageEntityNotFoundError",
        },
        "listed": True,
        "exists": False,
        "afterwards": "MessagingEntityNotFound",
    }


def test_topics_subscriptions_and_rules_are_administered(seen: dict[str, Any]) -> None:
    properties = {"kind": "a", "yes": True, "half": 1.5, "since": "1970-01-02T00:00:00.000Z"}
    assert seen["administerTopics"] == {
        "rule": ["labelled", "x", properties, "SET seen = 'yes'"],
        "sql": ["n > @least", {"@least": 10}],
        "got": {"first": ["n", None], "second": ["x", "yes"]},
        "changed": "1=0",
        "pages": [["first"], ["second"]],
        "subscriptions": 2,
        "left": ["second"],
        "gone": "MessageEntityNotFoundError",
        "subscriptionGone": "MessageEntityNotFoundError",
    }


def test_the_namespace_describes_itself_to_who_has_a_key(seen: dict[str, Any]) -> None:
    assert seen["administerNamespace"] == {
        "sku": "Standard",
        "name": "127.0.0.1",
        "unauthorised": "UnauthorizedRequestError",
    }


def test_a_message_lives_as_long_as_it_says(seen: dict[str, Any]) -> None:
    assert seen["timeToLive"] == {
        "dead": ["short", "TTLExpiredException"],
        "alive": "long",
        "livesS": 3_600,
    }


def test_messages_are_passed_on_to_another_queue(seen: dict[str, Any]) -> None:
    assert seen["forwarding"] == {"body": "passed on", "refused": "GeneralError"}


def test_duplicates_are_dropped(seen: dict[str, Any]) -> None:
    assert seen["duplicates"] == {"bodies": ["one", "two"], "left": 0}


def test_an_unknown_entity_is_named_as_such(seen: dict[str, Any]) -> None:
    assert seen["unknownEntity"] == {
        "send": "MessagingEntityNotFound",
        "receive": "MessagingEntityNotFound",
        "subscription": "MessagingEntityNotFound",
        "peek": "MessagingEntityNotFound",
    }


def test_a_wrong_key_is_refused(seen: dict[str, Any]) -> None:
    assert seen["unauthorised"] == {"code": "UnauthorizedAccess"}


def test_what_python_sends_javascript_reads_with_its_types(seen: dict[str, Any]) -> None:
    assert seen["types"] == [
        {
            "body": {"a": [1, None]},
            "properties": {
                "text": ["string", "grün"],
                "yes": ["number", "1"],  # rhea takes AMQP's one-byte boolean for a number
                "whole": ["number", "7"],
                "half": ["number", "1.5"],
                "moment": ["number", "1767323045678"],
                "id": ["object", "[object Object]"],
            },
        },
        {"body": {"hex": "00ff"}, "properties": {}},
        {"body": 42, "properties": {}},
        {"body": {"moment": "now", "list": ["a"]}, "properties": {}},
    ]


async def test_what_javascript_sends_python_reads_with_its_types(
    broker: BrokerProcess, seen: dict[str, Any]
) -> None:
    assert isinstance(seen["types"], list), seen["types"]
    sdk = Sdk(broker.connection_string(), synchronous=False)
    messages = await receive(await sdk.queue_receiver("js-to-python"), 6)
    await sdk.close()
    assert messages[0].application_properties == {
        b"text": "grün".encode(),
        b"yes": True,
        b"whole": 7,
        b"half": 1.5,
        b"moment": 1_767_323_045_678,
    }
    assert [b"".join(message.body) for message in messages[:3]] == [
        '{"text":"grün","list":[1,null,{"x":1.5}]}'.encode(),
        b"\x00\x01\xfe\xff",
        b'"plain text"',
    ]
    assert [message.body for message in messages[3:5]] == [42, 2**40]
    assert list(messages[5].body) == [[b"a", 1]]
