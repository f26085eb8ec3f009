"""Clients that break the rules are told so and cut off; nobody else notices."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import psutil
import pytest

from shared.live import Feed, LiveMessage
from tests.integration.notifier.conftest import Start
from tests.integration.notifier.raw import HANDSHAKE, SEPARATOR, HubSocket, hub_socket, negotiate
from tests.integration.notifier.rig import Identity, Replica, somebody, until

LIMITS = {
    "NOTIFIER_CLOSE_S": "0.5",
    "NOTIFIER_CONNECTIONS_PER_PERSON": "3",
    "NOTIFIER_MESSAGES_BURST": "20",
    "NOTIFIER_MESSAGES_PER_S": "1",
}
GARBAGE = {
    "not JSON": "hello",
    "no object": "[1]",
    "no type": "{}",
    "an unknown type": '{"type":99}',
    "a type of another kind": '{"type":true}',
    "a completion": '{"type":3,"invocationId":"1"}',
    "a stream item": '{"type":2,"invocationId":"1"}',
    "no target": '{"type":1,"arguments":[]}',
    "arguments that are no list": '{"type":1,"target":"Resume","arguments":{}}',
    "an id that is too long": json.dumps({"type": 1, "target": "Resume", "invocationId": "x" * 65}),
    "a number that is none": '{"type":NaN}',
    "depth": "[" * 30_000,
}


@pytest.fixture(scope="module")
async def replica(start: Start) -> Replica:
    one = start(**LIMITS)
    await one.until_ready()
    return one


@pytest.fixture
async def bystander(replica: Replica, identity: Identity, feed: Feed) -> AsyncIterator[HubSocket]:
    """Somebody else, who after all still gets his messages."""
    me = somebody()
    async with hub_socket(replica.url, identity.token(me)) as mine:
        yield mine
        assert await feed.publish([LiveMessage((f"user:{me}",), "notification", "still", {})])
        assert (await mine.message())["arguments"][0]["id"] == "still"


async def test_garbage_ends_the_connection_with_a_word(
    replica: Replica, identity: Identity, bystander: HubSocket
) -> None:
    assert bystander
    ends = {}
    for name, text in GARBAGE.items():
        async with hub_socket(replica.url, identity.token(somebody())) as client:
            await client.send(text + SEPARATOR)
            ends[name] = await client.until_closed()
    async with hub_socket(replica.url, identity.token(somebody())) as client:
        await client.send('{"type":6}')
        ends["no separator"] = await client.until_closed()
    async with hub_socket(replica.url, identity.token(somebody())) as client:
        await client.socket.send(b'{"type":6}\x1e')
        ends["binary"] = await client.until_closed()

    errors = {}
    for name, ([*before, last], code) in ends.items():
        assert (before, code, last.pop("type"), set(last)) == ([], 1008, 7, {"error"})
        errors[name] = last["error"]
    assert errors == {
        "not JSON": "a message must be JSON",
        "no object": "a message must be a JSON object",
        "no type": "unknown message type",
        "an unknown type": "unknown message type",
        "a type of another kind": "unknown message type",
        "a completion": "nobody asked for this",
        "a stream item": "nobody asked for this",
        "no target": "an invocation has a target and a list of arguments",
        "arguments that are no list": "an invocation has a target and a list of arguments",
        "an id that is too long": "an invocationId has 1 to 64 characters",
        "a number that is none": "a message must be JSON",
        "depth": "a message must be JSON",
        "no separator": "a message must end in the record separator",
        "binary": "this is spoken in text",
    }


@pytest.mark.parametrize(
    ("handshake", "error"),
    [
        ("garbage", "a message must be JSON"),
        ('{"type":6}', "the only protocol spoken here is json"),
        ('{"protocol":"messagepack","version":1}', "the only protocol spoken here is json"),
        ('{"protocol":"json","version":9}', "the only version of it is 1"),
    ],
)
async def test_a_handshake_that_cannot_be_is_answered_with_an_error(
    replica: Replica, identity: Identity, handshake: str, error: str
) -> None:
    async with hub_socket(replica.url, identity.token(somebody()), handshake=None) as client:
        await client.send(handshake + SEPARATOR)
        assert await client.until_closed() == ([{"error": error}], 1008)


async def test_calls_that_cannot_be_are_answered_and_the_connection_stays(
    replica: Replica, identity: Identity
) -> None:
    async with hub_socket(replica.url, identity.token(somebody())) as client:
        for number, call in enumerate(
            [
                {"type": 4, "target": "Resume", "arguments": [None]},
                {"type": 1, "target": "Resume", "arguments": ["yesterday"]},
                {"type": 1, "target": "__init__", "arguments": []},
                {"type": 1, "target": "WatchOrder", "arguments": []},
            ]
        ):
            await client.send(json.dumps({**call, "invocationId": f"{number}"}) + SEPARATOR)
        await client.send('{"type":1,"target":"Nothing","arguments":[]}' + SEPARATOR)
        answers = [await client.message() for _ in range(4)]
        await client.send('{"type":7}' + SEPARATOR)
        farewell, code = await client.until_closed()

    assert [(a["type"], a["invocationId"], a["error"]) for a in answers] == [
        (3, "0", "no method here takes or gives a stream"),
        (3, "1", "Resume takes the entry of the last message that was received, or null"),
        (3, "2", "there is no such method"),
        (3, "3", "this takes the id of an order"),
    ]
    assert (farewell, code) == ([{"type": 7}], 1000)


async def test_a_frame_or_body_of_ten_megabytes_is_refused_and_never_held(
    replica: Replica, identity: Identity, bystander: HubSocket
) -> None:
    assert bystander
    process = psutil.Process(replica.process.pid)
    before = process.memory_info().rss
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(hub_socket(replica.url, identity.token(somebody())))
            for _ in range(3)
        ]
        for client in sockets:
            sending = asyncio.create_task(client.send("x" * 10_000_000))
            assert await client.until_closed() == ([], 1009)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    agreed = await negotiate(replica.url, identity.token(somebody()), "longPolling")
    async with httpx.AsyncClient() as http:
        assert (await http.get(agreed.address, headers=agreed.headers)).status_code == 200
        answer = await http.post(agreed.address, headers=agreed.headers, content=b"x" * 10_000_000)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(160):
                yield b"x" * 65536

        chunked = await http.post(agreed.address, headers=agreed.headers, content=endless())

    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert (chunked.status_code, chunked.json()["code"]) == (413, "body-too-large")
    assert process.memory_info().rss - before < 8_000_000


async def test_a_flood_ends_the_connection_and_it_is_not_told_to_come_back(
    replica: Replica, identity: Identity, bystander: HubSocket
) -> None:
    assert bystander
    async with hub_socket(replica.url, identity.token(somebody())) as client:
        await client.send(('{"type":6}' + SEPARATOR) * 100)
        assert await client.until_closed() == ([{"type": 7, "error": "too many messages"}], 1008)


async def test_a_person_has_so_many_connections_and_no_more(
    replica: Replica, identity: Identity
) -> None:
    token = identity.token(somebody())
    async with AsyncExitStack() as stack:
        first, *_ = [
            await stack.enter_async_context(hub_socket(replica.url, token)) for _ in range(3)
        ]
        async with hub_socket(replica.url, token) as fourth:
            end = await fourth.until_closed()
        async with httpx.AsyncClient() as http:
            stream = await http.get(
                f"{replica.url}/notifications/stream", headers={"Authorization": f"Bearer {token}"}
            )
        await first.send('{"type":1,"target":"Resume","arguments":[null],"invocationId":"1"}\x1e')
        answer = await first.message()

    assert end == ([{"type": 7, "error": "too many connections of this person"}], 1008)
    assert (stream.status_code, stream.json()["code"]) == (429, "too-many-connections")
    assert answer["invocationId"] == "1"


def padded(groups: tuple[str, ...], number: int) -> LiveMessage:
    return LiveMessage(groups, "notification", f"{number}", {"text": "x" * 15_000})


async def test_a_client_that_does_not_read_is_told_to_fetch_and_disturbs_nobody(
    replica: Replica, identity: Identity, feed: Feed
) -> None:
    slow, quick = somebody(), somebody()
    groups = (f"user:{slow}", f"user:{quick}")
    async with (
        hub_socket(replica.url, identity.token(slow), receive_buffer=4096) as reads_late,
        hub_socket(replica.url, identity.token(quick)) as reads_on,
    ):
        for number in range(80):
            assert await feed.publish([padded(groups, number)])
            assert (await reads_on.message())["arguments"][0]["id"] == f"{number}"
        messages, _ = await reads_late.until_closed()

    *_, resync, farewell = messages
    assert resync["target"] == "resync"
    assert resync["arguments"][0]["reason"] == "slow"
    error = "messages came faster than they were read"
    assert farewell == {"type": 7, "error": error, "allowReconnect": True}
    assert 2 < len(messages) < 80


async def test_a_client_that_never_reads_again_is_cut_off(
    replica: Replica, identity: Identity, feed: Feed
) -> None:
    stuck = somebody()
    closed = 'notifier_closed_total{reason="slow",transport="websockets"}'
    before = await replica.metric(closed)
    async with hub_socket(replica.url, identity.token(stuck), receive_buffer=4096) as client:
        for number in range(80):
            assert await feed.publish([padded((f"user:{stuck}",), number)])
        await until(lambda: _exceeds(replica, closed, before), "the line to be cut")
        _, code = await client.until_closed()

    assert code == 1006
    await until(lambda: _nothing_waits(replica), "the queues to be empty")


async def _nothing_waits(replica: Replica) -> bool:
    return await replica.metric("notifier_queue_bytes") == 0


async def _exceeds(replica: Replica, metric: str, before: float) -> bool:
    return await replica.metric(metric) > before


async def test_garbage_by_long_polling_ends_it_with_a_word_too(
    replica: Replica, identity: Identity
) -> None:
    agreed = await negotiate(replica.url, identity.token(somebody()), "longPolling")
    async with httpx.AsyncClient(headers=agreed.headers) as http:
        assert (await http.get(agreed.address)).status_code == 200
        assert (await http.post(agreed.address, content=HANDSHAKE)).status_code == 200
        assert (await http.get(agreed.address)).text == "{}\x1e"
        not_utf8 = await http.post(agreed.address, content=b"\xff\xfe")
        polled = await http.get(agreed.address)
        end = await http.get(agreed.address)
        after = await http.get(agreed.address)

    assert (not_utf8.status_code, not_utf8.json()["code"]) == (400, "invalid-request")
    assert polled.text == '{"type":7,"error":"this is spoken in UTF-8"}\x1e'
    assert (end.status_code, after.status_code) == (204, 404)
