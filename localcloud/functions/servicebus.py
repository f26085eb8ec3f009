"""Service Bus triggers: receives by peek-lock, completes on success, abandons on failure."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageAlreadySettled

from localcloud.functions.catalogue import Function
from localcloud.functions.connections import Connections
from localcloud.functions.deliveries import Delivery, takes_many
from localcloud.functions.execution import Executor
from localcloud.functions.inputs import Inputs
from localcloud.functions.link import Link
from localcloud.functions.logs import host_log
from localcloud.functions.rounds import Rounds
from localcloud.functions.settings import ServiceBusOptions

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_RENEWAL_CHECK_S = 0.5
# A message that waited in the buffer until its lock has less than this left is asked about first.
_SAFE_LOCK_S = 1.0


class _InHand:
    """A message that a function works on."""

    __slots__ = ("link", "lock_s", "message", "renewable", "since")

    def __init__(self, message: ServiceBusReceivedMessage, link: Link) -> None:
        self.message, self.link = message, link
        self.since = time.monotonic()
        self.lock_s = _lock_left_s(message)
        self.renewable = True


class Subscription:
    """The messages of one function: those of a queue, or of a topic's subscription."""

    def __init__(
        self, delivery: Delivery, client: ServiceBusClient, options: ServiceBusOptions
    ) -> None:
        self.function, self.entity = delivery.function, delivery.entity
        self._delivery, self._client, self._options = delivery, client, options
        self._in_hand: dict[asyncio.Task[None], _InHand] = {}
        self._link: Link | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def listen(self) -> None:
        """Receive until cancelled, however often and however long the broker is away."""
        pause_s, away = _FIRST_PAUSE_S, False
        while True:
            link = self._link = Link(self._new_receiver())
            try:
                await link.receiver.__aenter__()
                if away:
                    host_log.info("connected to %s again", self.entity)
                pause_s, away = _FIRST_PAUSE_S, False
                await self._work_through(link)
            except Exception as error:  # noqa: BLE001 - the SDK raises far more than its own errors
                if not away:
                    host_log.warning("%s is out of reach, trying again: %s", self.entity, error)
                away = True
            self._retire(link)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _new_receiver(self) -> ServiceBusReceiver:
        topic, _, subscription = self.entity.partition("/")
        prefetch = self._options.prefetch_count
        if subscription:
            return self._client.get_subscription_receiver(
                topic, subscription, prefetch_count=prefetch
            )
        return self._client.get_queue_receiver(topic, prefetch_count=prefetch)

    async def _work_through(self, link: Link) -> None:
        """Take messages while there is room, settle those that are done."""
        while True:
            await link.work()
            if self._stopping or len(self._in_hand) >= self._options.max_concurrent_calls:
                await link.stirred()
            elif (message := await link.receive()) is not None:
                task = asyncio.create_task(self._process(message, link))
                self._in_hand[task] = _InHand(message, link)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        link = self._in_hand.pop(task).link
        if len(self._in_hand) == self._options.max_concurrent_calls - 1:
            link.stir()
        if not task.cancelled() and (error := task.exception()) is not None:
            host_log.error("a message of %s was not processed", self.entity, exc_info=error)

    async def _process(self, message: ServiceBusReceivedMessage, link: Link) -> None:
        if not await _is_ours(message, link):
            host_log.warning(
                "message %s of %s waited past its lock; the broker delivers it again",
                message.message_id,
                self.entity,
            )
            return
        outcome = await self._delivery.one(message)
        receiver = link.receiver
        settle = receiver.complete_message if outcome.ok else receiver.abandon_message
        try:
            await link.do(partial(settle, message))
        except Exception as error:  # noqa: BLE001 - see listen
            host_log.warning(
                "message %s of %s could not be settled, so it comes again: %s",
                message.message_id,
                self.entity,
                error,
            )

    async def renew_locks(self) -> None:
        """Keep the locks of the messages in hand, until cancelled."""
        while True:
            await asyncio.sleep(_RENEWAL_CHECK_S)
            overdue = [
                held
                for held in self._in_hand.values()
                if held.renewable
                and _lock_left_s(held.message) < held.lock_s / 2
                and time.monotonic() - held.since < self._options.max_lock_renewal_s
            ]
            await asyncio.gather(*map(self._renew, overdue))

    async def _renew(self, held: _InHand) -> None:
        held.renewable = await _renewed(held.message, held.link)
        if not held.renewable:
            host_log.warning(
                "the lock on message %s of %s is lost; the broker delivers it again",
                held.message.message_id,
                self.entity,
            )

    def _retire(self, link: Link) -> None:
        """Close `link` once the messages that came through it are settled."""
        self._link = None
        retiring = asyncio.create_task(self._close(link))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _close(self, link: Link) -> None:
        tasks = [task for task, held in self._in_hand.items() if held.link is link]
        await link.abandon()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # it may be broken, that is why it closes
            await link.receiver.close()

    def stop(self) -> None:
        """Receive no more; what runs goes on and is settled."""
        self._stopping = True
        if self._link is not None:
            self._link.stir()

    async def settled(self) -> None:
        """Wait until the messages in hand are settled."""
        await asyncio.gather(*self._in_hand, return_exceptions=True)

    async def close(self) -> None:
        """Give the prefetched messages back and hang up; `listen` has ended."""
        if self._link is not None:
            await self._close(self._link)
        await asyncio.gather(*self._retiring, return_exceptions=True)


class Subscriptions:
    """Every Service Bus trigger of the app."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        options: ServiceBusOptions,
        connections: Connections,
        executor: Executor,
        inputs: Inputs,
    ) -> None:
        """StartRefused naming a function whose connection is not set."""
        self.by_name = {
            function.name.lower(): Delivery(function, executor, inputs) for function in functions
        }
        self._subscriptions: list[Subscription | Rounds] = [
            _kind_of(delivery.function)(
                delivery,
                connections.client(
                    str(delivery.function.fields.get("connection", "")),
                    function=delivery.function.name,
                ),
                options,
            )
            for delivery in self.by_name.values()
            if not delivery.function.disabled
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to receive."""
        for subscription in self._subscriptions:
            name = subscription.function.name
            self._tasks += [
                asyncio.create_task(subscription.listen(), name=f"listen {name}"),
                asyncio.create_task(subscription.renew_locks(), name=f"locks {name}"),
            ]

    def stop(self) -> None:
        """Receive no more; what runs goes on and is settled."""
        for subscription in self._subscriptions:
            subscription.stop()

    async def close(self) -> None:
        """Settle what has ended, return what was only prefetched, hang up."""
        await asyncio.gather(*(subscription.settled() for subscription in self._subscriptions))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions))


def _kind_of(function: Function) -> type[Subscription | Rounds]:
    in_rounds = takes_many(function) or function.fields.get("isSessionsEnabled")
    return Rounds if in_rounds else Subscription


def _lock_left_s(message: ServiceBusReceivedMessage) -> float:
    until = message.locked_until_utc
    return (until - datetime.now(UTC)).total_seconds() if until else 0.0


async def _is_ours(message: ServiceBusReceivedMessage, link: Link) -> bool:
    """Whether the lock still holds after the wait in the prefetch buffer."""
    left_s = _lock_left_s(message)
    if left_s >= _SAFE_LOCK_S:
        return True
    return left_s > 0 and await _renewed(message, link)


async def _renewed(message: ServiceBusReceivedMessage, link: Link) -> bool:
    async def renew() -> None:
        await link.receiver.renew_message_lock(message)

    try:
        await link.do(renew)
    except MessageAlreadySettled:
        return True
    except Exception:  # noqa: BLE001 - whatever it is, the lock is not sure any more
        return False
    return True
