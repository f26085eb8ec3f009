"""Storage queues are asked, they do not call: takes messages, keeps them hidden, settles them."""

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from localcloud.functions.execution import Outcome
from localcloud.functions.logs import host_log
from localcloud.functions.queue_messages import Malformed
from localcloud.functions.storage_options import QueueOptions

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage
    from azure.storage.queue.aio import QueueClient

_SHORTEST_POLL_S = 0.1
_JITTER = 0.2
_REMEMBERED = 1000

Handle = Callable[["QueueMessage"], Awaitable[Outcome]]
"""Runs what the message is for. Malformed when it cannot be read."""


class Backoff:
    """Pauses that double, give or take a fifth, from 0.1 s up to the longest."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s, self._next_s = longest_s, _SHORTEST_POLL_S

    def next_s(self) -> float:
        """How long to wait now."""
        pause_s = min(self._next_s, self._longest_s)
        spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        self._next_s = min(self._next_s * 2 * spread, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._next_s = _SHORTEST_POLL_S


@dataclass(frozen=True, slots=True)
class Claim:
    """How long a message stays hidden without a renewal, and when it gets one, in seconds.

    So long it takes until another host gets what a killed one had. Azure hides messages for ten
    minutes.
    """

    hidden_s: float = 10.0
    renewed_after_s: float = 3.0


LOCAL_CLAIM = Claim()


class _InHand:
    """A message that is being processed; its receipt changes with each renewal."""

    __slots__ = ("message", "over", "receipt")

    def __init__(self, message: "QueueMessage") -> None:
        self.message, self.receipt = message, message.pop_receipt
        self.over = asyncio.Event()


class Poller:
    """The messages of one queue, handed to one function."""

    def __init__(
        self,
        queue: "QueueClient",
        poison: "QueueClient",
        handle: Handle,
        options: QueueOptions,
        *,
        claim: Claim = LOCAL_CLAIM,
    ) -> None:
        self._queue, self._options, self._handle, self._claim = queue, options, handle, claim
        # What fails in a poison queue has nowhere to go: it comes back whenever its claim ends.
        self._poison = None if queue.queue_name.endswith("-poison") else poison
        self._in_hand: dict[str, _InHand] = {}
        self._finished: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()
        self._stopping = False
        self._away = False

    async def listen(self) -> None:
        """Take messages until stopped, however often and however long the storage is away."""
        backoff = Backoff(self._options.max_polling_s)
        while not self._stopping:
            if len(self._in_hand) > self._options.new_batch_threshold:
                await self._stirred.wait()
                self._stirred.clear()
                continue
            try:
                found = await self._take_some()
            except Exception as error:  # noqa: BLE001 - the SDK raises far more than its own errors
                self._say_it_is_away(error)
                found = 0
            if found:
                backoff.reset()
            if found < self._options.batch_size:
                await within(backoff.next_s(), self._stirred)
                self._stirred.clear()

    def stir(self) -> None:
        """Look again now: there may be a message, or room for one."""
        self._stirred.set()

    def stop(self) -> None:
        """Take no more; what runs goes on and is settled."""
        self._stopping = True
        self.stir()

    async def settled(self) -> None:
        """Wait until the messages in hand are settled."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_some(self) -> int:
        try:
            messages = await self._receive()
        except ResourceNotFoundError:
            await created(self._queue)
            messages = []
        if self._away:
            host_log.info("connected to the queue %s again", self._queue.queue_name)
            self._away = False
        for message in messages:
            earlier = self._in_hand.get(message.id)
            if earlier is not None and not earlier.over.is_set():
                # It was visible again before its renewal came: the new receipt is the one.
                earlier.receipt = message.pop_receipt
                continue
            # What was let go a moment ago may come back before the answer to that does.
            held = self._in_hand[message.id] = _InHand(message)
            task = asyncio.create_task(self._process(held))
            self._tasks.add(task)
            task.add_done_callback(partial(self._done, held))
        return len(messages)

    async def _receive(self) -> list["QueueMessage"]:
        pages = self._queue.receive_messages(
            messages_per_page=self._options.batch_size,
            visibility_timeout=math.ceil(self._claim.hidden_s),
        ).by_page()
        # One page is one request; a second would only find out that there is nothing more.
        page = await anext(pages, None)
        return [] if page is None else [message async for message in page]

    def _done(self, held: _InHand, task: asyncio.Task[None]) -> None:
        message_id = held.message.id
        self._tasks.discard(task)
        if self._in_hand.get(message_id) is held:
            del self._in_hand[message_id]
        self.stir()
        if not task.cancelled() and (error := task.exception()) is not None:
            host_log.warning(
                "message %s of the queue %s could not be settled, so it comes again: %s",
                message_id,
                self._queue.queue_name,
                error,
            )

    async def _process(self, held: _InHand) -> None:
        tries = held.message.dequeue_count or 0
        if self._stopping:
            await self._release(held, 0)
            return
        if held.message.id in self._finished:
            await self._delete(held)
            return
        if self._poison is not None and tries > self._options.max_dequeue_count:
            await self._give_up(held, "it was received too often")
            return
        keeping = asyncio.create_task(self._keep(held))
        try:
            outcome = await self._handle(held.message)
        except Malformed as error:
            await self._give_up(held, str(error))
            return
        finally:
            held.over.set()
            await keeping  # a renewal under way changes the receipt
        if outcome.ok:
            self._remember(held)
            await self._delete(held)
        elif outcome.cut_short and self._stopping:
            await self._release(held, 0)
        elif self._poison is not None and tries >= self._options.max_dequeue_count:
            await self._give_up(held, f"it failed {tries} times")
        elif self._poison is not None:
            await self._release(held, self._options.visibility_timeout_s)

    def _remember(self, held: _InHand) -> None:
        """Note that it needs no second run, even if it cannot be deleted now."""
        self._finished[held.message.id] = None
        if len(self._finished) > _REMEMBERED:
            del self._finished[next(iter(self._finished))]

    async def _keep(self, held: _InHand) -> None:
        """Keep the message hidden until its processing is over, or another host has it."""
        while not await within(self._claim.renewed_after_s, held.over):
            try:
                await self._hide(held, self._claim.hidden_s)
            except HttpResponseError as error:
                if _is_lost(error):
                    return
                host_log.warning(
                    "the claim on message %s of the queue %s could not be renewed: %s",
                    held.message.id,
                    self._queue.queue_name,
                    error.message,
                )

    async def _hide(self, held: _InHand, hidden_s: float) -> None:
        renewed = await self._queue.update_message(
            held.message.id, held.receipt, visibility_timeout=math.ceil(hidden_s)
        )
        held.receipt = renewed.pop_receipt

    async def _release(self, held: _InHand, hidden_s: float) -> None:
        with _unless_lost():
            await self._hide(held, hidden_s)

    async def _delete(self, held: _InHand) -> None:
        with _unless_lost():
            await self._queue.delete_message(held.message.id, held.receipt)
            self._finished.pop(held.message.id, None)

    async def _give_up(self, held: _InHand, why: str) -> None:
        """Move the message to the poison queue, or leave it hidden where there is none."""
        if self._poison is None:
            return
        host_log.warning(
            "message %s of the queue %s goes to the queue %s: %s",
            held.message.id,
            self._queue.queue_name,
            self._poison.queue_name,
            why,
        )
        await put(self._poison, held.message.content)
        await self._delete(held)

    def _say_it_is_away(self, error: Exception) -> None:
        if not self._away:
            host_log.warning(
                "the queue %s is out of reach, trying again: %s", self._queue.queue_name, error
            )
        self._away = True


async def within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for `event`; False when it did not come in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _is_lost(error: HttpResponseError) -> bool:
    """Whether the message is gone, or another host has received it."""
    code = getattr(error, "error_code", "")  # the storage SDK adds it
    return isinstance(error, ResourceNotFoundError) or code == "PopReceiptMismatch"


@contextlib.contextmanager
def _unless_lost() -> Iterator[None]:
    """Nothing to do about a message that is another's: it deletes or releases it."""
    try:
        yield
    except HttpResponseError as error:
        if not _is_lost(error):
            raise


async def created(queue: "QueueClient") -> None:
    """Make the queue unless it is there."""
    with contextlib.suppress(ResourceExistsError):
        await queue.create_queue()


async def put(queue: "QueueClient", content: Any) -> None:
    """Send one message; makes the queue when it is missing."""
    try:
        await queue.send_message(content)
    except ResourceNotFoundError:
        await created(queue)
        await queue.send_message(content)
