"""Rate limits are exact, shared by gateway processes, and never in the way when Valkey is away."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from localcloud.gateway.limits import PREFIX, SharedLimits
from localcloud.gateway.policy import Taken
from localcloud.gateway.valkey_line import ValkeyFault, _Replies
from localcloud.tests.gateway.folder import CALLS
from localcloud.tests.gateway.rig import WITHIN_S, Rig, running


@pytest.fixture(scope="module")
async def limits(redis_url: str) -> AsyncIterator[SharedLimits]:
    limits = SharedLimits(redis_url)
    yield limits
    limits.close()


@pytest.fixture(scope="module")
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


def fresh() -> str:
    return secrets.token_hex(8)


async def test_calls_go_through_until_the_window_is_full(limits: SharedLimits) -> None:
    key = fresh()
    taken = [await limits.take(key, 3, 60) for _ in range(4)]
    assert [(each.allowed, each.remaining) for each in taken] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    assert taken[:3] == [Taken(True, left, 0) for left in (2, 1, 0)]
    assert 59 <= taken[3].retry_after_s <= 60


async def test_keys_do_not_share_a_window(limits: SharedLimits) -> None:
    for _ in range(2):
        assert (await limits.take(fresh(), 1, 60)).allowed


async def test_a_call_that_was_refused_does_not_count(limits: SharedLimits, redis: Redis) -> None:
    key = fresh()
    for _ in range(5):
        await limits.take(key, 2, 60)
    assert await redis.llen(PREFIX + key) == 2


async def test_a_call_leaves_the_window_after_the_period(
    limits: SharedLimits, redis: Redis
) -> None:
    key = fresh()
    for _ in range(2):
        await limits.take(key, 2, 60)
    await shift(redis, key, {0: -59.5})
    assert await limits.take(key, 2, 60) == Taken(False, 0, 1)
    await shift(redis, key, {0: -0.6})
    assert await limits.take(key, 2, 60) == Taken(True, 0, 0)
    assert not (await limits.take(key, 2, 60)).allowed


async def shift(redis: Redis, key: str, by_s: dict[int, float]) -> None:
    """Let calls have been made earlier, instead of waiting."""
    for index, seconds in by_s.items():
        made = int(await redis.lindex(PREFIX + key, index) or 0)
        await redis.lset(PREFIX + key, index, str(made + int(seconds * 1_000_000)))


async def test_a_limit_that_was_lowered_holds_at_once(limits: SharedLimits, redis: Redis) -> None:
    key = fresh()
    for _ in range(4):
        await limits.take(key, 4, 60)
    await shift(redis, key, {0: -50, 1: -40, 2: -30})
    # Three must leave before there is room for one within a limit of two: the third in 30 s.
    refused = await limits.take(key, 2, 60)
    assert not refused.allowed
    assert 29 <= refused.retry_after_s <= 30


async def test_a_limit_of_nothing_lets_nobody_through(limits: SharedLimits) -> None:
    assert await limits.take(fresh(), 0, 60) == Taken(False, 0, 60)


async def test_a_window_that_is_not_used_is_forgotten(limits: SharedLimits, redis: Redis) -> None:
    key = fresh()
    await limits.take(key, 5, 60)
    assert 59_000 < await redis.pttl(PREFIX + key) <= 60_000


async def test_calls_at_the_same_time_never_exceed_the_limit(redis_url: str) -> None:
    key = fresh()
    several = [SharedLimits(redis_url) for _ in range(3)]
    taken = await asyncio.gather(
        *(limits.take(key, 100, 60) for limits in several for _ in range(60))
    )
    for limits in several:
        limits.close()
    assert sum(each.allowed for each in taken) == 100
    assert sorted(each.remaining for each in taken if each.allowed) == list(range(100))


async def test_every_call_goes_through_while_valkey_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = SharedLimits("redis://127.0.0.1:9/0")
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            assert await limits.take("k", 1, 60) == Taken(True, 1, 0)
    limits.close()
    (record,) = caplog.records
    assert record.getMessage().startswith("rate limits are not enforced: ")


async def test_a_script_that_valkey_forgot_is_told_again(
    limits: SharedLimits, redis: Redis
) -> None:
    key = fresh()
    await limits.take(key, 2, 60)
    await redis.script_flush()
    assert await limits.take(key, 2, 60) == Taken(True, 0, 0)


async def test_a_connection_that_was_lost_is_made_again(
    limits: SharedLimits, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcloud.gateway.limits._PAUSE_S", 0.0)
    key = fresh()
    await limits.take(key, 9, 60)
    await redis.client_kill_filter(_type="normal", skipme=True)
    async with asyncio.timeout(WITHIN_S):
        while (await limits.take(key, 9, 60)).remaining == 9:
            pass
    assert await redis.llen(PREFIX + key) >= 2


@pytest.mark.parametrize("cut", range(1, 16))
async def test_a_reply_may_come_in_pieces(cut: int) -> None:
    replies = _Replies()
    loop = asyncio.get_running_loop()
    replies._waiting.extend(loop.create_future() for _ in range(2))
    first, second = replies._waiting
    data = b"*2\r\n:1\r\n$2\r\nab\r\n"
    replies.data_received(data[:cut])
    assert not first.done()
    replies.data_received(data[cut:] + b"-ERR no\r\n")
    assert first.result() == [1, b"ab"]
    with pytest.raises(ValkeyFault, match=r"^ERR no$"):
        second.result()


async def test_two_gateways_share_a_limit(rig: Rig, redis_url: str) -> None:
    who = {"X-Who": fresh()}
    folder = rig.folder
    with running(folder, rig.backend.url, redis_url) as other:
        async with httpx.AsyncClient(base_url=other.url, timeout=30, trust_env=False) as second:
            answers = [
                await http.get("/external-api/v1/limited", headers=who)
                for _ in range(CALLS)
                for http in (rig.http, second)
            ]
    assert [answer.status_code for answer in answers] == [200] * CALLS + [429] * CALLS
    assert [answer.headers["x-left"] for answer in answers[:CALLS]] == ["4", "3", "2", "1", "0"]
    refused = answers[CALLS]
    assert refused.headers["x-reason"] == "rate-limit-by-key/RateLimitExceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
