"""Queue storage triggers, on a real Azurite. Quotes are from Microsoft's documentation:
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from localcloud.storage.azurite import connection_string
from localcloud.tests.functions.running_host import eventually
from localcloud.tests.functions.stores import Account, Stores, serving


@pytest.mark.conforms(
    "Queue storage",
    "a message tells Id, DequeueCount, InsertionTime, ExpirationTime, NextVisibleTime, PopReceipt",
    source="learn:azure/azure-functions/functions-bindings-storage-queue-trigger",
)
def test_a_message_runs_the_function_once_with_its_metadata(stores: Stores) -> None:
    """Azure: "The queue trigger provides the following metadata properties": Id, DequeueCount, …"""
    sent = stores.queue("work").send_message("hello")

    eventually(lambda: stores.noted("work", id=sent.id) != [])

    assert sent.inserted_on is not None
    (seen,) = stores.noted("work", id=sent.id)
    assert (seen["body"], seen["dequeue_count"]) == ("hello", 1)
    assert seen["pop_receipt"] != ""
    moments = {name: datetime.fromisoformat(seen[name]) for name in ("inserted", "expires")}
    assert abs(moments["inserted"] - sent.inserted_on) < timedelta(seconds=1)
    assert moments["expires"] - moments["inserted"] == timedelta(days=7)
    assert datetime.fromisoformat(seen["visible"]) > datetime.now(UTC) - timedelta(minutes=1)
    eventually(lambda: stores.is_empty("work"))
    assert len(stores.noted("work", id=sent.id)) == 1


def test_bytes_come_as_they_are(stores: Stores) -> None:
    sent = stores.queue("work", encoded=False).send_message("/wD+")  # ff 00 fe: not UTF-8

    eventually(lambda: stores.noted("work", id=sent.id) != [])

    assert stores.noted("work", id=sent.id)[0]["size"] == 3


@pytest.mark.conforms(
    "Queue storage",
    '"Azure Functions retries the function up to five times for a given queue message, '
    'including the first try."',
    source="learn:azure/azure-functions/functions-bindings-storage-queue-trigger",
)
@pytest.mark.conforms(
    "Queue storage",
    '"If all five attempts fail, the functions runtime adds a message to a queue named '
    '<originalqueuename>-poison."',
    source="learn:azure/azure-functions/functions-bindings-storage-queue-trigger",
)
def test_a_function_that_fails_is_tried_five_times(stores: Stores) -> None:
    """Azure: "Azure Functions retries the function up to five times for a given queue message,
    including the first try. If all five attempts fail, the functions runtime adds a message to a
    queue named <originalqueuename>-poison."
    """
    text = json.dumps({"do": "fail", "this": "one"})
    stores.queue("work").send_message(text)

    eventually(lambda: stores.noted("buried", body=text) != [], 30)

    assert [seen["dequeue_count"] for seen in stores.noted("work", body=text)] == [1, 2, 3, 4, 5]
    eventually(lambda: stores.is_empty("work") and stores.is_empty("work-poison"))
    assert len(stores.noted("work", body=text)) == 5


@pytest.mark.conforms(
    "Queue storage",
    "messages are in Base64 unless messageEncoding is none",
    source="learn:azure/azure-functions/functions-bindings-storage-queue",
)
def test_what_is_not_base64_goes_to_the_poison_queue_and_runs_nothing(stores: Stores) -> None:
    """host.json: messageEncoding is base64 unless it says none."""
    before = len(stores.notes("work"))
    stores.queue("work", encoded=False).send_message("this is no Base64!")
    poison = "was never run"

    eventually(lambda: "it is not Base64" in stores.host.log)
    stores.queue("work").send_message(poison)
    eventually(lambda: stores.noted("work", body=poison) != [])

    assert len(stores.notes("work")) == before + 1


@pytest.mark.conforms(
    "Queue storage",
    '"By default, the batch size is 16. When the number being processed gets down to 8, '
    'the runtime gets another batch and starts processing those messages."',
    source="learn:azure/azure-functions/functions-bindings-storage-queue-trigger",
)
def test_messages_run_side_by_side(azurite: LocalCloud, tmp_path: Path) -> None:
    """Azure: "By default, the batch size is 16. When the number being processed gets down to 8, the
    runtime gets another batch".
    """
    queue = Account(connection_string(azurite.ports)).queue("wide")
    for number in range(26):
        queue.send_message(json.dumps({"do": "wait", "for": f"wide-{number}"}))
    with serving(azurite, tmp_path, "--function", "work", queue="wide") as stores:
        eventually(lambda: len(stores.notes("work")) >= 16)
        begun = [json.loads(seen["body"])["for"] for seen in stores.notes("work")]
        assert len(begun) == 16
        for name in begun[:8]:
            stores.let(name)
        eventually(lambda: len(stores.notes("work")) == 26)
        for number in range(26):
            stores.let(f"wide-{number}")
        eventually(lambda: len(stores.notes("work_done")) == 26)
        eventually(lambda: stores.is_empty("wide"))


@pytest.mark.conforms(
    "Queue storage",
    "batchSize, newBatchThreshold, maxDequeueCount and messageEncoding of host.json are obeyed",
    source="learn:azure/azure-functions/functions-bindings-storage-queue",
)
def test_host_json_says_how_messages_are_taken(azurite: LocalCloud, tmp_path: Path) -> None:
    """maxDequeueCount, visibilityTimeout, batchSize, newBatchThreshold and messageEncoding."""
    with serving(
        azurite,
        tmp_path,
        "--function",
        "work",
        queue="plain",
        AzureFunctionsJobHost__extensions__queues__messageEncoding="none",
        AzureFunctionsJobHost__extensions__queues__maxDequeueCount="2",
        AzureFunctionsJobHost__extensions__queues__batchSize="1",
        AzureFunctionsJobHost__extensions__queues__newBatchThreshold="0",
    ) as stores:
        text = json.dumps({"do": "fail"})
        queue = stores.queue("plain", encoded=False)
        queue.send_message(text)
        eventually(lambda: stores.is_empty("plain"))
        assert [seen["dequeue_count"] for seen in stores.noted("work", body=text)] == [1, 2]
        (dead,) = stores.queue("plain-poison", encoded=False).receive_messages()
        assert dead.content == text

        for number in range(3):
            queue.send_message(json.dumps({"do": "wait", "for": f"one-{number}", "n": number}))
        for number in range(3):
            eventually(lambda: len(stores.notes("work")) == 3 + number)  # noqa: B023 - at once
            stores.let(f"one-{number}")
        eventually(lambda: stores.is_empty("plain"))


def test_a_missing_queue_is_made_and_one_that_goes_is_made_again(
    azurite: LocalCloud, tmp_path: Path
) -> None:
    with serving(azurite, tmp_path, "--function", "work", queue="unmade") as stores:
        eventually(lambda: stores.has_queue("unmade"))
        stores.delete_queue("unmade")

        eventually(lambda: stores.has_queue("unmade"))
        stores.queue("unmade").send_message("hello")

        eventually(lambda: len(stores.notes("work")) == 1)


def test_a_host_waits_for_storage_that_goes_away(azurite: LocalCloud, tmp_path: Path) -> None:
    with serving(azurite, tmp_path, "--function", "work", queue="patient") as stores:
        stores.queue("patient").send_message("before")
        eventually(lambda: stores.noted("work", body="before") != [])

        azurite.kill("azurite")
        eventually(lambda: "the queue patient is out of reach, trying again" in stores.host.log, 30)
        azurite.start_part("azurite")
        stores.queue("patient").send_message("after")

        eventually(lambda: stores.noted("work", body="after") != [], 30)
        assert "connected to the queue patient again" in stores.host.log


def test_draining_settles_what_runs_and_gives_back_what_cannot_end(
    azurite: LocalCloud, tmp_path: Path
) -> None:
    with serving(
        azurite, tmp_path, "--function", "work", "--grace-s", "2", queue="drained"
    ) as stores:
        queue = stores.queue("drained")
        ends, hangs = {"do": "wait", "for": "ends"}, {"do": "wait", "for": "never"}
        queue.send_message(json.dumps(ends))
        queue.send_message(json.dumps(hangs))
        eventually(lambda: len(stores.notes("work")) == 2)

        stores.host.ask_to_stop()
        eventually(lambda: "draining" in stores.host.log)
        queue.send_message("came too late")
        stores.let("ends")
        assert stores.host.process.wait(30) == 0

        assert [done["order"] for done in stores.notes("work_done")] == [ends]
        left = sorted(message.content for message in queue.receive_messages())
        assert left == sorted(["came too late", json.dumps(hangs)])


def test_a_queue_function_runs_by_hand(stores: Stores) -> None:
    stores.host.fire("work", "by hand")

    eventually(lambda: stores.noted("work", body="by hand") != [])
    assert stores.noted("work", body="by hand")[0]["dequeue_count"] == 1
