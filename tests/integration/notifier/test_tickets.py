"""What a ticket or a connection token in a URL is worth: nothing for anybody else or afterwards."""

from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from shared.live import Feed, LiveMessage
from tests.integration.notifier.raw import HANDSHAKE, asked, bearer, negotiate, refused
from tests.integration.notifier.rig import Identity, Replica, Valkey, somebody, until


@pytest.fixture
def me() -> UUID:
    return somebody()


async def test_an_access_token_is_not_taken_where_a_ticket_is_wanted(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    token = identity.token(me)
    negotiated = await asked(
        replica.url,
        "POST",
        "/notifications/hub/negotiate?negotiateVersion=1",
        headers=bearer(token),
    )
    in_url = await asked(replica.url, "GET", f"/notifications/stream?ticket={token}")
    as_bearer = await refused(f"{replica.url}/notifications/ws?id=x&access_token={token}")

    for answer in (negotiated, in_url):
        assert (answer.status_code, answer.json()["code"]) == (401, "ticket-invalid")
    assert as_bearer == (401, "ticket-invalid")


async def test_a_ticket_is_good_for_one_audience_only(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    agreed = await negotiate(replica.url, identity.token(me), "longPolling")
    issued = await asked(
        replica.url, "POST", "/notifications/ticket", headers=bearer(identity.token(me))
    )
    other = "/notifications/ws/negotiate?negotiateVersion=1"
    hub_to_ws = await asked(replica.url, "POST", other, headers=agreed.headers)
    stream_to_ws = await asked(replica.url, "POST", other, headers=bearer(issued.json()["ticket"]))
    hub_to_stream = await asked(replica.url, "GET", f"/notifications/stream?ticket={agreed.ticket}")
    opened = f"{replica.url}/notifications/ws?id={agreed.token}"

    assert issued.status_code == 201
    assert issued.json()["expires_in"] == 30
    for answer in (hub_to_ws, stream_to_ws, hub_to_stream):
        assert (answer.status_code, answer.json()["code"]) == (401, "ticket-invalid")
    assert await refused(opened, additional_headers=agreed.headers) == (404, "not-found")


async def test_what_stood_in_a_url_opens_nothing_a_second_time(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    agreed = await negotiate(replica.url, identity.token(me))
    address = f"{agreed.address}&access_token={agreed.ticket}"
    async with connect(address.replace("http", "ws", 1)) as opened:
        await opened.send(HANDSHAKE)
        assert await opened.recv() == "{}\x1e"
        assert await refused(address) == (404, "not-found")
    again = await asked(
        replica.url,
        "POST",
        "/notifications/ws/negotiate?negotiateVersion=1",
        headers=agreed.headers,
    )
    assert (again.status_code, again.json()["code"]) == (401, "ticket-invalid")


async def test_a_connection_token_without_its_ticket_opens_nothing(
    replica: Replica, identity: Identity, me: UUID
) -> None:
    mine = await negotiate(replica.url, identity.token(me))
    theirs = await negotiate(replica.url, identity.token(somebody()))
    alone = await refused(mine.address)
    crossed = await refused(mine.address, additional_headers=theirs.headers)

    assert (alone, crossed) == ((401, "token-missing"), (404, "not-found"))
    async with connect(
        mine.address.replace("http", "ws", 1), additional_headers=mine.headers
    ) as opened:
        await opened.send(HANDSHAKE)
        assert await opened.recv() == "{}\x1e"


async def test_an_open_connection_is_nobody_elses(
    replica: Replica, identity: Identity, me: UUID, feed: Feed
) -> None:
    mine = await negotiate(replica.url, identity.token(me), "longPolling")
    theirs = await negotiate(replica.url, identity.token(somebody()), "longPolling")
    async with httpx.AsyncClient() as http:
        assert (await http.get(mine.address, headers=mine.headers)).status_code == 200
        await http.post(mine.address, headers=mine.headers, content=HANDSHAKE)
        attempts = [
            await http.get(mine.address, headers=theirs.headers),
            await http.get(f"{mine.address}&access_token={mine.ticket}"),
            await http.post(mine.address, headers=theirs.headers, content='{"type":7}\x1e'),
            await http.delete(mine.address, headers=theirs.headers),
        ]
        handshake = await http.get(mine.address, headers=mine.headers)
        assert await feed.publish([LiveMessage((f"user:{me}",), "notification", "n", {})])
        polled = await http.get(mine.address, headers=mine.headers)

    assert [answer.status_code for answer in attempts] == [401] * 4
    assert handshake.text == "{}\x1e"
    assert '"id":"n"' in polled.text


async def test_a_ticket_that_has_expired_is_worth_nothing(
    replica: Replica, identity: Identity, me: UUID, valkey: Valkey
) -> None:
    agreed = await negotiate(replica.url, identity.token(me))
    issued = await asked(
        replica.url, "POST", "/notifications/ticket", headers=bearer(identity.token(me))
    )
    async with Redis(port=valkey.port, decode_responses=True) as redis:
        keys = [str(key) for key in await redis.keys("{live}:[ct]*")]
        lives = {key.split(":")[1]: await redis.pttl(key) for key in keys}
        assert not [key for key in keys if agreed.ticket in key or agreed.token in key]
        for key in keys:
            await redis.pexpire(key, 1)
        await until(lambda: _gone(redis, keys), "the tickets to expire")
    stream = await asked(
        replica.url, "GET", f"/notifications/stream?ticket={issued.json()['ticket']}"
    )

    assert 0 < lives["ticket"] <= 60_000
    assert 0 < lives["connection"] <= 30_000
    assert (stream.status_code, stream.json()["code"]) == (401, "ticket-invalid")
    assert await refused(agreed.address, additional_headers=agreed.headers) == (404, "not-found")


async def _gone(redis: Redis, keys: list[str]) -> bool:
    return await redis.exists(*keys) == 0
