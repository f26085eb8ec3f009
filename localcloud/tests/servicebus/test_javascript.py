"""Messages and sessions as the second client, `@azure/service-bus` for Node.js, sees them."""

from typing import Any


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
        "waiting": [[body, "scheduled"] for body in ("x", "y")],
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
