"""Valkey by token: signing in, signing in again, and the end of a token."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from localcloud.tests.front.conftest import CACHES, DATABASES, PLATFORM, Doors

ENTRA = "learn:azure/redis/entra-for-authentication"


def _redis(doors: Doors, token: str, user: str = PLATFORM, **given: Any) -> redis.Redis:
    return redis.Redis(
        port=doors.port("valkey-tls"),
        username=user,
        password=token,
        ssl=True,
        ssl_ca_certs=doors.trusted,
        decode_responses=True,
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),
        **given,
    )


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.conforms(
    "Entry", "the user name is the identity's object id, the password a token", source=ENTRA
)
def test_an_identity_signs_in_with_either_protocol(doors: Doors, protocol: int) -> None:
    with _redis(doors, doors.token(CACHES), protocol=protocol) as client:
        assert client.set("greeting", "hello")
        assert client.get("greeting") == "hello"
        with client.pipeline() as pipeline:
            pipeline.set("count", 1).incr("count").get("count")
            assert pipeline.execute() == [True, 2, "2"]
        assert client.set("large", "ä" * 1_000_000)
        assert client.strlen("large") == 2_000_000


@pytest.mark.parametrize(
    ("asked", "user"),
    [
        ({"resource": DATABASES}, PLATFORM),
        ({"workload": "gateway"}, "6a7e0000-0000-4000-8000-000000000012"),
        ({}, "6a7e0000-0000-4000-8000-000000000012"),
        ({}, "default"),
        ({"expires_in": -5}, PLATFORM),
        ({"forged": True}, PLATFORM),
    ],
    ids=[
        *("another resource", "no access policy", "somebody else's name", "no object id"),
        *("expired", "forged"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 3])
def test_nobody_else_signs_in(
    doors: Doors, asked: dict[str, Any], user: str, protocol: int
) -> None:
    token = doors.token(**{"resource": CACHES} | asked)
    with (
        _redis(doors, token, user, protocol=protocol) as client,
        pytest.raises(redis.AuthenticationError, match="invalid username-password pair"),
    ):
        client.ping()


@contextlib.asynccontextmanager
async def _line(doors: Doors) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = ssl.create_default_context(cafile=doors.trusted)
    port = doors.port("valkey-tls")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_before_signing_in_nothing_is_answered(doors: Doors) -> None:
    async with _line(doors) as (reader, writer):
        writer.write(b"PING\r\n*2\r\n$3\r\nGET\r\n$8\r\ngreeting\r\nHELLO 3\r\n")
        refused = b"-NOAUTH Authentication required.\r\n"
        assert await reader.readexactly(2 * len(refused)) == 2 * refused
        assert (await reader.readline()).startswith(b"-NOAUTH HELLO")


@pytest.mark.parametrize(
    "hostile",
    [
        b"*99999999999\r\n",
        b"*1\r\n$99999999999\r\n",
        b"*11\r\n",
        b"*-1\r\n",
        b"*1\r\n:5\r\n",
        b"x" * 200_000,
    ],
    ids=["many words", "a long word", "more than a login", "negative", "a number", "a long line"],
)
async def test_what_is_no_command_ends_the_connection(doors: Doors, hostile: bytes) -> None:
    async with _line(doors) as (reader, writer):
        writer.write(hostile)
        assert (await reader.read()).startswith(b"-ERR Protocol error")


@pytest.mark.conforms(
    "Entry",
    "a client signs in anew before its token expires, or its connection is closed",
    source=ENTRA,
)
async def test_a_connection_ends_with_its_token_unless_a_newer_one_was_shown(doors: Doors) -> None:
    began = time.time()
    short, later = doors.token(CACHES, expires_in=2), doors.token(CACHES)
    async with _line(doors) as renewing, _line(doors) as forgetful:
        for reader, writer in (renewing, forgetful):
            writer.write(f"AUTH {PLATFORM} {short}\r\n".encode())
            assert await reader.readline() == b"+OK\r\n"
        # The answers keep their order around the new sign-in, and around one that fails.
        reader, writer = renewing
        for command in ("ECHO 1", f"AUTH {PLATFORM} {later}", "ECHO 2", "AUTH a b", "ECHO 3"):
            writer.write(f"{command}\r\n".encode())
        answers = [await reader.readline() for _ in range(8)]
        assert [answer for answer in answers if not answer.startswith(b"$")] == [
            *(b"1\r\n", b"+OK\r\n", b"2\r\n"),
            b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            b"3\r\n",
        ]
        assert await forgetful[0].read() == b""
        assert time.time() - began >= 1
        writer.write(b"PING\r\n")
        assert await reader.readline() == b"+PONG\r\n"
