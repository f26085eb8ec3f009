"""Somebody sets the machine's clock, an hour forwards or back, while the broker works."""

import asyncio
import base64
import hashlib
import hmac
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient

from localcloud.tests.servicebus.rig import KEY, BrokerProcess, write_topology

HOUR_S = 3600
MOVED_CLOCK = Path(__file__).parents[1] / "rig" / "moved_clock"


class Broker:
    """A broker that runs by a clock of its own, which the test sets; its clients do not."""

    def __init__(self, process: BrokerProcess, clock: Path) -> None:
        self._process, self._clock = process, clock

    def set_clock(self, ahead_s: int) -> None:
        scratch = self._clock.with_suffix(".new")
        scratch.write_text(str(ahead_s))
        scratch.replace(self._clock)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self._clock.read_text()))

    def client(self) -> ServiceBusClient:
        """With a signature that is valid by either clock."""
        endpoint = f"sb://127.0.0.1:{self._process.port}"
        scope, expiry = quote_plus(endpoint), str(int(time.time()) + 3 * HOUR_S)
        digest = hmac.digest(KEY.encode(), f"{scope}\n{expiry}".encode(), hashlib.sha256)
        signature = quote_plus(base64.b64encode(digest).decode())
        return ServiceBusClient.from_connection_string(
            f"Endpoint={endpoint};UseDevelopmentEmulator=true;SharedAccessSignature="
            f"SharedAccessSignature sr={scope}&sig={signature}&se={expiry}"
            "&skn=RootManageSharedAccessKey"
        )

    async def send(self, queue: str, body: str, lives: timedelta | None = None) -> None:
        async with self.client() as client, client.get_queue_sender(queue) as sender:
            await sender.send_messages(ServiceBusMessage(body, time_to_live=lives))

    async def schedule(self, queue: str, body: str, in_s: int) -> None:
        due = self.now() + timedelta(seconds=in_s)
        async with self.client() as client, client.get_queue_sender(queue) as sender:
            await sender.schedule_messages(ServiceBusMessage(body), due)

    async def take(
        self, queue: str, wait_s: float, part: ServiceBusSubQueue | None = None
    ) -> list[str]:
        """What comes within `wait_s`, removed."""
        async with (
            self.client() as client,
            client.get_queue_receiver(
                queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE, sub_queue=part
            ) as receiver,
        ):
            return [str(m) for m in await receiver.receive_messages(10, max_wait_time=wait_s)]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="broker-"))
    clock = folder / "clock"
    clock.write_text("0")
    own = {
        "LockDuration": "PT3S",
        "DefaultMessageTimeToLive": "P14D",
        "DeadLetteringOnMessageExpiration": True,
    }
    queues = [story.__name__ + direction for story in STORIES for direction in DIRECTIONS]
    topology = write_topology(folder / "topology.json", {}, dict.fromkeys(queues, own))
    with pytest.MonkeyPatch.context() as surroundings:
        surroundings.setenv("PYTHONPATH", str(MOVED_CLOCK))
        surroundings.setenv("MOVED_CLOCK", str(clock))
        process = BrokerProcess(topology, folder / "state")
    yield Broker(process, clock)
    process.stop()


type Story = AsyncIterator[None]
"""What happens in a queue before the clock is set, then after it."""


async def the_broker_runs_by_this_clock(broker: Broker, queue: str, _ahead_s: int) -> Story:
    """Or the other stories would prove nothing."""
    yield
    await broker.send(queue, "one")
    async with broker.client() as client, client.get_queue_receiver(queue) as receiver:
        [message] = await receiver.receive_messages(1, max_wait_time=30)
        await receiver.complete_message(message)
    assert message.enqueued_time_utc is not None
    assert abs(message.enqueued_time_utc - broker.now()) < timedelta(minutes=5)


async def a_lock_is_not_lost(broker: Broker, queue: str, _ahead_s: int) -> Story:
    await broker.send(queue, "one")
    async with (
        broker.client() as client,
        client.get_queue_receiver(queue) as receiver,
        AutoLockRenewer() as renewer,
    ):
        [message] = await receiver.receive_messages(1, max_wait_time=30)
        renewer.register(receiver, message)
        yield
        await receiver.complete_message(message)
    assert await broker.take(queue, 4) == []


async def a_lock_of_somebody_who_is_gone_ends(broker: Broker, queue: str, _ahead_s: int) -> Story:
    await broker.send(queue, "one")
    async with broker.client() as client, client.get_queue_receiver(queue) as receiver:
        await receiver.receive_messages(1, max_wait_time=30)
    yield
    assert await broker.take(queue, 30) == ["one"]


async def the_schedule_is_kept(broker: Broker, queue: str, ahead_s: int) -> Story:
    """What is due is found within a minute, or when something is added to the schedule."""
    await broker.schedule(queue, "in half an hour", HOUR_S // 2)
    yield
    await broker.schedule(queue, "at once", 0)
    taken = [*await broker.take(queue, 30), *await broker.take(queue, 1)]
    async with broker.client() as client, client.get_queue_receiver(queue) as receiver:
        waiting = [str(message) for message in await receiver.peek_messages(10)]
    if ahead_s < 0:
        assert (taken, waiting) == (["at once"], ["in half an hour"])
    else:
        assert (sorted(taken), waiting) == (["at once", "in half an hour"], [])


async def what_has_outlived_its_time_is_a_dead_letter(
    broker: Broker, queue: str, ahead_s: int
) -> Story:
    await broker.send(queue, "ten minutes", lives=timedelta(minutes=10))
    yield
    if ahead_s < 0:
        assert await broker.take(queue, 30) == ["ten minutes"]
    else:
        assert await broker.take(queue, 1) == []
        assert await broker.take(queue, 30, ServiceBusSubQueue.DEAD_LETTER) == ["ten minutes"]


STORIES = (
    the_broker_runs_by_this_clock,
    a_lock_is_not_lost,
    a_lock_of_somebody_who_is_gone_ends,
    what_has_outlived_its_time_is_a_dead_letter,
    the_schedule_is_kept,
)
DIRECTIONS = {"forwards": HOUR_S, "back": -HOUR_S}
"""By how much the clock is set, in seconds."""


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_no_message_or_lock_is_lost_when_the_clock_is_set_an_hour(
    direction: str, broker: Broker
) -> None:
    ahead_s = DIRECTIONS[direction]
    broker.set_clock(0)
    stories = [story(broker, story.__name__ + direction, ahead_s) for story in STORIES]
    await asyncio.gather(*(anext(story) for story in stories))

    broker.set_clock(ahead_s)

    await asyncio.gather(*(anext(story, None) for story in stories))
