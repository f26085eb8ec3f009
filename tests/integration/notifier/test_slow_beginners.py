"""Who begins something and does not go on is not waited for; who only pings is not served."""

import asyncio
import socket
import time

import httpx
import pytest

from tests.integration.notifier.conftest import Start
from tests.integration.notifier.raw import HANDSHAKE, asked, hub_socket, negotiate
from tests.integration.notifier.rig import Identity, Replica, somebody


@pytest.fixture(scope="module")
async def replica(start: Start) -> Replica:
    one = start(NOTIFIER_HANDSHAKE_S="1")
    await one.until_ready()
    return one


async def test_a_connection_without_a_handshake_ends(replica: Replica, identity: Identity) -> None:
    polling = await negotiate(replica.url, identity.token(somebody()), "longPolling")
    async with (
        hub_socket(replica.url, identity.token(somebody()), handshake=None) as client,
        httpx.AsyncClient() as http,
    ):
        assert (await http.get(polling.address, headers=polling.headers)).text == ""
        polled = await http.get(polling.address, headers=polling.headers)
        after = await http.get(polling.address, headers=polling.headers)
        end = await client.until_closed()

    assert end == ([{"error": "the handshake took too long"}], 1000)
    assert polled.text == '{"error":"the handshake took too long"}\x1e'
    assert after.status_code == 204


async def test_a_request_that_does_not_end_its_head_is_cut_off(replica: Replica) -> None:
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    endless, feeder = await asyncio.open_connection("127.0.0.1", replica.port)
    feeder.write(b"GET /health/live HTTP/1.1\r\nX-Long: " + b"x" * 200_000)
    for line in (endless, reader):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await line.readexactly(1)
    writer.close()
    feeder.close()

    assert time.monotonic() - began < 30


async def test_a_body_that_does_not_end_is_not_waited_for(
    replica: Replica, identity: Identity
) -> None:
    agreed = await negotiate(replica.url, identity.token(somebody()), "longPolling")
    path = agreed.address.removeprefix(replica.url)
    opened = await asked(replica.url, "GET", path, headers=agreed.headers)
    shaken = await asked(replica.url, "POST", path, headers=agreed.headers, content=HANDSHAKE)
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {agreed.ticket}\r\n"
        "Content-Length: 100\r\n\r\nhalf".encode()
    )
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    writer.close()

    assert (opened.status_code, shaken.status_code) == (200, 200)
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_pings_and_does_not_read_is_cut_off(
    replica: Replica, identity: Identity
) -> None:
    agreed = await negotiate(replica.url, identity.token(somebody()))
    path = agreed.address.removeprefix(replica.url)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(30)
        await asyncio.to_thread(line.connect, ("127.0.0.1", replica.port))
        line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {agreed.ticket}\r\n\r\n".encode()
        )
        assert b" 101 " in await asyncio.to_thread(line.recv, 64)
        ping = b"\x89\xfd" + bytes(4) + b"x" * 125
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await asyncio.to_thread(line.sendall, ping * 100_000)
