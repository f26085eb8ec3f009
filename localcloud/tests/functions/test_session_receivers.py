"""Sessions taken one after the other over kept connections, with the SDK and a real broker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import OperationTimeoutError, ServiceBusError

from localcloud.functions import session_receivers
from localcloud.functions.session_receivers import SessionReceivers
from localcloud.tests.servicebus.rig import BrokerProcess, write_topology

PATIENCE_S = 30.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    topology = write_topology(tmp_path / "topology.json", {}, {"q": {"RequiresSession": True}})
    process = BrokerProcess(topology, tmp_path / "state")
    yield process
    process.stop()


@pytest.fixture
async def client(broker: BrokerProcess) -> AsyncIterator[ServiceBusClient]:
    text = broker.connection_string()
    async with ServiceBusClient.from_connection_string(text, retry_total=0) as opened:
        yield opened


def receivers(
    client: ServiceBusClient, *, spare: int = 2, wait_s: float | None = None
) -> SessionReceivers:
    return SessionReceivers(
        lambda: client.get_queue_receiver(
            "q", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=wait_s
        ),
        spare=spare,
    )


async def send(client: ServiceBusClient, *sessions: str) -> None:
    async with client.get_queue_sender("q") as sender:
        await sender.send_messages(
            [ServiceBusMessage(f"for {session}", session_id=session) for session in sessions]
        )


async def take(receiver: ServiceBusReceiver) -> tuple[str, str]:
    """The session, and its next message, completed."""
    (message,) = await receiver.receive_messages(1, max_wait_time=PATIENCE_S)
    await receiver.complete_message(message)
    assert message.session_id == receiver.session.session_id
    return receiver.session.session_id, str(message)


async def test_the_next_session_comes_over_the_same_connection(client: ServiceBusClient) -> None:
    sessions = receivers(client)
    await send(client, "a", "b")
    first = await sessions.accept()
    assert await take(first) == ("a", "for a")
    await sessions.release(first)
    second = await sessions.accept()
    assert second is first
    assert await take(second) == ("b", "for b")
    until = second.session.locked_until_utc
    assert until is not None
    assert await second.session.renew_lock() >= until
    await sessions.discard(second)
    await sessions.close()


async def test_messages_of_a_session_that_was_given_back_are_not_lost(
    client: ServiceBusClient,
) -> None:
    """Not taken, or come too late: they belong to whoever has the session next."""
    sessions = receivers(client)
    await send(client, "a")
    first = await sessions.accept()
    assert await take(first) == ("a", "for a")
    idle = asyncio.create_task(first.receive_messages(1, max_wait_time=0.3))
    assert await idle == []  # and the broker may still send one
    await send(client, "a", "b")
    await sessions.release(first)
    taken = set()
    for _ in range(2):
        receiver = await sessions.accept()
        (message,) = await receiver.receive_messages(1, max_wait_time=PATIENCE_S)
        assert (message.session_id, message.delivery_count) == (receiver.session.session_id, 0)
        taken.add(str(message))
        await receiver.complete_message(message)
        await sessions.release(receiver)
    assert taken == {"for a", "for b"}
    await sessions.close()


async def test_no_more_connections_are_kept_than_may_be(client: ServiceBusClient) -> None:
    sessions = receivers(client, spare=1)
    await send(client, "a", "b", "c")
    first, second = await sessions.accept(), await sessions.accept()
    assert {(await take(first))[0], (await take(second))[0]} == {"a", "b"}
    await sessions.release(first)
    await sessions.release(second)
    third = await sessions.accept()
    assert third is first
    await sessions.discard(third)
    await sessions.close()


async def test_a_connection_is_left_when_it_has_served_its_sessions(
    client: ServiceBusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_receivers, "_MOST_SESSIONS", 2)
    sessions = receivers(client)
    await send(client, "a", "b", "c")
    served = []
    for _ in range(3):
        receiver = await sessions.accept()
        await take(receiver)
        await sessions.release(receiver)
        served.append(receiver)
    assert served[0] is served[1]
    assert served[2] is not served[0]
    await sessions.close()


async def test_without_a_session_the_brokers_patience_ends_and_the_next_one_is_had(
    client: ServiceBusClient,
) -> None:
    sessions = receivers(client, wait_s=0.3)
    with pytest.raises(OperationTimeoutError):
        await sessions.accept()
    await send(client, "a")
    receiver = await sessions.accept()
    assert await take(receiver) == ("a", "for a")
    await sessions.discard(receiver)


async def test_connections_that_died_while_they_were_kept_are_replaced(
    client: ServiceBusClient, broker: BrokerProcess, tmp_path: Path
) -> None:
    sessions = receivers(client)
    await send(client, "a", "b")
    first = await sessions.accept()
    await take(first)
    await sessions.release(first)
    broker.kill()
    with pytest.raises(ServiceBusError):
        await sessions.accept()
    again = await asyncio.to_thread(
        lambda: BrokerProcess(tmp_path / "topology.json", tmp_path / "state", port=broker.port)
    )
    receiver = await sessions.accept()
    assert receiver is not first
    assert await take(receiver) == ("b", "for b")
    await sessions.discard(receiver)
    again.stop()
