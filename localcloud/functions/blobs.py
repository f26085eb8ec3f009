"""Blob triggers: finds new versions of blobs, notes each once, runs the functions they are for.

As in Azure, a scan puts a message into a queue of the host's own and writes a receipt; the queue
gives retries, poison blobs, and a second try after a crash.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, ResourceNotFoundError

from localcloud.functions.accounts import HOST_ACCOUNT, Accounts
from localcloud.functions.blob_delivery import BlobDelivery
from localcloud.functions.blob_receipts import Receipts, host_id, key
from localcloud.functions.catalogue import Function
from localcloud.functions.execution import Executor, Outcome
from localcloud.functions.inputs import Inputs
from localcloud.functions.logs import host_log
from localcloud.functions.polling import Backoff, Poller, put, within
from localcloud.functions.queue_messages import Malformed, body_of, content_of
from localcloud.functions.settings import HostOptions
from localcloud.functions.storage_options import LOCAL_LONGEST_POLL_S, BlobOptions, QueueOptions

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties
    from azure.storage.queue import QueueMessage
    from azure.storage.queue.aio import QueueClient

POISON_QUEUE = "webjobs-blobtrigger-poison"


class Scan:
    """Looks through one function's container, again and again."""

    def __init__(
        self,
        delivery: BlobDelivery,
        function_id: str,
        receipts: Receipts,
        queue: "QueueClient",
        *,
        is_base64: bool,
    ) -> None:
        self._delivery, self._function_id, self._receipts = delivery, function_id, receipts
        self._queue, self._is_base64 = queue, is_base64
        self._container = delivery.pattern.container
        self._done: set[str] | None = None
        self._away = False

    async def run(self, stopping: asyncio.Event, poller: Poller) -> None:
        """Scan until `stopping`, however long the storage is away; `poller` hears of each find."""
        backoff = Backoff(LOCAL_LONGEST_POLL_S)
        while not stopping.is_set():
            try:
                if await self._once(stopping):
                    backoff.reset()
                    poller.stir()
            except Exception as error:  # noqa: BLE001 - the SDK raises far more than its own errors
                if not self._away:
                    host_log.warning(
                        "the container %s is out of reach, trying again: %s",
                        self._container,
                        error,
                    )
                self._away = True
            await within(backoff.next_s(), stopping)

    async def _once(self, stopping: asyncio.Event) -> int:
        """Note every new version in the queue; how many there were."""
        if self._done is None:
            self._done = await self._receipts.all()
        present, found = set(), 0
        for version, blob in [(self._key(blob), blob) for blob in await self._matching()]:
            present.add(version)
            if version in self._done or stopping.is_set():
                continue
            # In this order: a crash in between means a second run, never none.
            await put(self._queue, self._order(blob))
            await self._receipts.write(version)
            self._done.add(version)
            found += 1
        if not stopping.is_set():
            self._done &= present  # of blobs that are gone, the receipts alone are enough
        if self._away:
            host_log.info("connected to the container %s again", self._container)
            self._away = False
        return found

    async def _matching(self) -> list["BlobProperties"]:
        container = self._delivery.service.get_container_client(self._container)
        try:
            return [
                blob
                async for blob in container.list_blobs()
                if self._delivery.pattern.match(blob.name) is not None
            ]
        except ResourceNotFoundError:
            return []  # the container may come yet

    def _key(self, blob: "BlobProperties") -> str:
        return key(self._container, blob.name, blob.etag.strip('"'))

    def _order(self, blob: "BlobProperties") -> str:
        order = {
            "Type": "BlobTrigger",
            "FunctionId": self._function_id,
            "BlobType": str(blob.blob_type.value if blob.blob_type else "BlockBlob"),
            "ContainerName": self._container,
            "BlobName": blob.name,
            "ETag": blob.etag.strip('"'),
        }
        return content_of(json.dumps(order), is_base64=self._is_base64)


class BlobTriggers:
    """Every blob trigger of the app."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        options: HostOptions,
        accounts: Accounts,
        script_root: Path,
        environ: Mapping[str, str],
        executor: Executor,
        inputs: Inputs,
        scans: bool,
    ) -> None:
        """Looks for blobs only if it `scans`: of several processes one does, and all run functions.

        StartRefused naming a function whose path or connection is not to be had.
        """
        self._is_base64, self._looks = options.queues.is_base64, scans
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._scans: list[Scan] = []
        self._deliveries: dict[str, BlobDelivery] = {}
        self._poller: Poller | None = None
        enabled = [function for function in functions if not function.disabled]
        app = environ.get("WEBSITE_SITE_NAME") or script_root.name
        for function in enabled:
            service = accounts.blobs(function.connection, function=function.name)
            self._deliveries[f"{app}.Functions.{function.name}"] = BlobDelivery(
                function, service, executor, inputs
            )
        self.by_name = {
            delivery.function.name.lower(): delivery for delivery in self._deliveries.values()
        }
        if enabled:
            host = host_id(script_root, environ)
            self._start_with(accounts, host, options.blobs, function=enabled[0].name)

    def _start_with(
        self, accounts: Accounts, host: str, options: BlobOptions, *, function: str
    ) -> None:
        queues = accounts.queues(HOST_ACCOUNT, function=function)
        blobs = accounts.blobs(HOST_ACCOUNT, function=function)
        queue = queues.get_queue_client(f"azure-webjobs-blobtrigger-{host}")
        poison = queues.get_queue_client(POISON_QUEUE)
        self._poller = Poller(queue, poison, self._handle, _as_queue(options))
        self._scans = [
            Scan(
                delivery,
                function_id,
                Receipts(blobs, host, function_id),
                queue,
                is_base64=self._is_base64,
            )
            for function_id, delivery in self._deliveries.items()
        ]

    async def _handle(self, message: "QueueMessage") -> Outcome:
        try:
            order: dict[str, Any] = json.loads(body_of(message.content, is_base64=self._is_base64))
            function_id, container = order["FunctionId"], order["ContainerName"]
            name, etag = order["BlobName"], order["ETag"]
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"it tells of no blob: {error}") from error
        delivery = self._deliveries.get(function_id)
        if delivery is None:
            host_log.info("no function %s is here for the blob %s", function_id, name)
            return Outcome(ok=True)
        try:
            return await delivery.one(container, name, etag)
        except AzureError as error:
            host_log.warning("the blob %s/%s cannot be read: %s", container, name, error)
            return Outcome(ok=False, error=str(error))

    def start(self) -> None:
        """Begin to look for blobs."""
        if self._poller is not None:
            self._tasks = [
                asyncio.create_task(self._poller.listen(), name="blob queue"),
                *(
                    asyncio.create_task(scan.run(self._stopping, self._poller), name="blob scan")
                    for scan in (self._scans if self._looks else ())
                ),
            ]

    def stop(self) -> None:
        """Take no more; what runs goes on and is settled."""
        self._stopping.set()
        if self._poller is not None:
            self._poller.stop()

    async def close(self) -> None:
        """Wait until everything taken is settled."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._poller is not None:
            await self._poller.settled()


def _as_queue(options: BlobOptions) -> QueueOptions:
    """As many at a time as may be, in halves: so there is something to do between two batches."""
    batch = max(1, min(options.max_parallel // 2, 32))
    return QueueOptions(
        batch_size=batch,
        new_batch_threshold=options.max_parallel - batch,
        max_dequeue_count=options.poison_threshold,
    )
