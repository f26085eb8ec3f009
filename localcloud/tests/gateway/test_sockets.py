"""WebSockets go through in both directions, with their close codes and at their readers' pace."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from localcloud.tests.gateway.rig import WITHIN_S, Rig

MIB = 2**20


def opened(rig: Rig, do: str = "", **options: Any) -> connect:
    address = f"ws://127.0.0.1:{rig.gateway.port}/external-api/v1/socket?do={do}"
    return connect(address, max_size=4 * MIB, proxy=None, **options)


async def ended(socket: ClientConnection) -> tuple[int, str]:
    """The close code and reason, once the other side has sent them."""
    async with asyncio.timeout(WITHIN_S):
        await socket.wait_closed()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


async def test_text_and_bytes_go_there_and_back(rig: Rig) -> None:
    async with opened(rig) as socket:
        for message in ("hé", b"\x00\xff", "", b"", "x" * MIB):
            await socket.send(message)
            assert await socket.recv() == message


async def test_the_handshake_arrives_with_its_fields_and_without_those_of_the_hop(rig: Rig) -> None:
    sent = {"Origin": "https://shop.example", "Authorization": "Bearer t", "X-Forwarded-For": "1"}
    async with opened(rig, "headers", additional_headers=sent) as socket:
        headers = json.loads(await socket.recv())
    assert headers["origin"] == "https://shop.example"
    assert headers["authorization"] == "Bearer t"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["host"] == f"127.0.0.1:{rig.backend.port}"
    assert "traceparent" in headers


async def test_a_subprotocol_is_agreed_with_the_backend(rig: Rig) -> None:
    offered = [Subprotocol("messagepack"), Subprotocol("json")]
    async with opened(rig, subprotocols=offered) as socket:
        assert socket.subprotocol == "json"


async def test_the_clients_close_code_reaches_the_backend(rig: Rig) -> None:
    async with opened(rig) as socket:
        await socket.close(4002, "bye")
    async with asyncio.timeout(WITHIN_S):
        while await rig.backend.closed.get() != 4002:
            pass


async def test_the_backends_close_code_reaches_the_client(rig: Rig) -> None:
    async with opened(rig, "close") as socket:
        assert await ended(socket) == (4001, "enough")


async def test_a_backend_that_breaks_off_is_an_internal_error(rig: Rig) -> None:
    async with opened(rig, "cut") as socket:
        assert (await ended(socket))[0] == 1011


async def test_a_client_that_breaks_off_takes_the_backends_connection_with_it(rig: Rig) -> None:
    async with opened(rig) as socket:
        await socket.send("x")
        await socket.recv()
        while not rig.backend.closed.empty():
            rig.backend.closed.get_nowait()
        socket.transport.abort()
    async with asyncio.timeout(WITHIN_S):
        await rig.backend.closed.get()


@pytest.mark.parametrize("do", ["", "huge"])
async def test_a_message_beyond_a_mebibyte_is_too_big(rig: Rig, do: str) -> None:
    async with opened(rig, do) as socket:
        if not do:
            await socket.send("x" * (MIB + 1))
        assert (await ended(socket))[0] == 1009


async def test_a_refusal_of_the_backend_is_relayed(rig: Rig) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await opened(rig, "refuse")
    response = refused.value.response
    assert response.status_code == 401
    assert json.loads(response.body or b"") == {"code": "ticket-invalid"}


async def test_a_redirect_of_the_backend_is_relayed(rig: Rig) -> None:
    address = f"ws://127.0.0.1:{rig.gateway.port}/external-api/v1/socket?do=redirect"
    with pytest.raises(InvalidStatus) as refused:
        await _Unfollowed(address, proxy=None)
    assert refused.value.response.status_code == 307


class _Unfollowed(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def test_a_handshake_that_is_none_is_refused(rig: Rig) -> None:
    request = (
        b"GET /external-api/v1/socket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: x\r\n\r\n"
    )
    answer = await rig.raw(request)
    assert int(answer[9:12]) in {400, 426}


async def test_a_client_that_does_not_read_is_not_read_for(rig: Rig) -> None:
    rig.backend.release.clear()
    rig.backend.received = 0
    async with opened(rig, "flood", max_queue=1) as socket:
        before = -1
        async with asyncio.timeout(WITHIN_S):
            while before != rig.backend.received:  # until nobody takes any more
                before = rig.backend.received
                await asyncio.sleep(0.3)
        assert before * 65_536 < 32 * MIB
        rig.backend.release.set()
        socket.transport.abort()


async def test_the_log_says_that_a_socket_was_opened_and_not_its_query(rig: Rig) -> None:
    async with opened(rig, "secret-ticket") as socket:
        await socket.close()
    rig.gateway.logged("external-socket onHandshake 101 ")
    assert "secret-ticket" not in rig.gateway.log.read_text("utf-8")
