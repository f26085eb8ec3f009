"""Blob triggers, on a real Azurite. Quotes are from Microsoft's documentation:
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-blob-trigger
"""

import json
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from localcloud.tests.functions.running_host import eventually
from localcloud.tests.functions.stores import Stores, serving


@pytest.mark.conforms(
    "Blob storage",
    "a blob tells BlobTrigger, Uri, Properties and Metadata",
    source="learn:azure/azure-functions/functions-bindings-storage-blob-trigger",
)
def test_a_new_blob_runs_the_function_with_its_metadata(stores: Stores) -> None:
    """Azure: "The blob trigger provides several metadata properties": BlobTrigger, Uri, Properties
    and Metadata. A path may "bind to the blob file name and extension separately".
    """
    inbox = stores.container("inbox")
    inbox.upload_blob("2026/a report.v2.txt", "some words", metadata={"by": "somebody"})

    assert stores.appeared("outbox", "txt/2026/a report.v2.copy") == "some words"

    (seen,) = stores.noted("copied", name="inbox/2026/a report.v2.txt")
    assert seen["content"] == "some words"
    assert seen["length"] == 10
    assert seen["uri"] == inbox.get_blob_client("2026/a report.v2.txt").url
    assert seen["metadata"] == {"by": "somebody"}
    assert seen["properties"]["ContentType"] == "application/octet-stream"
    assert seen["properties"]["BlobType"] == "BlockBlob"


def test_a_blob_that_does_not_match_runs_nothing(stores: Stores) -> None:
    inbox = stores.container("inbox")
    inbox.upload_blob("no extension", "x")
    inbox.upload_blob("then.txt", "y")

    stores.appeared("outbox", "txt/then.copy")

    assert stores.noted("copied", name="inbox/no extension") == []


@pytest.mark.conforms(
    "Blob storage",
    '"The Azure Functions runtime ensures that no blob trigger function gets called more '
    'than once for the same new or updated blob."',
    source="learn:azure/azure-functions/functions-bindings-storage-blob-trigger",
)
def test_a_version_runs_once_and_a_new_version_runs_again(stores: Stores) -> None:
    """Azure: "The Azure Functions runtime ensures that no blob trigger function gets called more
    than once for the same new or updated blob."
    """
    inbox = stores.container("inbox")
    inbox.upload_blob("twice.txt", "first")
    eventually(lambda: len(stores.noted("copied", name="inbox/twice.txt")) == 1)
    inbox.upload_blob("twice.txt", "second", overwrite=True)
    eventually(lambda: len(stores.noted("copied", name="inbox/twice.txt")) == 2)
    inbox.upload_blob("thrice.txt", "x")
    stores.appeared("outbox", "txt/thrice.copy")

    seen = [copied["content"] for copied in stores.noted("copied", name="inbox/twice.txt")]
    assert seen == ["first", "second"]


@pytest.mark.conforms(
    "Blob storage",
    '"If all 5 tries fail, Azure Functions adds a message to a Storage queue named '
    '*webjobs-blobtrigger-poison*."',
    source="learn:azure/azure-functions/functions-bindings-storage-blob-trigger",
)
def test_a_blob_that_fails_five_times_is_told_to_the_poison_queue(stores: Stores) -> None:
    """Azure: "If all 5 tries fail, Azure Functions adds a message to a Storage queue named
    webjobs-blobtrigger-poison": a JSON object with FunctionId, BlobType, ContainerName, BlobName,
    ETag.
    """
    blob = stores.container("picky").upload_blob("bad one", "fail")

    (text,) = stores.received("webjobs-blobtrigger-poison", 1)

    assert json.loads(text) == {
        "Type": "BlobTrigger",
        "FunctionId": "stores.Functions.pick",
        "BlobType": "BlockBlob",
        "ContainerName": "picky",
        "BlobName": "bad one",
        "ETag": blob.get_blob_properties().etag.strip('"'),
    }
    assert len(stores.noted("picked", name="picky/bad one")) == 5


@pytest.mark.conforms(
    "Blob storage",
    '"To force reprocessing of a blob, delete the blob receipt for that blob from the '
    '*azure-webjobs-hosts* container manually."',
    source="learn:azure/azure-functions/functions-bindings-storage-blob-trigger",
)
def test_receipts_outlive_the_host_and_deleting_one_brings_the_blob_again(
    azurite: LocalCloud, tmp_path: Path
) -> None:
    """Azure: "Azure Functions stores blob receipts in a container named azure-webjobs-hosts". "To
    force reprocessing of a blob, delete the blob receipt for that blob".
    """
    host = {"AzureFunctionsWebHost__hostid": "receipts", "box": "receipts"}
    function = ("--function", "pick")
    with serving(azurite, tmp_path, *function, **host) as stores:
        box = stores.container("receipts")
        box.upload_blob("kept/1", "x")
        box.upload_blob("kept/2", "y")
        eventually(lambda: len(stores.noted("picked_done", name="receipts/kept/2")) == 1)
        eventually(lambda: len(stores.noted("picked_done", name="receipts/kept/1")) == 1)
        assert stores.host.stop() == 0
    receipts = stores.container("azure-webjobs-hosts")
    ours = list(receipts.list_blob_names(name_starts_with="blobreceipts/receipts/"))
    (first,) = [name for name in ours if name.endswith("/receipts/kept/1")]
    etag = box.get_blob_client("kept/1").get_blob_properties().etag.strip('"')
    assert first == f"blobreceipts/receipts/stores.Functions.pick/{etag}/receipts/kept/1"

    receipts.delete_blob(first)
    with serving(azurite, tmp_path, *function, **host) as stores:
        eventually(lambda: len(stores.noted("picked_done", name="receipts/kept/1")) == 2)
        box.upload_blob("kept/3", "z")
        eventually(lambda: len(stores.noted("picked_done", name="receipts/kept/3")) == 1)

        assert len(stores.noted("picked", name="receipts/kept/2")) == 1


def test_what_a_killed_host_was_at_runs_again_elsewhere(
    azurite: LocalCloud, tmp_path: Path
) -> None:
    """At least once: the claims on its messages end, on those that stand for blobs too."""
    both = ("--function", "pick", "--function", "work")
    settings = {"queue": "killed", "box": "killed", "AzureFunctionsWebHost__hostid": "killed"}
    order = json.dumps({"do": "wait", "for": "release"})
    with serving(azurite, tmp_path, *both, **settings) as stores:
        stores.container("killed").upload_blob("cut short", "wait for release")
        stores.queue("killed").send_message(order)
        eventually(lambda: len(stores.noted("picked", name="killed/cut short")) == 1)
        eventually(lambda: len(stores.notes("work")) == 1)
        stores.host.kill()
    with serving(azurite, tmp_path, *both, **settings) as stores:
        stores.let("release")

        eventually(lambda: len(stores.noted("picked_done", name="killed/cut short")) == 1, 30)
        eventually(lambda: len(stores.notes("work_done")) == 1, 30)
        assert len(stores.noted("picked", name="killed/cut short")) == 2
        assert [seen["dequeue_count"] for seen in stores.notes("work")] == [1, 2]
        eventually(lambda: stores.is_empty("killed"))


def test_a_blob_function_runs_by_hand_on_the_blob_that_is_named(stores: Stores) -> None:
    stores.container("picky").upload_blob("by hand", "x")
    eventually(lambda: len(stores.noted("picked_done", name="picky/by hand")) == 1)

    stores.host.fire("pick", "picky/by hand")

    eventually(lambda: len(stores.noted("picked_done", name="picky/by hand")) == 2)
