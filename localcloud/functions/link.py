"""One Service Bus receiver whose connection one party uses at a time."""

import asyncio
from collections.abc import Awaitable, Callable

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver

_LISTEN_S = 60.0

Job = Callable[[], Awaitable[None]]


class Link:
    """Receives, and settles in between.

    The SDK's connection holds a lock while it waits for a frame: to settle a message during a
    receive takes two of its time-outs, 0.4 s. So a job interrupts the receive, has the connection
    to itself and its answer at once, and the receive goes on afterwards.
    """

    def __init__(self, receiver: ServiceBusReceiver) -> None:
        self.receiver = receiver
        self._jobs: list[tuple[Job, asyncio.Future[None]]] = []
        self._receiving: asyncio.Task[list[ServiceBusReceivedMessage]] | None = None
        self._stirred = asyncio.Event()
        self._abandoned = False

    async def receive(self) -> ServiceBusReceivedMessage | None:
        """The next message, or None when something else is to be done first.

        Raises what the SDK raises when the broker is away.
        """
        if self._stirred.is_set():  # since the last `work`
            return None
        # One message at a time: for a second one, the SDK would wait 0.2 s for it to come, and
        # an interruption would lose the first.
        receiving = self._receiving = asyncio.create_task(
            self.receiver.receive_messages(1, max_wait_time=_LISTEN_S)
        )
        try:
            messages = await receiving
        except asyncio.CancelledError:
            if not receiving.done():
                receiving.cancel()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None
        finally:
            self._receiving = None
        return messages[0] if messages else None

    async def do(self, job: Job) -> None:
        """Run `job`, which uses the receiver, when nothing else does. Raises what it raises."""
        if self._abandoned:
            await job()
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.append((job, done))
        self.stir()
        await done

    def stir(self) -> None:
        """Let whoever owns this link look again at what is to be done."""
        self._stirred.set()
        if self._receiving is not None:
            self._receiving.cancel()

    async def stirred(self) -> None:
        """Wait for the next `stir`, unless there was one since the last `work`."""
        await self._stirred.wait()

    async def work(self) -> None:
        """Run the jobs that wait, together: the broker commits them together too."""
        self._stirred.clear()
        jobs, self._jobs = self._jobs, []
        await asyncio.gather(*(_run(job, done) for job, done in jobs))

    async def abandon(self) -> None:
        """Receive no more through this link: jobs run at once, those that wait and later ones."""
        self._abandoned = True
        await self.work()


async def _run(job: Job, done: asyncio.Future[None]) -> None:
    try:
        await job()
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
        if not done.done():
            done.set_exception(error)
    else:
        if not done.done():
            done.set_result(None)
