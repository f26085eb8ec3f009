"""What sessions, schedules, forwards and duplicate detection keep when the broker is killed."""

import asyncio
import gc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from localcloud.tests.servicebus.rig import BrokerProcess, running, write_topology
from localcloud.tests.servicebus.sdk import Sdk
from localcloud.tests.servicebus.waiting import bodies, nothing_comes, receive

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("sdk_litter"),
]
KILLS = 4


@pytest.fixture
def sdk_litter() -> Iterator[None]:
    # After a lost connection the SDK leaves its old transport to the garbage collector.
    yield
    gc.collect()


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    queues: dict[str, dict[str, Any]] = {
        "plain": {"RequiresDuplicateDetection": True},
        "sessions": {"RequiresSession": True},
        "forwarding": {"ForwardTo": "goal"},
        "goal": {},
    }
    return write_topology(tmp_path / "topology.json", {}, queues)


async def test_sessions_and_what_waits_are_there_after_a_kill(
    topology: Path, tmp_path: Path
) -> None:
    broker = BrokerProcess(topology, tmp_path / "state")
    sdk = Sdk(broker.connection_string(), synchronous=False)
    plain, sessions, forwarding, session = await asyncio.gather(
        sdk.queue_pair("plain"),
        sdk.queue_sender("sessions"),
        sdk.queue_sender("forwarding"),
        sdk.queue_receiver("sessions", session_id="s"),
    )
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    await sessions.send_messages([ServiceBusMessage(text, session_id="s") for text in "abc"])
    await session.session.set_state(b"after a")
    (a,) = await receive(session, 1)
    await session.complete_message(a)
    await plain.sender.send_messages(ServiceBusMessage("deferred", message_id="1"))
    (deferred,) = await receive(plain.receiver, 1)
    await plain.receiver.defer_message(deferred)
    await plain.sender.schedule_messages(ServiceBusMessage("due", message_id="2"), due)
    later = await plain.sender.schedule_messages(ServiceBusMessage("x"), due + timedelta(hours=1))
    await plain.sender.cancel_scheduled_messages(later)
    await forwarding.send_messages(ServiceBusMessage("forwarded"))
    broker.kill()
    await sdk.close()
    with running(topology, tmp_path / "state") as again:
        sdk = Sdk(again.connection_string(), synchronous=False)
        plain, session, goal = await asyncio.gather(
            sdk.queue_pair("plain"),
            sdk.queue_receiver("sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5),
            sdk.queue_receiver("goal"),
        )
        assert session.session.session_id == "s"
        assert await session.session.get_state() == b"after a"
        assert bodies(await receive(session, 2)) == ["b", "c"]
        (back,) = await plain.receiver.receive_deferred_messages([deferred.sequence_number])
        await plain.receiver.complete_message(back)
        await plain.sender.send_messages(ServiceBusMessage("again", message_id="1"))
        (found,) = await receive(plain.receiver, 1)
        assert (str(found), found.enqueued_time_utc >= due) == ("due", True)
        await plain.receiver.complete_message(found)
        assert bodies(await receive(goal, 1)) == ["forwarded"]
        assert await nothing_comes(plain.receiver)
        await sdk.close()


async def test_messages_from_before_a_queue_forwarded_are_forwarded(tmp_path: Path) -> None:
    before = write_topology(tmp_path / "before.json", {}, {"q": {}, "goal": {}})
    after = write_topology(tmp_path / "after.json", {}, {"q": {"ForwardTo": "goal"}, "goal": {}})
    with running(before, tmp_path / "state") as broker:
        sdk = Sdk(broker.connection_string(), synchronous=False)
        sender = await sdk.queue_sender("q")
        await sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
        await sdk.close()
    for _ in range(2):
        with running(after, tmp_path / "state") as broker:
            sdk = Sdk(broker.connection_string(), synchronous=False)
            goal = await sdk.queue_receiver("goal")
            assert bodies(await receive(goal, 2)) == ["a", "b"]
            await sdk.close()


async def test_kills_around_the_due_time_enqueue_every_scheduled_message_once(
    topology: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    broker = BrokerProcess(topology, state)
    async with (
        ServiceBusClient.from_connection_string(broker.connection_string()) as service,
        service.get_queue_sender("forwarding") as sender,
    ):
        start = datetime.now(UTC) + timedelta(seconds=1)
        for number in range(40):
            await sender.schedule_messages(
                [ServiceBusMessage(f"{number}-{copy}") for copy in range(10)],
                start + timedelta(milliseconds=50 * number),
            )
    for kill in range(KILLS):
        moment = start + timedelta(milliseconds=400 * (kill + 1))
        await asyncio.sleep(max((moment - datetime.now(UTC)).total_seconds(), 0))
        broker.kill()
        broker = await asyncio.to_thread(lambda: BrokerProcess(topology, state))
    sdk = Sdk(broker.connection_string(), synchronous=False)
    goal = await sdk.queue_receiver("goal")
    found = bodies(await receive(goal, 400, within_s=20))
    assert sorted(found) == sorted(f"{n}-{copy}" for n in range(40) for copy in range(10))
    assert len({*found}) == 400
    assert await nothing_comes(goal)
    await sdk.close()
    assert broker.stop() == 0
