"""Who uses a receiver's connection when."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from azure.servicebus.aio import ServiceBusReceiver

from localcloud.functions.link import Link

WITHIN_S = 5.0


class Quiet:
    """A receiver to which no message comes, or which fails."""

    def __init__(self) -> None:
        self.receives = False
        self.failure: Exception | None = None

    async def receive_messages(self, _: int, *, max_wait_time: float) -> list[Any]:
        if self.failure is not None:
            raise self.failure
        self.receives = True
        try:
            await asyncio.sleep(max_wait_time)
        finally:
            self.receives = False
        return []

    async def settle(self) -> None:
        assert not self.receives, "someone reads meanwhile"
        await asyncio.sleep(0.01)


@pytest.fixture
def quiet() -> Quiet:
    return Quiet()


@pytest.fixture
async def link(quiet: Quiet) -> AsyncIterator[Link]:
    """A link that someone works through, as the host does while there is room."""
    made = Link(cast("ServiceBusReceiver", quiet))

    async def work_through() -> None:
        while True:
            await made.work()
            await made.receive()

    worker = asyncio.create_task(work_through())
    yield made
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def test_a_job_interrupts_a_receive_that_waits(link: Link, quiet: Quiet) -> None:
    async with asyncio.timeout(WITHIN_S):
        await asyncio.sleep(0)
        await link.do(quiet.settle)


async def test_no_job_is_forgotten_that_comes_while_others_run(link: Link, quiet: Quiet) -> None:
    async def late(delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await link.do(quiet.settle)

    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*(late(n / 1000) for n in range(50)))


async def test_a_jobs_failure_is_its_askers_alone(link: Link, quiet: Quiet) -> None:
    async def fail() -> None:
        raise OSError("the line is cut")

    async with asyncio.timeout(WITHIN_S):
        with pytest.raises(OSError, match="the line is cut"):
            await link.do(fail)
        await link.do(quiet.settle)


async def test_an_abandoned_link_runs_its_jobs_at_once(quiet: Quiet) -> None:
    link = Link(cast("ServiceBusReceiver", quiet))
    waiting = asyncio.create_task(link.do(quiet.settle))
    await asyncio.sleep(0)

    async with asyncio.timeout(WITHIN_S):
        await link.abandon()
        await waiting
        await link.do(quiet.settle)


async def test_what_the_receiver_raises_ends_the_receive(quiet: Quiet) -> None:
    link = Link(cast("ServiceBusReceiver", quiet))
    quiet.failure = OSError("the broker is away")

    with pytest.raises(OSError, match="the broker is away"):
        await link.receive()
