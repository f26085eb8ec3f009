"""The two halves of the Azure SDK behind one asynchronous face, so that a test runs on both."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from azure.servicebus import ServiceBusClient
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient

THREADS = 64


class InThreads:
    """A synchronous SDK object whose methods are awaited, each running in a thread."""

    def __init__(self, wrapped: Any, pool: ThreadPoolExecutor) -> None:
        self.wrapped = wrapped
        self._pool = pool

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self.wrapped, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, lambda: method(*args, **kwargs))

        return call


@dataclass(frozen=True)
class Pair:
    """A sender to a topic of its own, and a receiver of its subscription."""

    topic: str
    sender: Any
    receiver: Any


class Sdk:
    """Opens senders and receivers, and closes what is still open at the end."""

    def __init__(self, connection_string: str, *, synchronous: bool) -> None:
        factory: Any = ServiceBusClient if synchronous else AsyncServiceBusClient
        self.name = "sync" if synchronous else "aio"
        self._client = factory.from_connection_string(connection_string, retry_total=0)
        self._pool = ThreadPoolExecutor(THREADS) if synchronous else None
        self._open: list[Any] = []
        self._pairs: dict[str, list[Pair]] = defaultdict(list)

    async def prepare(self, topics: Iterable[str]) -> None:
        """Open pairs for these topics all at once: one by one each takes the SDK a second."""
        for pair in await asyncio.gather(*(self._pair(topic) for topic in topics)):
            kind, _, _ = pair.topic.partition("-")
            self._pairs[kind].append(pair)

    def take(self, kind: str) -> Pair:
        """A prepared pair that nobody has used."""
        return self._pairs[kind].pop()

    async def _pair(self, topic: str) -> Pair:
        sender, receiver = await asyncio.gather(self.sender(topic), self.receiver(topic))
        return Pair(topic, sender, receiver)

    async def sender(self, topic: str) -> Any:
        return await self._opened(self._client.get_topic_sender(topic))

    async def receiver(self, topic: str, subscription: str = "all", **options: Any) -> Any:
        return await self._opened(
            self._client.get_subscription_receiver(topic, subscription, **options)
        )

    async def queue_sender(self, queue: str) -> Any:
        return await self._opened(self._client.get_queue_sender(queue))

    async def queue_receiver(self, queue: str, **options: Any) -> Any:
        return await self._opened(self._client.get_queue_receiver(queue, **options))

    async def queue_pair(self, queue: str, **options: Any) -> Pair:
        sender, receiver = await asyncio.gather(
            self.queue_sender(queue), self.queue_receiver(queue, **options)
        )
        return Pair(queue, sender, receiver)

    async def _opened(self, handler: Any) -> Any:
        if self._pool is None:
            await handler.__aenter__()
        else:
            handler = InThreads(handler, self._pool)
            await handler.__enter__()
        self._open.append(handler)
        return handler

    async def close(self) -> None:
        await asyncio.gather(*(handler.close() for handler in self._open))
        if self._pool is None:
            await self._client.close()
        else:
            await asyncio.to_thread(self._client.close)
            self._pool.shutdown()
