"""The broker's features as the second client, `@azure/service-bus` for Node.js, sees them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage

from localcloud.tests.servicebus.javascript import features
from localcloud.tests.servicebus.rig import BrokerProcess
from localcloud.tests.servicebus.sdk import Sdk
from localcloud.tests.servicebus.waiting import receive

FAMILIES = ("messages.mjs", "sessions.mjs", "entities.mjs", "rules.mjs", "administration.mjs")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.fixture(scope="session")
async def seen(broker: BrokerProcess) -> dict[str, Any]:
    """What every feature reported; one program runs all of them at once."""
    sdk = Sdk(broker.connection_string(), synchronous=False)
    sender = await sdk.queue_sender("js-from-python")
    properties: dict[str | bytes, Any] = {
        "text": "grün",
        "yes": True,
        "whole": 7,
        "half": 1.5,
        "moment": MOMENT,
        "id": UUID(int=7),
    }
    await sender.send_messages(
        [
            ServiceBusMessage(b'{"a": [1, null]}', application_properties=properties),
            ServiceBusMessage(b"\x00\xff"),
            AmqpAnnotatedMessage(value_body=42),
            AmqpAnnotatedMessage(value_body={"moment": "now", "list": ["a"]}),
        ]
    )
    await sdk.close()
    settings = {
        "ADMINISTRATION": broker.admin_connection_string(),
        "NODE_EXTRA_CA_CERTS": str(broker.certificate),
    }
    return await features(broker.connection_string(), *FAMILIES, settings=settings)


def test_a_message_keeps_all_that_its_sender_wrote(seen: dict[str, Any]) -> None:
    assert seen["send"] == {
        "body": {"order": 7, "lines": ["a", "b"]},
        "messageId": "m-1",
        "correlationId": "c-1",
        "subject": "placed",
        "contentType": "application/json",
        "replyTo": "answers",
        "to": "somewhere",
        "replyToSessionId": "r-1",
        "partitionKey": "p-1",
        "timeToLive": 3_600_000,
        "applicationProperties": {"type": "order.placed.v1"},
        "sequence": "1",
        "deliveries": 0,
        "state": "active",
        "enqueuedInTime": True,
        "lockedForMs": 60_000,
        "left": 0,
    }


def test_batches_hold_what_the_link_allows(seen: dict[str, Any]) -> None:
    assert seen["batch"] == {
        "maxBytes": 262_144,
        "fitted": [True, True, False, True],
        "bodies": ["one", "two", "three", "four", "five"],
        "numbers": [1, 2, 3, 4, 5],
        "left": 0,
        "idsGiven": True,
        "tooLarge": "MessageSizeExceeded",
        "isError": True,
    }


def test_an_abandoned_message_comes_again_changed_until_it_is_dead_lettered(
    seen: dict[str, Any],
) -> None:
    assert seen["abandon"] == {
        "counts": [0, 1, 2],
        "changed": {"kept": 1, "changed": "new", "added": True},
        "reason": "MaxDeliveryCountExceeded",
        "deliveries": 3,
    }


def test_a_dead_letter_has_reason_description_and_properties(seen: dict[str, Any]) -> None:
    assert seen["deadLetter"] == {
        "body": "bad",
        "reason": "malformed",
        "description": "no id",
        "checked": True,
        "twice": "Error",
    }


def test_a_deferred_message_is_received_by_its_number(seen: dict[str, Any]) -> None:
    assert seen["defer"] == {
        "peeked": ["later", "deferred"],
        "received": ["later", "deferred"],
        "gone": "MessageNotFound",
    }


def test_peeking_goes_on_where_it_stopped(seen: dict[str, Any]) -> None:
    assert seen["peek"] == {"pages": [["a", "b"], ["c"]], "locked": False, "none": 0}


def test_scheduled_messages_come_in_time_unless_cancelled(seen: dict[str, Any]) -> None:
    assert seen["schedule"] == {
        "waiting": [[body, "scheduled"] for body in ("soon", "annotated", "x", "y")],
        "bodies": ["annotated", "soon"],
        "onTime": True,
        "renumbered": True,
        "cancelledTwice": "MessageNotFound",
    }


def test_a_renewed_lock_holds_and_another_is_lost(seen: dict[str, Any]) -> None:
    assert seen["renewLock"] == {
        "moved": True,
        "refused": "MessageLockLost",
        "again": ["lost", 1],
    }


def test_receive_and_delete_leaves_nothing(seen: dict[str, Any]) -> None:
    assert seen["receiveAndDelete"] == {"bodies": ["a", "b"], "locked": False, "left": 0}


def test_a_pump_completes_what_its_handler_took(seen: dict[str, Any]) -> None:
    assert seen["pump"] == {
        "seen": [*range(40)],
        "most": 4,
        "errors": [["processMessageCallback", "unlucky"]],
    }


def test_sessions_are_held_by_one_receiver(seen: dict[str, Any]) -> None:
    assert seen["sessions"] == {
        "session": "a",
        "bodies": [1, 3],
        "busy": "SessionCannotBeLocked",
        "other": ["b", 2],
        "deferred": 3,
        "renewed": True,
        "lockS": 60,
        "withoutSession": "GeneralError",
        "sentWithout": "GeneralError",
    }


def test_session_state_is_kept_until_it_is_cleared(seen: dict[str, Any]) -> None:
    assert seen["sessionState"] == {
        "none": None,
        "kept": {"step": 2},
        "cleared": None,
        "delivered": 0,
    }


def test_without_a_session_the_client_hears_of_a_timeout(seen: dict[str, Any]) -> None:
    assert seen["nextSession"] == {"code": "ServiceTimeout", "retryable": True}


def test_a_session_is_pumped_in_order(seen: dict[str, Any]) -> None:
    assert seen["sessionPump"] == {"seen": [*range(20)]}


def test_filters_choose_and_actions_change(seen: dict[str, Any]) -> None:
    assert seen["filters"] == {
        "correlated": [[1, None]],
        "large": [[2, 200], [3, 200]],
        "all": [[1, None], [2, None], [3, None]],
    }


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
