"""How messages of a real Azurite are kept and settled, with claims short enough to run out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from localcloud.cloud import LocalCloud
from localcloud.functions.execution import Outcome
from localcloud.functions.polling import Claim, Handle, Poller, put
from localcloud.functions.storage_options import QueueOptions
from localcloud.storage.azurite import connection_string

SHORT = Claim(hidden_s=2, renewed_after_s=0.5)
NEVER_RENEWED = Claim(hidden_s=1, renewed_after_s=60)
DONE, FAILED = Outcome(ok=True), Outcome(ok=False, error="told to fail")


@dataclass
class Line:
    """A queue and its poison queue, and what the handler saw."""

    queue: QueueClient
    poison: QueueClient
    seen: list[QueueMessage] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def polled(self, handle: Handle, claim: Claim, **options: Any) -> AsyncIterator[Poller]:
        """Poll until the end of the block, then settle."""

        async def noting(message: QueueMessage) -> Outcome:
            self.seen.append(message)
            return await handle(message)

        settings = QueueOptions(max_polling_s=0.2, **options)
        poller = Poller(self.queue, self.poison, noting, settings, claim=claim)
        listening = asyncio.create_task(poller.listen())
        yield poller
        poller.stop()
        await listening
        await poller.settled()

    async def count(self) -> int:
        """How many messages there are, hidden ones too."""
        return (await self.queue.get_queue_properties()).approximate_message_count or 0


class Halting:
    """A queue whose answers come late, or whose first deletion does not arrive."""

    def __init__(self, queue: QueueClient, *, late_s: float = 0.0, deaf: bool = False) -> None:
        self._queue, self._late_s, self._deaf = queue, late_s, deaf

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def update_message(self, *arguments: Any, **options: Any) -> Any:
        answer = await self._queue.update_message(*arguments, **options)
        await asyncio.sleep(self._late_s)
        return answer

    async def delete_message(self, *arguments: Any) -> None:
        if self._deaf:
            self._deaf = False
            raise ServiceRequestError("the connection is gone")
        await self._queue.delete_message(*arguments)


@pytest.fixture
async def line(azurite: LocalCloud, request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    name = f"line-{abs(hash(request.node.name))}"
    text = connection_string(azurite.ports)
    async with (
        QueueClient.from_connection_string(text, name, retry_total=0) as queue,
        QueueClient.from_connection_string(text, f"{name}-poison", retry_total=0) as poison,
    ):
        await queue.create_queue()
        yield Line(queue, poison)


async def comes_true(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - what a server holds makes no event here
            await asyncio.sleep(0.02)


@pytest.mark.conforms(
    "Queue storage",
    '"The queue trigger automatically prevents a function from processing a queue message '
    'multiple times"',
    source="learn:azure/azure-functions/functions-bindings-storage-queue-trigger",
)
async def test_a_claim_is_renewed_while_the_function_runs(line: Line) -> None:
    over = asyncio.Event()

    async def work(message: QueueMessage) -> Outcome:
        await over.wait()
        return FAILED if message.dequeue_count == 1 else DONE

    await put(line.queue, "long")
    async with line.polled(work, SHORT):
        await asyncio.sleep(2.5)  # longer than the claim: the time itself is what is tested
        over.set()

        async def settled() -> bool:
            return await line.count() == 0

        await comes_true(settled)

    # It was received twice: for the first run, and after that had failed.
    assert [message.dequeue_count for message in line.seen] == [1, 2]


async def test_a_claim_that_ran_out_unnoticed_makes_no_second_run_beside_the_first(
    line: Line,
) -> None:
    over = asyncio.Event()

    async def work(_: QueueMessage) -> Outcome:
        await over.wait()
        return DONE

    await put(line.queue, "stalled")
    async with line.polled(work, NEVER_RENEWED):
        await asyncio.sleep(2.5)  # it is visible again after one second, and received again
        over.set()

        async def settled() -> bool:
            return await line.count() == 0

        await comes_true(settled)

    assert len(line.seen) == 1


async def test_what_was_let_go_runs_again_even_before_the_answer_to_that_comes(line: Line) -> None:
    async def work(message: QueueMessage) -> Outcome:
        return FAILED if message.dequeue_count != 3 else DONE

    await put(line.queue, "hasty")
    slow: Any = Halting(line.queue, late_s=0.5)
    hasty = Line(slow, line.poison)
    async with hasty.polled(work, SHORT):

        async def settled() -> bool:
            return await line.count() == 0

        await comes_true(settled)

    assert [message.dequeue_count for message in hasty.seen] == [1, 2, 3]


async def test_what_succeeded_and_could_not_be_deleted_is_deleted_later_without_a_run(
    line: Line,
) -> None:
    async def work(_: QueueMessage) -> Outcome:
        return DONE

    await put(line.queue, "once")
    deaf: Any = Halting(line.queue, deaf=True)
    once = Line(deaf, line.poison)
    async with once.polled(work, NEVER_RENEWED):

        async def settled() -> bool:
            return await line.count() == 0

        await comes_true(settled)

    assert [message.dequeue_count for message in once.seen] == [1]


async def test_a_message_that_another_host_took_meanwhile_is_left_to_it(line: Line) -> None:
    taken = asyncio.Event()
    begun = asyncio.Event()

    async def work(_: QueueMessage) -> Outcome:
        begun.set()
        await taken.wait()
        return DONE

    await put(line.queue, "contested")
    async with line.polled(work, NEVER_RENEWED) as poller:
        await begun.wait()
        poller.stop()

        async def stolen() -> bool:
            return await line.queue.receive_message(visibility_timeout=60) is not None

        await comes_true(stolen)
        taken.set()

    assert await line.count() == 1


@pytest.mark.conforms(
    "Queue storage",
    "a poison queue has no poison queue: what fails there stays hidden until its claim ends",
    source="net-sdk:sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Common/src/Shared/Queues/QueueProcessor.cs",
)
async def test_what_fails_in_a_poison_queue_waits_for_its_claim_to_end(line: Line) -> None:
    """There is no poison queue of a poison queue: nothing may loop hot there."""

    async def work(_: QueueMessage) -> Outcome:
        return FAILED

    await put(line.poison, "undead")
    dead_end = Line(line.poison, line.queue)
    async with dead_end.polled(work, Claim(hidden_s=1, renewed_after_s=60)):
        await asyncio.sleep(1.5)

    assert [message.dequeue_count for message in dead_end.seen] in ([1], [1, 2])
    assert await line.count() == 0
    assert await dead_end.count() == 1


@pytest.mark.conforms(
    "Queue storage",
    'visibilityTimeout: "The time interval between retries when processing of a message fails."',
    source="learn:azure/azure-functions/functions-bindings-storage-queue",
)
async def test_a_visibility_timeout_delays_the_next_try(line: Line) -> None:
    """host.json: visibilityTimeout, "the time interval between retries when processing of a message
    fails".
    """

    async def work(message: QueueMessage) -> Outcome:
        return FAILED if message.dequeue_count == 1 else DONE

    await put(line.queue, "later")
    async with line.polled(work, SHORT, visibility_timeout_s=1.0):

        async def failed_once() -> bool:
            return len(line.seen) == 1

        await comes_true(failed_once)
        await asyncio.sleep(0.5)
        assert len(line.seen) == 1

        async def settled() -> bool:
            return await line.count() == 0

        await comes_true(settled)
    assert len(line.seen) == 2


@pytest.mark.conforms(
    "Queue storage",
    "a message received more than maxDequeueCount times goes to the poison queue without a run",
    source="net-sdk:sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Common/src/Shared/Queues/QueueProcessor.cs",
)
async def test_what_was_received_too_often_runs_no_more(line: Line) -> None:
    """A host that dies of a message, again and again, does so five times and no more."""

    async def work(_: QueueMessage) -> Outcome:
        return DONE

    await put(line.queue, "deadly")
    for _ in range(5):
        deadly = await line.queue.receive_message(visibility_timeout=1)
        assert deadly is not None
        await line.queue.update_message(deadly, visibility_timeout=0)
    async with line.polled(work, SHORT):

        async def settled() -> bool:
            return await line.count() == 0

        await comes_true(settled)

    assert line.seen == []
    assert [message.content for message in await line.poison.peek_messages()] == ["deadly"]
