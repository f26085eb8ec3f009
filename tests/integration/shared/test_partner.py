"""Calls to a partner, against a server that answers what the test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from shared.partner import Answer, NoAnswer, Partner

ENDS = b"\r\nConnection: close\r\n\r\n"


@contextlib.asynccontextmanager
async def answering(text: bytes | None) -> AsyncIterator[Partner]:
    """A partner whose every answer is `text`; None: it says nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if text is None:
            await reader.read()  # until the caller has had enough
        else:
            writer.write(text)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    partner = Partner(f"http://127.0.0.1:{port}/", timeout_s=0.2)
    try:
        yield partner
    finally:
        await partner.close()
        server.close()


async def test_an_answer_is_its_status_and_its_json() -> None:
    async with answering(b"HTTP/1.1 201 Created\r\nContent-Length: 9" + ENDS + b'{"id": 7}') as p:
        answer = await p.send("POST", "/v1/things", body={"a": 1})
    assert (answer.status, answer.json(), answer.is_success) == (201, {"id": 7}, True)


async def test_a_redirect_is_an_answer() -> None:
    text = b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0" + ENDS
    async with answering(text) as partner:
        assert await partner.send("GET", "/") == Answer(307, b"")


async def test_a_partner_that_says_nothing_has_not_answered() -> None:
    async with answering(None) as partner:
        with pytest.raises(NoAnswer, match="Timeout"):
            await partner.send("GET", "/")


async def test_an_answer_that_breaks_off_is_none() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 100" + ENDS + b"half"
    async with answering(text) as partner:
        with pytest.raises(NoAnswer, match="ClientPayloadError"):
            await partner.send("GET", "/")


@pytest.mark.parametrize("body", [b"", b"[]", b"sorry", b"\xff"])
def test_what_is_no_json_object_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Answer(200, body).json()
