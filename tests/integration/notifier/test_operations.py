"""How a replica is run: it drains, says how it is, counts, and writes nothing private down."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from shared.live import Feed, LiveMessage
from tests.integration.notifier.conftest import Start
from tests.integration.notifier.javascript import JavaScript, in_node
from tests.integration.notifier.raw import asked, bearer, hub_socket, negotiate
from tests.integration.notifier.rig import Identity, Replica, balanced, somebody, until


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[JavaScript]:
    async with in_node() as clients:
        yield clients


async def test_a_replica_that_is_told_to_stop_sends_its_clients_to_another_one(
    start: Start, node: JavaScript, replica: Replica, identity: Identity, feed: Feed
) -> None:
    leaving = start(NOTIFIER_DRAIN_S="0.3", NOTIFIER_CLOSE_S="2")
    await leaving.until_ready()
    people = {name: somebody() for name in ("WebSockets", "ServerSentEvents", "LongPolling")}
    async with balanced(leaving, replica) as front:
        for transport, person in people.items():
            await connect_to(leaving, front, node, transport, identity.token(person))
        # One of them does not come for its farewell: the replica waits for it, and not for ever.
        absent = await negotiate(leaving.url, identity.token(somebody()), "longPolling")
        async with httpx.AsyncClient() as http:
            assert (await http.get(absent.address, headers=absent.headers)).status_code == 200
            stopping = asyncio.create_task(asyncio.to_thread(leaving.stop))
            await until(lambda: _code(http, leaving, "/health/ready", 503), "unreadiness")
            alive = await _code(http, leaving, "/health/live", 200)
            refused = await http.post(
                f"{leaving.url}/notifications/negotiate",
                headers=bearer(identity.token(somebody())),
            )
        code = await stopping
        for transport in people:
            await node.wait(transport, "reconnected")
        for person in people.values():
            message = LiveMessage((f"user:{person}",), "notification", "after", {})
            assert await feed.publish([message])
        for transport in people:
            await until(lambda t=transport: node.ids(t) == ["after"], f"a message at {transport}")
            error = node.of(transport, "reconnecting")[0]["error"]
            assert "this server is going down" in error
            await node.run("stop", name=transport)

    assert (code, alive) == (0, True)
    assert (refused.status_code, refused.json()["code"]) == (503, "draining")
    assert (refused.headers["retry-after"], refused.headers["connection"]) == ("2", "close")


async def connect_to(wanted: Replica, front: str, node: JavaScript, name: str, token: str) -> None:
    """Connect by the balancer until the connection happens to be in the wanted replica."""
    metric = f'notifier_connections{{transport="{LABELS[name]}"}}'
    while True:
        await node.connect(name, front, [token], name)
        if await wanted.metric(metric) == 1:
            return
        await node.run("stop", name=name)


LABELS = {"WebSockets": "websockets", "ServerSentEvents": "sse", "LongPolling": "longpolling"}


async def _code(http: httpx.AsyncClient, replica: Replica, path: str, code: int) -> bool:
    return (await http.get(replica.url + path)).status_code == code


@dataclass(frozen=True)
class Life:
    """What a replica left behind: what it was sent in confidence, its log, the end of a stream."""

    private: tuple[str, ...]
    log: str
    stream: str
    code: int


@pytest.fixture(scope="module")
async def life(start: Start, identity: Identity, feed: Feed) -> Life:
    """A replica that was talked to in all ways and told to stop while it served a stream."""
    one = start()
    await one.until_ready()
    me = somebody()
    token = identity.token(me)
    agreed = await negotiate(one.url, token)
    async with hub_socket(one.url, token) as client:
        assert await feed.publish([LiveMessage((f"user:{me}",), "notification", "n-1", {"a": "b"})])
        await client.message()
        await client.send("garbage\x1e")
        await client.until_closed()
    await asked(one.url, "GET", "/notifications/stream?ticket=a-ticket-in-a-url")
    await asked(one.url, "GET", f"/notifications/hub?id={agreed.token}&access_token=x")
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    writer.write(b"NONSENSE with-a-secret\r\n\r\n")
    await reader.read()
    writer.close()
    path = f"{one.url}/notifications/stream"
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("GET", path, headers=bearer(token)) as response,
    ):
        assert response.status_code == 200
        stopping = asyncio.create_task(asyncio.to_thread(one.stop))
        text = "".join([part async for part in response.aiter_text()])
        code = await stopping
    private = (str(me), token, agreed.token, agreed.ticket, "a-ticket", "secret", "?", "n-1")
    return Life(private, one.log.read_text(), text, code)


async def test_a_stream_is_told_when_to_come_back_before_its_replica_ends(life: Life) -> None:
    *_, farewell, end = life.stream.split("\n\n")
    retry, event, data = farewell.split("\n")

    assert (life.code, end) == (0, "")
    assert 500 <= int(retry.removeprefix("retry: ")) <= 3000
    assert event == "event: drain"
    assert data == ('data: {"reason":"drain","reconnect":true,"error":"this server is going down"}')


async def test_nothing_private_is_in_the_log(life: Life) -> None:
    assert "serving on" in life.log
    assert "stopped" in life.log
    assert [private for private in life.private if private in life.log] == []


async def test_readiness_waits_for_redis_and_for_the_keys_of_the_issuers(
    start: Start, replica: Replica
) -> None:
    lonely = start(
        REDIS_URL="redis://127.0.0.1:1/0", AUTH_CLIENTS_JWKS_URL="http://127.0.0.1:1/keys"
    )
    async with httpx.AsyncClient() as http:

        async def answers() -> bool:
            try:
                return await _code(http, lonely, "/health/live", 200)
            except httpx.TransportError:
                return False

        await until(answers, "the lonely one to live")
        unready = await http.get(f"{lonely.url}/health/ready")
        ready = await http.get(f"{replica.url}/health/ready")
    early = await asked(lonely.url, "GET", "/notifications/stream", headers=bearer("a.b.c"))

    assert unready.status_code == 503
    assert unready.json() == {
        "status": "unavailable",
        "checks": {"serving": True, "redis": False, "keys": False},
    }
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert (early.status_code, early.json()["code"]) == (503, "service-unavailable")
    assert lonely.stop() == 0


async def test_metrics_count_who_is_here_and_what_was_sent(
    replica: Replica, identity: Identity, feed: Feed
) -> None:
    me = somebody()
    here = 'notifier_connections{transport="websockets"}'
    before = await replica.metric('notifier_feed_entries_total{outcome="delivered"}')
    async with hub_socket(replica.url, identity.token(me)) as client:
        assert await replica.metric(here) == 1
        assert await feed.publish([LiveMessage((f"user:{me}",), "notification", "n", {})])
        await client.message()
        await client.send('{"type":1,"target":"Resume","arguments":[null],"invocationId":"1"}\x1e')
        await client.message()
        assert (
            await replica.metric('notifier_feed_entries_total{outcome="delivered"}') == before + 1
        )
        done = 'notifier_invocations_total{method="Resume",outcome="done"}'
        assert await replica.metric(done) >= 1
        assert await replica.metric("notifier_feed_lag_seconds_count") >= 1
        assert await replica.metric("notifier_feed_connected") == 1

    async def left() -> bool:
        return await replica.metric(here) == 0

    await until(left, "the connection to be gone")
    closed = 'notifier_closed_total{reason="gone",transport="websockets"}'
    assert await replica.metric(closed) >= 1


async def test_unknown_paths_and_methods_are_answered_as_problems(replica: Replica) -> None:
    unknown = await asked(replica.url, "GET", "/notifications/nothing")
    method = await asked(replica.url, "GET", "/notifications/negotiate")
    head = await asked(replica.url, "HEAD", "/notifications/stream")
    plain = await asked(replica.url, "GET", "/notifications/ws")

    assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")
    assert (method.status_code, method.json()["code"]) == (405, "method-not-allowed")
    assert method.headers["allow"] == "POST"
    assert (head.status_code, head.headers["allow"]) == (405, "GET")
    assert plain.status_code == 404
    assert unknown.headers["content-type"] == "application/problem+json"


async def test_a_second_replica_on_the_same_port_says_so(start: Start, replica: Replica) -> None:
    second = start(NOTIFIER_PORT=str(replica.port))
    assert await asyncio.to_thread(second.process.wait, 30) == 1
    assert f"cannot listen on 127.0.0.1:{replica.port}" in second.log.read_text()
