"""The feed in a real Valkey: atomic, in order, bounded; and what its reader makes of defects."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.live import (
    ERA,
    FEED,
    FEED_KEPT_S,
    FEED_LENGTH,
    GROUP_KEPT_S,
    GROUP_LENGTH,
    Feed,
    LiveMessage,
    group_stream,
)
from tests.integration.notifier.raw import hub_socket
from tests.integration.notifier.rig import Identity, Replica, Valkey, somebody


@pytest.fixture
async def redis(valkey: Valkey) -> Any:
    async with Redis(port=valkey.port, decode_responses=True, protocol=2) as opened:
        yield opened


@pytest.fixture
async def emptied(redis: Any) -> Any:
    await redis.flushall()
    return redis


def note(number: int, *groups: str) -> LiveMessage:
    return LiveMessage(groups or ("everyone",), "notification", f"n-{number}", {})


async def test_a_message_has_one_place_in_the_feed_and_in_its_groups(
    emptied: Any, feed: Feed
) -> None:
    mine = f"user:{somebody()}"
    batch = [note(1, mine, "clients"), note(2, "clients"), note(3, mine, mine)]
    assert await feed.publish(batch)

    entries = await emptied.xrange(FEED)
    first, second, third = [entry_id for entry_id, _ in entries]
    assert [LiveMessage.from_text(fields["m"]) for _, fields in entries] == batch
    assert [fields["p"] for _, fields in entries] == ["", first, second]
    assert [i for i, _ in await emptied.xrange(group_stream(mine))] == [first, third]
    assert [i for i, _ in await emptied.xrange(group_stream("clients"))] == [first, second]
    assert await emptied.get(ERA) == f"{first} 0"
    assert FEED_KEPT_S - 60 < await emptied.ttl(FEED) <= FEED_KEPT_S
    assert GROUP_KEPT_S - 60 < await emptied.ttl(group_stream(mine)) <= GROUP_KEPT_S
    assert await emptied.ttl(ERA) == -1


async def test_the_streams_do_not_grow_beyond_their_bounds(emptied: Any, feed: Feed) -> None:
    for start in range(0, FEED_LENGTH + 1000, 500):
        assert await feed.publish([note(start + number) for number in range(500)])

    # The feed is cut by whole blocks of a hundred.
    assert FEED_LENGTH <= await emptied.xlen(FEED) < FEED_LENGTH + 200
    assert await emptied.xlen(group_stream("everyone")) == GROUP_LENGTH


async def test_publishers_at_the_same_time_do_not_break_the_chain(
    emptied: Any, feed: Feed, valkey: Valkey
) -> None:
    other = Feed(valkey.url)
    done = await asyncio.gather(
        *(publisher.publish([note(n), note(n)]) for publisher in (feed, other) for n in range(100))
    )
    await other.close()

    assert all(done)
    entries = await emptied.xrange(FEED)
    ids = [entry_id for entry_id, _ in entries]
    assert [fields["p"] for _, fields in entries] == ["", *ids[:-1]]


async def test_a_clock_that_went_back_while_the_feed_was_lost_begins_a_new_era(
    emptied: Any, feed: Feed
) -> None:
    await emptied.xadd(group_stream("everyone"), {"m": "of the future"}, id="9999999999999-0")
    assert await feed.publish([note(1)])

    (newest,) = await emptied.xrange(FEED)
    (kept,) = await emptied.xrange(group_stream("everyone"))
    assert kept == (newest[0], {"m": newest[1]["m"]})
    assert await emptied.get(ERA) == f"{newest[0]} 0"


async def test_entries_that_nobody_can_read_are_passed_over_and_counted(
    redis: Any, feed: Feed, replica: Replica, identity: Identity
) -> None:
    me = somebody()
    number_beyond = '{"groups":["everyone"],"event":"order","id":"1","data":{"a":1e999}}'
    async with hub_socket(replica.url, identity.token(me)) as client:
        assert await feed.publish([note(1, f"user:{me}")])
        before = await client.message()
        for fields in ({"x": "y"}, {"m": "garbage"}, {"m": number_beyond}):
            last = (await redis.xrevrange(FEED, count=1))[0][0]
            await redis.xadd(FEED, {**fields, "p": last})
        assert await feed.publish([note(2, f"user:{me}")])
        after = await client.message()

    assert before["arguments"][0]["id"] == "n-1"
    assert after["arguments"][0]["id"] == "n-2"
    assert await replica.metric('notifier_feed_entries_total{outcome="unreadable"}') == 3


async def test_a_gap_in_the_feed_is_seen_and_told(
    redis: Any, feed: Feed, replica: Replica, identity: Identity
) -> None:
    me = somebody()
    async with hub_socket(replica.url, identity.token(me)) as client:
        assert await feed.publish([note(1, f"user:{me}")])
        first = (await client.message())["arguments"][0]
        lost = int(first["entry"].split("-")[0]) + 1
        message = note(2, f"user:{me}").to_text()
        await redis.xadd(FEED, {"m": message, "p": f"{lost}-0"})
        resync = await client.message()
        second = await client.message()

    assert (resync["target"], resync["arguments"][0]["reason"]) == ("resync", "gap")
    assert second["arguments"][0]["id"] == "n-2"
