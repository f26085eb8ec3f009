"""Several replicas: any reaches any client, one is killed, Redis is killed and flushed."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis

from shared.live import FEED, Feed, LiveMessage
from tests.integration.notifier.conftest import Start
from tests.integration.notifier.javascript import JavaScript, in_chromium, in_node
from tests.integration.notifier.rig import (
    Identity,
    Replica,
    Valkey,
    balanced,
    somebody,
    until,
)

TRANSPORTS = ("WebSockets", "ServerSentEvents", "LongPolling")


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[JavaScript]:
    async with in_node() as clients:
        yield clients


@pytest.fixture(scope="module")
async def other(start: Start) -> Replica:
    """A second replica."""
    two = start()
    await two.until_ready()
    return two


def notification(person: UUID, number: int | str) -> LiveMessage:
    return LiveMessage((f"user:{person}",), "notification", f"n-{number}", {"number": number})


async def test_a_message_reaches_members_of_its_groups_in_every_replica(
    node: JavaScript, replica: Replica, other: Replica, identity: Identity, feed: Feed
) -> None:
    mine, order = somebody(), uuid4()
    people = {
        "client": identity.token(mine),
        "stranger": identity.token(somebody()),
        "manager": identity.employee(somebody()),
        "service": identity.employee(somebody(), "customer-service"),
    }
    for name, token in people.items():
        for place in (replica, other):
            client = f"{name} {place.port}"
            await node.connect(client, place.url, [token], "WebSockets")
            await node.invoke(client, "WatchOrder", str(order))

    assert await feed.publish(
        [
            LiveMessage((f"user:{mine}",), "notification", "user", {}),
            LiveMessage(("role:order-manager",), "notification", "role", {}),
            LiveMessage(("clients",), "notification", "clients", {}),
            LiveMessage(("employees",), "notification", "employees", {}),
            LiveMessage(("employees", "role:order-manager"), "notification", "twice named", {}),
            LiveMessage((f"order:{order}",), "order", "owned", {}, owner=mine),
            LiveMessage((f"order:{order}",), "order", "of nobody", {}),
            LiveMessage(("clients",), "notification", "for its owner", {}, owner=mine),
            LiveMessage(("everyone",), "notification", "end", {}),
        ]
    )

    expected = {
        "client": ["user", "clients", "owned", "for its owner", "end"],
        "stranger": ["clients", "end"],
        "manager": ["role", "employees", "twice named", "owned", "of nobody", "end"],
        "service": ["employees", "twice named", "owned", "of nobody", "end"],
    }
    for name, ids in expected.items():
        for place in (replica, other):
            client = f"{name} {place.port}"
            await until(lambda client=client: "end" in node.ids(client), "the end")
            assert node.ids(client) == ids
            await node.run("stop", name=client)


async def test_who_stops_watching_an_order_hears_no_more_of_it(
    node: JavaScript, replica: Replica, identity: Identity, feed: Feed
) -> None:
    me, order = somebody(), uuid4()
    await node.connect("watcher", replica.url, [identity.token(me)], "WebSockets")
    update = LiveMessage((f"order:{order}",), "order", "one", {}, owner=me)

    await node.invoke("watcher", "WatchOrder", str(order))
    assert await feed.publish([update])
    await node.wait("watcher", "order")
    await node.invoke("watcher", "UnwatchOrder", str(order))
    assert await feed.publish([update, notification(me, "end")])
    await node.wait("watcher", "notification")

    assert node.ids("watcher") == ["one", "n-end"]
    await node.run("stop", name="watcher")


async def test_a_connection_without_websockets_is_unknown_to_another_replica(
    replica: Replica, other: Replica, identity: Identity
) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{replica.url}/notifications/negotiate",
            headers={"Authorization": f"Bearer {identity.token(somebody())}"},
        )
        ticket = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
        negotiate = f"{other.url}/notifications/hub/negotiate?negotiateVersion=1"
        token = (await http.post(negotiate, headers=ticket)).json()["connectionToken"]
        address = f"/notifications/hub?id={token}"
        handshake = '{"protocol":"json","version":1}\x1e'

        opened = await http.get(replica.url + address, headers=ticket)
        sent = await http.post(other.url + address, headers=ticket, content=handshake)
        polled = await http.get(other.url + address, headers=ticket)
        at_home = await http.post(replica.url + address, headers=ticket, content=handshake)
        ended = await http.delete(replica.url + address, headers=ticket)
        again = await http.delete(replica.url + address, headers=ticket)

    codes = [answer.status_code for answer in (opened, sent, polled, at_home, ended, again)]
    assert codes == [200, 404, 404, 200, 202, 404]


async def test_a_killed_replica_loses_no_message_and_doubles_none(
    start: Start, other: Replica, identity: Identity, feed: Feed, browser: Browser
) -> None:
    doomed = start()
    await doomed.until_ready()
    people = [somebody() for _ in range(4)]
    async with (
        balanced(doomed, other) as front,
        in_node() as node,
        in_chromium(browser, front) as chromium,
    ):
        # A browser has six lines to a host, of which each stream or poll takes one.
        places = [*((node, person) for person in people), (chromium, people[0])]
        clients = [
            (script, f"{transport} {number}", person)
            for number, (script, person) in enumerate(places)
            for transport in TRANSPORTS
        ]
        tokens = {person: identity.token(person) for person in people}
        await asyncio.gather(
            *(
                script.connect(name, front, [tokens[person]], name.split()[0])
                for script, name, person in clients
            )
        )

        for number in range(150):
            assert await feed.publish([notification(person, number) for person in people])
            if number == 50:
                assert await doomed.metric('notifier_connections{transport="websockets"}') > 0
                doomed.kill()
            await asyncio.sleep(0.005)

        for script, name, _ in clients:
            await script.wait(name, "notification", count=150)
            assert sorted(script.ids(name)) == sorted(f"n-{number}" for number in range(150))
        assert any(script.of(name, "reconnected") for script, name, _ in clients)


async def test_clients_are_told_to_fetch_when_redis_was_killed_or_flushed(
    node: JavaScript, other: Replica, identity: Identity, valkey: Valkey, feed: Feed
) -> None:
    me = somebody()
    await node.connect("told", other.url, [identity.token(me)], "WebSockets")
    assert await feed.publish([notification(me, 1)])
    await node.wait("told", "notification")

    async with Redis(port=valkey.port) as redis:
        await redis.flushall()
    # The next message names no one before it: what lay between is not known.
    assert await feed.publish([notification(me, 2)])
    await node.wait("told", "notification", count=2)
    flushed = (await node.wait("told", "resync"))["message"]

    valkey.kill()
    assert not await feed.publish([notification(me, "lost")])
    async with httpx.AsyncClient() as http:
        await until(lambda: _unready(http, other), "the replica to be unready")
        refused = await http.post(
            f"{other.url}/notifications/negotiate",
            headers={"Authorization": f"Bearer {identity.token(me)}"},
        )
    valkey.start()
    outage = (await node.wait("told", "resync", count=2))["message"]
    await until(lambda: feed.publish([notification(me, 3)]), "the feed to take a message")
    await until(lambda: "n-3" in node.ids("told"), "a message after the outage")

    assert (flushed["reason"], outage["reason"]) == ("gap", "outage")
    assert refused.status_code == 503
    assert refused.json()["code"] == "service-unavailable"
    assert node.ids("told") == ["n-1", "n-2", "n-3"]
    assert node.of("told", "reconnecting", "closed") == []
    await node.run("stop", name="told")


async def _unready(http: httpx.AsyncClient, replica: Replica) -> bool:
    answer = await http.get(f"{replica.url}/health/ready")
    return answer.status_code == 503 and answer.json()["checks"]["redis"] is False


async def test_a_flush_without_a_next_message_is_noticed_too(
    node: JavaScript, other: Replica, identity: Identity, valkey: Valkey, feed: Feed
) -> None:
    me = somebody()
    await node.connect("quiet", other.url, [identity.token(me)], "WebSockets")
    assert await feed.publish([notification(me, 1)])
    await node.wait("quiet", "notification")

    async with Redis(port=valkey.port) as redis:
        await redis.delete(FEED)

    assert (await node.wait("quiet", "resync"))["message"]["reason"] == "flush"
    await node.run("stop", name="quiet")
