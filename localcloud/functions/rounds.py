"""Service Bus triggers that take sessions or batches: receive, run, settle, and only then go on."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import OperationTimeoutError

from localcloud.functions.deliveries import Delivery, takes_many
from localcloud.functions.execution import Outcome
from localcloud.functions.logs import host_log
from localcloud.functions.session_receivers import SessionReceivers
from localcloud.functions.settings import ServiceBusOptions

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_RENEWAL_CHECK_S = 0.5
_LISTEN_S = 60.0
_WAITING = 8
"""How many wait for the next session at a time: each holds a connection, even when all is quiet."""
_OVERTAKEN = (
    "%s: with prefetchCount %d a message that fails is overtaken by those that were fetched behind"
    " it, here as in Azure; 0 keeps the messages of a session in their order"
)

Messages = Sequence[ServiceBusReceivedMessage]


class Rounds:
    """The messages of one function, in rounds.

    Single messages: as many run side by side as there may be sessions at a time, each on those of
    one session in their order. Batches: one after the other. A session is let go when no message
    came for the idle time.
    """

    def __init__(
        self, delivery: Delivery, client: ServiceBusClient, options: ServiceBusOptions
    ) -> None:
        function = delivery.function
        self.function, self.entity = function, delivery.entity
        self._delivery, self._client, self._options = delivery, client, options
        self._many = takes_many(function)
        self._size = options.max_batch_size if self._many else 1
        self._least = options.min_batch_size if self._many else 1
        self._in_sessions = bool(function.fields.get("isSessionsEnabled"))
        # Some wait for the next session; the others work on theirs, or wait for their turn.
        self._accepting = asyncio.Semaphore(_WAITING)
        self._sessions = SessionReceivers(self._new_receiver, spare=_WAITING)
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._away = False

    async def listen(self) -> None:
        """Receive until stopped, however often and however long the broker is away."""
        # Batches come one after the other, of one session at a time: as in Azure, where
        # maxConcurrentSessions counts for functions that take a single message.
        side_by_side = self._in_sessions and not self._many
        if side_by_side and self._options.prefetch_count:
            host_log.warning(_OVERTAKEN, self.function.name, self._options.prefetch_count)
        width = self._options.max_concurrent_sessions if side_by_side else 1
        try:
            await asyncio.gather(*(self._serve() for _ in range(width)))
        finally:
            self._ended.set()

    async def renew_locks(self) -> None:
        """Nothing to do here: each round keeps its own."""

    def stop(self) -> None:
        """Receive no more; what runs goes on and is settled."""
        self._stopping.set()

    async def settled(self) -> None:
        """Wait until the rounds under way are over."""
        await self._ended.wait()

    async def close(self) -> None:
        """Hang up what was kept for later sessions."""
        await self._sessions.close()

    async def _serve(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            receiver: ServiceBusReceiver | None = None
            try:
                receiver = await self._unless_stopped(self._accept())
                if receiver is not None:
                    self._say_it_is_back()
                    pause_s = _FIRST_PAUSE_S
                    well = await self._work_through(receiver)
                    await self._hang_up(receiver, well=well)
            except OperationTimeoutError:
                continue  # no session had a message
            except Exception as error:  # noqa: BLE001 - the SDK raises far more than its own errors
                self._say_it_is_away(error)
                if receiver is not None:
                    await self._hang_up(receiver, well=False)
                await self._unless_stopped(asyncio.sleep(pause_s))
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _say_it_is_away(self, error: Exception) -> None:
        if not self._away:
            host_log.warning("%s is out of reach, trying again: %s", self.entity, error)
        self._away = True

    def _say_it_is_back(self) -> None:
        if self._away:
            host_log.info("connected to %s again", self.entity)
        self._away = False

    async def _accept(self) -> ServiceBusReceiver:
        async with self._accepting:
            if self._in_sessions:
                return await self._sessions.accept()
            receiver = self._new_receiver()
            try:
                await receiver.__aenter__()
            except BaseException:
                await _closed(receiver)
                raise
            return receiver

    async def _hang_up(self, receiver: ServiceBusReceiver, *, well: bool) -> None:
        if not self._in_sessions:
            await _closed(receiver)
        elif well and not self._stopping.is_set():
            await self._sessions.release(receiver)
        else:
            await self._sessions.discard(receiver)

    def _new_receiver(self) -> ServiceBusReceiver:
        options: dict[str, Any] = {"prefetch_count": self._options.prefetch_count}
        if self._in_sessions:
            options["session_id"] = NEXT_AVAILABLE_SESSION
        topic, _, subscription = self.entity.partition("/")
        if subscription:
            return self._client.get_subscription_receiver(topic, subscription, **options)
        return self._client.get_queue_receiver(topic, **options)

    async def _work_through(self, receiver: ServiceBusReceiver) -> bool:
        """Take messages until none come any more, if this is a session, or until stopped.

        False when the receiver must not go on: a message of a session that is not settled is still
        locked, and those behind it would overtake it.
        """
        wait_s = self._options.session_idle_s if self._in_sessions else _LISTEN_S
        while not self._stopping.is_set():
            messages = await self._unless_stopped(
                receiver.receive_messages(self._size, max_wait_time=wait_s)
            )
            if messages:
                if not await self._fill(messages, receiver):
                    continue
                if not await self._round(messages, receiver) and self._in_sessions:
                    return False
            elif self._in_sessions:
                break
        return True

    async def _fill(
        self, batch: list[ServiceBusReceivedMessage], receiver: ServiceBusReceiver
    ) -> bool:
        """Wait until `batch` has its least size, or its time has passed, or its session is idle.

        False when the host stops meanwhile: then the messages are given back.
        """
        until = time.monotonic() + self._options.max_batch_wait_s
        while len(batch) < self._least and (left_s := until - time.monotonic()) > 0:
            if self._in_sessions:
                left_s = min(left_s, self._options.session_idle_s)
            more = await self._unless_stopped(
                receiver.receive_messages(self._size - len(batch), max_wait_time=left_s)
            )
            if more is None:
                await asyncio.gather(*map(receiver.abandon_message, batch), return_exceptions=True)
                return False
            batch += more
            if self._in_sessions and not more:
                break
        return True

    async def _round(self, messages: Messages, receiver: ServiceBusReceiver) -> bool:
        """Whether all messages are settled, in whichever way."""
        keeping = asyncio.create_task(self._keep(messages, receiver))
        try:
            outcome = await self._run(messages)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        settle = receiver.complete_message if outcome.ok else receiver.abandon_message
        failures = [
            failure
            for failure in await asyncio.gather(
                *(settle(message) for message in messages), return_exceptions=True
            )
            if failure is not None
        ]
        if failures:
            host_log.warning(
                "%d of %d messages of %s could not be settled, so they come again: %s",
                len(failures),
                len(messages),
                self.entity,
                failures[0],
            )
        return not failures

    async def _run(self, messages: Messages) -> Outcome:
        if self._many:
            return await self._delivery.many(messages)
        return await self._delivery.one(messages[0])

    async def _keep(self, messages: Messages, receiver: ServiceBusReceiver) -> None:
        """Renew the lock of the session, or those of the messages, while the function runs."""
        until = time.monotonic() + self._options.max_lock_renewal_s
        held = receiver.session if self._in_sessions else None
        full_s = _left_s(held.locked_until_utc if held else messages[0].locked_until_utc)
        while time.monotonic() < until:
            await asyncio.sleep(_RENEWAL_CHECK_S)
            left_s = _left_s(held.locked_until_utc if held else messages[0].locked_until_utc)
            if left_s > full_s / 2:
                continue
            try:
                if held is not None:
                    await held.renew_lock()
                else:
                    await asyncio.gather(*map(receiver.renew_message_lock, messages))
            except Exception as error:  # noqa: BLE001 - see _serve
                host_log.warning("the locks on messages of %s are lost: %s", self.entity, error)
                return

    async def _unless_stopped[T](self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` returns, or None when the stop came first."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return None if task.cancelled() else task.result()


def _left_s(until: datetime | None) -> float:
    return (until - datetime.now(UTC)).total_seconds() if until else 0.0


async def _closed(receiver: ServiceBusReceiver) -> None:
    with contextlib.suppress(Exception):  # it may be broken, that is why it closes
        await receiver.close()
