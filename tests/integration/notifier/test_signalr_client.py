"""The unmodified @microsoft/signalr client on every transport, in Node and in Chromium."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from playwright.async_api import Browser

from shared.live import Feed, LiveMessage
from tests.integration.notifier.javascript import CallFailed, JavaScript, in_chromium, in_node
from tests.integration.notifier.rig import Identity, Replica, somebody, until

TRANSPORTS = ("WebSockets", "ServerSentEvents", "LongPolling")


@pytest.fixture(scope="module", params=["node", "chromium"])
async def clients(
    request: pytest.FixtureRequest, browser: Browser, replica: Replica
) -> AsyncIterator[JavaScript]:
    started = in_node() if request.param == "node" else in_chromium(browser, replica.url)
    async with started as ready:
        yield ready


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_connects_calls_receives_and_is_refused(
    clients: JavaScript, transport: str, replica: Replica, identity: Identity, feed: Feed
) -> None:
    me, order, name = somebody(), uuid4(), f"talk {transport}"
    await clients.connect(name, replica.url, [identity.token(me)], transport)

    assert await clients.invoke(name, "WatchOrder", str(order)) is None
    assert await feed.publish(
        [
            LiveMessage((f"user:{me}",), "notification", "n-1", {"title": "Käse – 1 ✓"}),
            LiveMessage((f"order:{order}",), "order", "o-1", {"status": "placed"}, owner=me),
            LiveMessage((f"user:{me}",), "notification", "n-2", {}),
        ]
    )
    await until(lambda: len(clients.ids(name)) == 3, "three messages")

    assert clients.ids(name) == ["n-1", "o-1", "n-2"]
    first = clients.of(name, "notification")[0]["message"]
    assert first == {"title": "Käse – 1 ✓", "id": "n-1", "entry": first["entry"]}
    with pytest.raises(CallFailed, match="there is no such method"):
        await clients.invoke(name, "DeleteEverything")
    with pytest.raises(CallFailed, match="this takes the id of an order"):
        await clients.invoke(name, "WatchOrder", "mine")
    await clients.run("stop", name=name)
    assert (await clients.wait(name, "closed"))["error"] is None


async def test_clients_reconnect_with_a_new_token_when_the_old_one_expires(
    clients: JavaScript, replica: Replica, identity: Identity, feed: Feed
) -> None:
    me = somebody()
    tokens = [identity.token(me, expires_in=2), identity.token(me)]
    await asyncio.gather(
        *(clients.connect(f"expiry {name}", replica.url, tokens, name) for name in TRANSPORTS)
    )
    assert await feed.publish([LiveMessage((f"user:{me}",), "notification", "before", {})])

    resumed = {}
    for transport in TRANSPORTS:
        name = f"expiry {transport}"
        error = (await clients.wait(name, "reconnecting"))["error"]
        assert "the access token has expired" in error
        resumed[transport] = (await clients.wait(name, "reconnected"))["resumed"]
    assert await feed.publish([LiveMessage((f"user:{me}",), "notification", "after", {})])

    for transport in TRANSPORTS:
        name = f"expiry {transport}"
        await clients.wait(name, "notification", count=2)
        assert clients.ids(name) == ["before", "after"]
        assert (resumed[transport]["resync"], resumed[transport]["replayed"]) == (False, 0)
        await clients.run("stop", name=name)
