"""The plain event stream: tickets, resuming by Last-Event-ID, and a browser's EventSource."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from shared.live import ERA, FEED, GROUP_LENGTH, Feed, LiveMessage
from tests.integration.notifier.conftest import Start
from tests.integration.notifier.raw import asked, bearer
from tests.integration.notifier.rig import Identity, Replica, Valkey, somebody, until


@pytest.fixture(scope="module")
async def replica(start: Start) -> Replica:
    one = start(NOTIFIER_HEARTBEAT_S="0.5")
    await one.until_ready()
    return one


@pytest.fixture
def me() -> UUID:
    return somebody()


class Stream:
    """Events, each the fields that it has; comments and the empty ones are there too."""

    def __init__(self, response: httpx.Response) -> None:
        self._blocks = response.aiter_text()
        self._text = ""
        self.last_id: str | None = None

    async def block(self) -> dict[str, str]:
        """The next block of lines; an id alone counts as one. Raises StopAsyncIteration."""
        while "\n\n" not in self._text:
            self._text += await anext(self._blocks)
        block, self._text = self._text.split("\n\n", 1)
        fields = dict(line.partition(":")[::2] for line in block.splitlines())
        fields = {name: value.removeprefix(" ") for name, value in fields.items()}
        self.last_id = fields.get("id", self.last_id)
        return fields

    async def event(self) -> dict[str, Any]:
        """The next event: its name, id and data."""
        async with asyncio.timeout(30):
            while "data" not in (fields := await self.block()):
                pass
        return {
            "event": fields["event"],
            "id": fields.get("id"),
            "data": json.loads(fields["data"]),
        }

    async def events(self, count: int) -> list[dict[str, Any]]:
        return [await self.event() for _ in range(count)]


@asynccontextmanager
async def stream(
    replica: Replica, token: str, *, after: str | None = None, **parameters: Any
) -> AsyncIterator[Stream]:
    headers = bearer(token) | ({} if after is None else {"Last-Event-ID": after})
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream(
            "GET", f"{replica.url}/notifications/stream", headers=headers, params=parameters
        ) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        opened = Stream(response)
        while "retry" not in await opened.block():
            pass
        yield opened


def note(person: UUID, number: int) -> LiveMessage:
    return LiveMessage((f"user:{person}",), "notification", f"n-{number}", {"number": number})


async def test_events_come_in_order_with_the_id_from_which_to_resume(
    replica: Replica, identity: Identity, me: UUID, feed: Feed
) -> None:
    order = uuid4()
    async with stream(replica, identity.token(me), order=str(order)) as opened:
        told = LiveMessage((f"order:{order}",), "order", "o-1", {"status": "placed"}, owner=me)
        assert await feed.publish([note(me, 1), told, note(somebody(), 2)])
        first, second = await opened.events(2)
        while (heartbeat := await opened.block()) == {}:
            pass

    assert (first["event"], second["event"]) == ("notification", "order")
    assert first["data"] == {"id": "n-1", "entry": first["id"], "number": 1}
    assert second["data"]["status"] == "placed"
    # The heartbeat moves the id past what was for others.
    assert heartbeat.keys() == {"", "id"}
    assert heartbeat["id"] > second["id"] > first["id"]


@pytest.mark.parametrize("by", ["header", "parameter"])
async def test_a_stream_goes_on_where_it_was_left(
    replica: Replica, identity: Identity, me: UUID, feed: Feed, by: str
) -> None:
    token = identity.token(me)
    async with stream(replica, token) as opened:
        assert await feed.publish([note(me, number) for number in range(3)])
        left_at = (await opened.events(2))[1]["id"]
    assert await feed.publish([note(somebody(), 9), note(me, 3)])
    where = {"after": left_at} if by == "header" else {"lastEventId": left_at}
    async with stream(replica, token, **where) as resumed:
        assert await feed.publish([note(me, 4)])
        ids = [event["data"]["id"] for event in await resumed.events(3)]

    assert ids == ["n-2", "n-3", "n-4"]


async def test_messages_that_come_while_history_is_read_come_once_and_after_it(
    replica: Replica, identity: Identity, me: UUID, feed: Feed
) -> None:
    token = identity.token(me)
    async with stream(replica, token) as opened:
        assert await feed.publish([note(me, 0)])
        left_at = (await opened.event())["id"]

    async def publish() -> None:
        for number in range(1, 100):
            assert await feed.publish([note(me, number)])

    publishing = asyncio.create_task(publish())
    seen = []
    for _ in range(4):
        async with stream(replica, token, after=left_at) as resumed:
            seen.append([(await resumed.event())["data"]["id"] for _ in range(99)])
    await publishing

    assert seen == [[f"n-{number}" for number in range(1, 100)]] * 4


async def resumed_from(replica: Replica, token: str, after: str) -> dict[str, Any]:
    async with stream(replica, token, after=after) as opened:
        return await opened.event()


async def test_who_comes_back_too_late_is_told_to_fetch(
    replica: Replica, identity: Identity, me: UUID, feed: Feed, valkey: Valkey
) -> None:
    token = identity.token(me)
    assert await feed.publish([note(me, 0)])
    async with Redis(port=valkey.port, decode_responses=True) as redis:

        async def tail() -> str:
            newest: Any = await redis.xrevrange(FEED, count=1)
            return str(newest[0][0])

        before = await tail()
        after = {
            "an hour ago": f"{int(before.split('-')[0]) - 3_600_001}-0",
            "never": f"{int(before.split('-')[0]) + 1_000_000}-0",
        }
        told = {name: await resumed_from(replica, token, entry) for name, entry in after.items()}
        assert await feed.publish([note(me, number) for number in range(GROUP_LENGTH + 1)])
        told["more than is kept"] = await resumed_from(replica, token, before)
        in_reach = await tail()
        await redis.set(ERA, f"{int(in_reach.split('-')[0]) + 1}-0 0")
        told["another era"] = await resumed_from(replica, token, in_reach)
        await redis.delete(ERA)
        told["flushed"] = await resumed_from(replica, token, in_reach)
        position = await tail()

    for event in told.values():
        assert (event["event"], event["data"]["reason"]) == ("resync", "too_long_ago")
        assert event["id"] == event["data"]["entry"]
    assert told["flushed"]["id"] == position


async def test_after_an_eviction_nobody_is_told_that_nothing_is_missing(
    replica: Replica, identity: Identity, me: UUID, feed: Feed, valkey: Valkey
) -> None:
    token = identity.token(me)
    assert await feed.publish([note(me, 1)])
    async with Redis(port=valkey.port, decode_responses=True) as redis:
        newest: Any = await redis.xrevrange(FEED, count=1)
        before = str(newest[0][0])
        assert await feed.publish([note(me, 2)])
        # Any key that may go is a stream of a group, for all one can tell.
        await redis.config_set("maxmemory-policy", "volatile-lru")
        await redis.config_set("maxmemory", "1")
        with pytest.raises(OutOfMemoryError):
            await redis.set("too much", "")
        await redis.config_set("maxmemory", "0")
        assert (await redis.info("stats"))["evicted_keys"] > 0
    assert await feed.publish([note(me, 3)])

    lost = await resumed_from(replica, token, before)
    again = await resumed_from(replica, token, before)
    async with stream(replica, token, after=lost["id"]) as opened:
        assert await feed.publish([note(me, 4)])
        later = await opened.event()

    assert [event["event"] for event in (lost, again)] == ["resync", "resync"]
    assert later["data"]["id"] == "n-4"


async def test_as_many_as_a_group_keeps_are_replayed(
    replica: Replica, identity: Identity, me: UUID, feed: Feed
) -> None:
    token = identity.token(me)
    async with stream(replica, token) as opened:
        assert await feed.publish([note(me, 0)])
        left_at = (await opened.event())["id"]
    assert await feed.publish([note(me, number) for number in range(1, GROUP_LENGTH)])
    async with stream(replica, token, after=left_at) as resumed:
        events = await resumed.events(GROUP_LENGTH - 1)

    assert [event["data"]["id"] for event in events] == [f"n-{n}" for n in range(1, GROUP_LENGTH)]


ORDERS = "&".join(f"order={UUID(int=number)}" for number in range(51))


@pytest.mark.parametrize("query", ["lastEventId=yesterday", "order=mine", ORDERS])
async def test_a_stream_of_nonsense_is_refused(
    replica: Replica, identity: Identity, me: UUID, query: str
) -> None:
    answer = await asked(
        replica.url, "GET", f"/notifications/stream?{query}", headers=bearer(identity.token(me))
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert await replica.metric('notifier_connections{transport="stream"}') == 0


async def test_a_stream_ends_with_its_token(replica: Replica, identity: Identity, me: UUID) -> None:
    async with stream(replica, identity.token(me, expires_in=1)) as opened:
        farewell = await opened.event()
        with pytest.raises(StopAsyncIteration):
            await opened.block()

    error = "the access token has expired"
    assert farewell["event"] == "drain"
    assert farewell["data"] == {"reason": "expired", "reconnect": True, "error": error}


LISTEN = """async ({ticket, after}) => {
    const url = `/notifications/stream?ticket=${ticket}` + (after ? `&lastEventId=${after}` : "");
    const source = new EventSource(url);
    window.heard = [];
    for (const name of ["notification", "order", "resync", "drain"])
        source.addEventListener(name, (e) => heard.push([name, e.lastEventId, JSON.parse(e.data)]));
    const opened = await new Promise((resolve) => {
        source.onopen = () => resolve(true);
        source.onerror = () => resolve(source.readyState);
    });
    window.source = source;
    return opened;
}"""


async def test_a_browser_listens_with_a_ticket_once_and_resumes_with_another(
    browser: Browser, replica: Replica, identity: Identity, me: UUID, feed: Feed
) -> None:
    async def ticket() -> str:
        headers = bearer(identity.token(me))
        answer = await asked(replica.url, "POST", "/notifications/ticket", headers=headers)
        return str(answer.json()["ticket"])

    page = await browser.new_page()
    await page.goto(f"{replica.url}/health/live")
    first = await ticket()
    assert await page.evaluate(LISTEN, {"ticket": first, "after": None}) is True
    assert await feed.publish([note(me, 1)])
    await until(lambda: page.evaluate("() => heard.length === 1"), "an event in the browser")
    (name, entry, message), *_ = await page.evaluate("() => heard")
    await page.evaluate("() => source.close()")
    assert await feed.publish([note(me, 2)])
    # readyState 2 is CLOSED: the browser does not try again by itself.
    assert await page.evaluate(LISTEN, {"ticket": first, "after": entry}) == 2
    assert await page.evaluate(LISTEN, {"ticket": await ticket(), "after": entry}) is True
    await until(lambda: page.evaluate("() => heard.length === 1"), "the event that was missed")
    missed = await page.evaluate("() => heard[0][2].id")
    await page.close()

    assert (name, message) == ("notification", {"id": "n-1", "entry": entry, "number": 1})
    assert missed == "n-2"
