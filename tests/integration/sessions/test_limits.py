"""Who asks too often is told so, and when to come back; never do more get through than may."""

import asyncio
from uuid import uuid4

import pytest

from shared.auth import Caller, Sessions
from shared.auth import session_scripts as scripts
from shared.cache import Cache
from shared.problem import TooManyRequests
from tests.integration.sessions.conftest import Door, client


async def test_who_asks_more_often_than_one_may_is_told_when_to_come_back(door: Door) -> None:
    caller = client()
    for _ in range(3):
        await door.registry.admit(caller, None)

    with pytest.raises(TooManyRequests) as refused:
        await door.registry.admit(caller, None)

    headers = dict(refused.value.headers())
    after_s = int(headers["Retry-After"])
    assert 55 <= after_s <= 65
    assert headers == {
        "Retry-After": str(after_s),
        "RateLimit-Limit": "3",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(after_s),
    }
    await door.registry.admit(client(), None)  # others are not concerned


async def test_processes_count_together_and_to_the_request(door: Door) -> None:
    here, there = Cache(door.valkey.url), Cache(door.valkey.url)
    processes = [Sessions(one, door.sign_outs, client_limit=50) for one in (here, there)]
    caller = client()

    async def gets_through(registry: Sessions) -> bool:
        try:
            await registry.admit(caller, None)
        except TooManyRequests:
            return False
        return True

    answers = await asyncio.gather(*(gets_through(one) for one in processes * 60))

    assert sum(answers) == 50
    await here.close()
    await there.close()


async def test_employees_may_ask_more_often_than_clients(door: Door) -> None:
    employee = Caller("employee", uuid4(), session=uuid4(), signed_in_at=5)
    for _ in range(5):
        await door.registry.admit(employee, None)
    with pytest.raises(TooManyRequests):
        await door.registry.admit(employee, None)


async def slide(door: Door, caller: Caller, slots: int) -> None:
    """Let `slots` of five seconds pass for the requests of the caller that were counted."""
    calls, _, _ = scripts.keys(caller.id)
    counted = await door.redis.hgetall(calls)
    await door.redis.delete(calls)
    await door.redis.hset(calls, mapping={str(int(at) - slots): n for at, n in counted.items()})


async def test_the_window_slides_and_refused_requests_do_not_count(door: Door) -> None:
    caller = client()
    for _ in range(3):
        await door.registry.admit(caller, None)
    await slide(door, caller, 10)  # a slot may end while the test runs
    for _ in range(2):
        with pytest.raises(TooManyRequests) as refused:
            await door.registry.admit(caller, None)
        assert 1 <= int(refused.value.headers()["Retry-After"]) <= 15
    await slide(door, caller, 3)

    for _ in range(3):
        await door.registry.admit(caller, None)
    with pytest.raises(TooManyRequests):
        await door.registry.admit(caller, None)
