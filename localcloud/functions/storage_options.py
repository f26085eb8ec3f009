"""`extensions.queues` and `extensions.blobs` of host.json, with Azure's defaults."""

import os
from dataclasses import dataclass

from localcloud.functions.errors import StartRefused
from localcloud.functions.reading import Reader

LOCAL_LONGEST_POLL_S = 2.0
"""Azure: "For local development the maximum polling interval defaults to two seconds." """

BLOBS_AT_A_TIME = 8 * (os.cpu_count() or 1)
"""Azure's default: "8 * (the number of available cores)"."""

_SHORTEST_POLL_S = 0.1
_LARGEST_BATCH = 32
_ENCODINGS = ("base64", "none")

HEEDED = (
    *(f"extensions.queues.{name}" for name in ("maxPollingInterval", "visibilityTimeout")),
    *(f"extensions.queues.{name}" for name in ("batchSize", "newBatchThreshold")),
    *(f"extensions.queues.{name}" for name in ("maxDequeueCount", "messageEncoding")),
    "extensions.blobs.maxDegreeOfParallelism",
    "extensions.blobs.poisonBlobThreshold",
)
"""The keys that are obeyed."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How the messages of a queue are taken.

    A batch of `batch_size` is fetched when `new_batch_threshold` messages or fewer are being
    processed. A failed message is visible again after `visibility_timeout_s`, until it was received
    `max_dequeue_count` times.
    """

    max_polling_s: float = LOCAL_LONGEST_POLL_S
    visibility_timeout_s: float = 0.0
    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    is_base64: bool = True


@dataclass(frozen=True, slots=True)
class BlobOptions:
    """How many blobs are processed at a time, and how often one is tried."""

    max_parallel: int = BLOBS_AT_A_TIME
    poison_threshold: int = 5


def queue_options(read: Reader) -> QueueOptions:
    """The options for queue triggers. StartRefused for a value out of its range."""
    at = ("extensions", "queues")
    batch = read.count(*at, "batchSize", default=16)
    if batch > _LARGEST_BATCH:
        raise StartRefused(
            f"host.json: extensions.queues.batchSize must be at most 32, not {batch}"
        )
    encoding = read.text(*at, "messageEncoding", default="base64").lower()
    if encoding not in _ENCODINGS:
        raise StartRefused("host.json: extensions.queues.messageEncoding must be base64 or none")
    poll_s = read.span(*at, "maxPollingInterval", default=LOCAL_LONGEST_POLL_S)
    if poll_s < _SHORTEST_POLL_S:
        raise StartRefused(
            "host.json: extensions.queues.maxPollingInterval must be 00:00:00.100 or more"
        )
    return QueueOptions(
        max_polling_s=poll_s,
        visibility_timeout_s=read.span(*at, "visibilityTimeout", default=0.0),
        batch_size=batch,
        new_batch_threshold=read.count(*at, "newBatchThreshold", default=batch // 2, least=0),
        max_dequeue_count=read.count(*at, "maxDequeueCount", default=5),
        is_base64=encoding == "base64",
    )


def blob_options(read: Reader) -> BlobOptions:
    """The options for blob triggers. StartRefused for a value of the wrong kind."""
    at = ("extensions", "blobs")
    return BlobOptions(
        max_parallel=read.count(*at, "maxDegreeOfParallelism", default=BLOBS_AT_A_TIME),
        poison_threshold=read.count(*at, "poisonBlobThreshold", default=5),
    )
