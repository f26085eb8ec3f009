"""Sessions as the Azure SDK sees them: order, locks, state, and waiting for the next one."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from localcloud.tests.servicebus.rig import BrokerProcess
from localcloud.tests.servicebus.sdk import Sdk
from localcloud.tests.servicebus.waiting import bodies, nothing_comes, receive

ONE_SDK = pytest.mark.parametrize("sdk", ["aio"], indirect=True)


def messages(*sessions: str) -> list[ServiceBusMessage]:
    """One message for each of these sessions, whose body tells its session and place."""
    return [
        ServiceBusMessage(f"{session}{number}", session_id=session)
        for number, session in enumerate(sessions)
    ]


async def session_of(sdk: Sdk, queue: str, session: Any, **options: Any) -> Any:
    return await sdk.queue_receiver(queue, session_id=session, **options)


@pytest.mark.conforms(
    "Sessions",
    "a receiver gets the messages of its session, first in first out",
    source="learn:azure/service-bus-messaging/message-sessions",
)
async def test_a_receiver_gets_the_messages_of_its_session_in_order(sdk: Sdk) -> None:
    queue = f"sessions-{sdk.name}"
    sender, a, b = await asyncio.gather(
        sdk.queue_sender(queue), session_of(sdk, queue, "a"), session_of(sdk, queue, "b")
    )
    await sender.send_messages(messages("a", "b", "a", "b", "a"))
    of_a, of_b = await asyncio.gather(receive(a, 3), receive(b, 2))
    assert bodies(of_a) == ["a0", "a2", "a4"]
    assert bodies(of_b) == ["b1", "b3"]
    assert {message.session_id for message in of_a} == {"a"}
    await a.abandon_message(of_a[0])
    assert bodies(await receive(a, 1)) == ["a0"]
    for message in of_b:
        await b.complete_message(message)
    assert await nothing_comes(b)


async def test_the_next_session_is_the_one_that_waits_longest(sdk: Sdk) -> None:
    queue = f"sessions-{sdk.name}"
    sender = await sdk.queue_sender(queue)
    waiting = asyncio.create_task(session_of(sdk, queue, NEXT_AVAILABLE_SESSION, max_wait_time=5))
    await sender.send_messages(messages("first", "second"))
    first = await waiting
    second = await session_of(sdk, queue, NEXT_AVAILABLE_SESSION, max_wait_time=5)
    session = first.wrapped.session if hasattr(first, "wrapped") else first.session
    assert session.session_id == "first"
    lock = session.locked_until_utc - datetime.now(UTC)
    assert timedelta(seconds=50) < lock <= timedelta(seconds=60)
    assert bodies(await receive(first, 1)) == ["first0"]
    (message,) = await receive(second, 1)
    assert str(message) == "second1"
    await second.complete_message(message)


@ONE_SDK
async def test_waiting_for_a_session_times_out_when_there_is_none(sdk: Sdk) -> None:
    before = datetime.now(UTC)
    with pytest.raises(OperationTimeoutError):
        await session_of(sdk, "next-session", NEXT_AVAILABLE_SESSION, max_wait_time=0.5)
    assert datetime.now(UTC) - before < timedelta(seconds=5)


@pytest.mark.conforms(
    "Sessions",
    "a session is one receiver's at a time",
    source="learn:azure/service-bus-messaging/message-sessions",
)
@ONE_SDK
async def test_a_session_that_somebody_holds_cannot_be_locked_until_it_is_closed(sdk: Sdk) -> None:
    queue = "session-busy"
    sender, holder = await asyncio.gather(sdk.queue_sender(queue), session_of(sdk, queue, "only"))
    await sender.send_messages(messages("only", "only"))
    (taken,) = await receive(holder, 1)
    assert (str(taken), taken.delivery_count) == ("only0", 0)
    with pytest.raises(SessionCannotBeLockedError):
        await session_of(sdk, queue, "only")
    await holder.close()
    again = await session_of(sdk, queue, NEXT_AVAILABLE_SESSION, max_wait_time=5)
    found = await receive(again, 2)
    assert bodies(found) == ["only0", "only1"]
    assert [message.delivery_count for message in found] == [0, 0]


@ONE_SDK
async def test_a_session_lock_can_be_renewed_and_when_lost_frees_the_session(sdk: Sdk) -> None:
    queue = "session-lost"
    sender, holder = await asyncio.gather(sdk.queue_sender(queue), session_of(sdk, queue, "s"))
    await sender.send_messages(messages("s"))
    (message,) = await receive(holder, 1)
    first_end = holder.session.locked_until_utc
    while datetime.now(UTC) < first_end + timedelta(milliseconds=200):
        assert await holder.session.renew_lock() >= first_end
    again = await session_of(sdk, queue, NEXT_AVAILABLE_SESSION, max_wait_time=5)
    (second,) = await receive(again, 1)
    assert (str(second), second.delivery_count) == ("s0", 1)
    await again.complete_message(second)
    holder.session._locked_until_utc = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(SessionLockLostError):
        await holder.complete_message(message)


@pytest.mark.conforms(
    "Sessions",
    "a session keeps state until it is cleared",
    source="learn:azure/service-bus-messaging/message-sessions#message-session-state",
)
@ONE_SDK
async def test_a_session_keeps_state_for_its_next_receiver(sdk: Sdk) -> None:
    queue = "session-state"
    first = await session_of(sdk, queue, "s")
    assert await first.session.get_state() is None
    await first.session.set_state(b"halfway")
    assert await first.session.get_state() == b"halfway"
    await first.close()
    second = await session_of(sdk, queue, "s")
    assert await second.session.get_state() == b"halfway"
    await second.session.set_state(None)
    assert await second.session.get_state() is None


@ONE_SDK
async def test_a_message_of_a_session_can_be_deferred_and_received_by_number(sdk: Sdk) -> None:
    queue = "session-state"
    sender, holder = await asyncio.gather(sdk.queue_sender(queue), session_of(sdk, queue, "d"))
    await sender.send_messages(messages("d", "d"))
    one, other = await receive(holder, 2)
    await holder.defer_message(one)
    await holder.complete_message(other)
    assert await nothing_comes(holder)
    assert bodies(await holder.peek_messages(5, sequence_number=1)) == ["d0"]
    (back,) = await holder.receive_deferred_messages([one.sequence_number])
    await holder.complete_message(back)
    assert await holder.peek_messages(5, sequence_number=1) == []


@pytest.mark.conforms(
    "Sessions",
    "an entity that requires sessions takes no message without a session id",
    source="learn:azure/service-bus-messaging/message-sessions",
)
@ONE_SDK
async def test_a_queue_with_sessions_takes_no_message_without_one(sdk: Sdk) -> None:
    sender = await sdk.queue_sender("next-session")
    refusals: tuple[Any, ...] = await asyncio.gather(
        sender.send_messages(ServiceBusMessage("astray")),
        sdk.queue_receiver("next-session"),
        session_of(sdk, "goal", "s"),
        return_exceptions=True,
    )
    assert all(isinstance(refusal, ServiceBusError) for refusal in refusals), refusals
    unset, sessionless, needless = map(str, refusals)
    assert "SessionId was not set" in unset
    assert "non-sessionful message receiver" in sessionless
    assert "does not require sessions" in needless


@ONE_SDK
async def test_a_subscription_with_sessions_dead_letters_a_message_without_one(sdk: Sdk) -> None:
    sender, holder, graveyard = await asyncio.gather(
        sdk.sender("in-sessions"),
        sdk.receiver("in-sessions", session_id="s"),
        sdk.receiver("in-sessions", sub_queue=ServiceBusSubQueue.DEAD_LETTER),
    )
    await sender.send_messages([ServiceBusMessage("astray"), *messages("s")])
    assert bodies(await receive(holder, 1)) == ["s0"]
    (dead,) = await receive(graveyard, 1)
    assert (str(dead), dead.dead_letter_reason) == ("astray", "Session ID is null.")
    await graveyard.complete_message(dead)


@ONE_SDK
async def test_the_sessions_of_a_queue_can_be_listed(sdk: Sdk, broker: BrokerProcess) -> None:
    sender, holder = await asyncio.gather(
        sdk.queue_sender("session-list"), session_of(sdk, "session-list", "with state")
    )
    await sender.send_messages(messages("b", "a", "a"))
    await holder.session.set_state(b"x")
    async with ServiceBusClient.from_connection_string(broker.connection_string()) as client:
        found = [session async for session in client.list_queue_sessions("session-list")]
    assert found == ["a", "b", "with state"]
