"""Who signs out loses the connections of that session at once, and does not come back with it."""

import time
from uuid import UUID, uuid4

import httpx
import pytest
from redis.asyncio import Redis

from shared.auth import session_scripts
from shared.live import Feed, LiveMessage
from tests.integration.notifier.raw import asked, bearer
from tests.integration.notifier.rig import Identity, Replica, Valkey, somebody
from tests.integration.notifier.test_event_stream import stream


def ended(person: UUID, *sessions: UUID, until: int | None = None) -> LiveMessage:
    """What the platform tells when a person signs out."""
    return LiveMessage(
        groups=(f"user:{person}",),
        event="sessions_ended",
        id=str(uuid4()),
        data={"sessions": [str(one) for one in sessions], "until": until},
    )


def notification(person: UUID) -> LiveMessage:
    return LiveMessage((f"user:{person}",), "notification", str(uuid4()), {"type": "after"})


async def test_the_connections_of_a_session_end_with_it_and_no_others(
    replica: Replica, identity: Identity, feed: Feed
) -> None:
    person, laptop, phone = somebody(), uuid4(), uuid4()
    on_laptop = identity.token(person, claims={"sid": str(laptop)})
    on_phone = identity.token(person, claims={"sid": str(phone)})
    async with stream(replica, on_laptop) as leaving, stream(replica, on_phone) as staying:
        assert await feed.publish([ended(person, laptop), notification(person)])

        farewell = await leaving.event()
        assert (farewell["event"], farewell["data"]) == (
            "drain",
            {"reason": "signed_out", "reconnect": False, "error": "this session was ended"},
        )
        with pytest.raises(StopAsyncIteration):
            await leaving.block()
        assert (await staying.event())["data"]["type"] == "after"


async def test_signing_out_everywhere_ends_what_was_signed_in_to_before(
    replica: Replica, identity: Identity, feed: Feed
) -> None:
    person, now = somebody(), int(time.time())
    before = identity.token(person, claims={"sid": None, "auth_time": now - 60})
    after = identity.token(person, claims={"auth_time": now + 60})
    async with stream(replica, before) as leaving, stream(replica, after) as staying:
        assert await feed.publish([ended(person, until=now), notification(person)])

        assert (await leaving.event())["data"]["reason"] == "signed_out"
        assert (await staying.event())["data"]["type"] == "after"


async def test_who_signed_out_is_not_let_in_again_by_token_or_ticket(
    replica: Replica, identity: Identity, valkey: Valkey
) -> None:
    person, session = somebody(), uuid4()
    token = identity.token(person, claims={"sid": str(session)})
    issued = await asked(replica.url, "POST", "/notifications/ticket", headers=bearer(token))
    ticket = issued.json()["ticket"]
    async with Redis(port=valkey.port) as redis:
        await redis.hset(session_scripts.keys(person)[1], str(session), "e")

    async with httpx.AsyncClient() as http:
        answers = [
            await http.get(f"{replica.url}/notifications/stream", headers=bearer(token)),
            await http.get(f"{replica.url}/notifications/stream", params={"ticket": ticket}),
            await http.post(f"{replica.url}/notifications/negotiate", headers=bearer(token)),
        ]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [
        (401, "session-ended")
    ] * 3


async def test_a_sign_out_is_not_told_to_who_comes_back(
    replica: Replica, identity: Identity, feed: Feed
) -> None:
    person, session = somebody(), uuid4()
    token = identity.token(person)
    async with stream(replica, token) as first:
        assert await feed.publish([notification(person)])
        last = (await first.event())["id"]
    assert await feed.publish([ended(person, session), notification(person)])

    async with stream(replica, token, after=last) as again:
        assert (await again.event())["data"]["type"] == "after"


async def test_an_ending_that_names_nothing_is_passed_over(
    replica: Replica, identity: Identity, feed: Feed
) -> None:
    person = somebody()
    broken = LiveMessage((f"user:{person}",), "sessions_ended", "1", {"sessions": "all"})
    async with stream(replica, identity.token(person)) as staying:
        assert await feed.publish([broken, notification(person)])
        assert (await staying.event())["data"]["type"] == "after"
