"""PostgreSQL by token: who gets in, as whom, and for how long."""

import asyncio
import socket
import struct
import time
from typing import Any

import psycopg
import pytest

from localcloud.tests.front.conftest import CACHES, DATABASES, Doors

ENTRA = "learn:azure/postgresql/flexible-server/security-entra-concepts"


def _connect(doors: Doors, password: str, **given: Any) -> psycopg.Connection[Any]:
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": doors.port("postgres-tls"),
        "user": "platform_app",
        "dbname": "platform",
        "sslmode": "verify-full",
        "sslrootcert": doors.trusted,
        "autocommit": True,
        "connect_timeout": 10,
    }
    return psycopg.connect(password=password, **options | given)


@pytest.mark.conforms("Entry", "the access token is used as the password", source=ENTRA)
def test_an_identity_enters_as_its_role(doors: Doors) -> None:
    with _connect(doors, doors.token(DATABASES)) as connection:
        found = connection.execute("SELECT current_user, current_database()").fetchone()
        assert found == ("platform_app", "platform")
        assert connection.info.parameter_status("server_encoding") == "UTF8"


def test_what_goes_through_is_what_the_server_said(doors: Doors) -> None:
    with _connect(doors, doors.token(DATABASES)) as connection:
        row = connection.execute("SELECT repeat('ä', 1000000), %s::bytea", (b"\0" * 300_000,))
        text, data = row.fetchone() or ("", b"")
        assert (len(text), data) == (1_000_000, b"\0" * 300_000)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def _refused_at_last(doors: Doors, token: str) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            _connect(doors, token).close()
        except psycopg.OperationalError as refusal:
            return 'failed for user "platform_app"' in str(refusal)
    return False


@pytest.mark.conforms(
    "Entry",
    "a token is looked at when a connection is opened; the connection may outlive it",
    source=ENTRA,
)
def test_a_connection_outlives_its_token_but_the_next_one_needs_a_new_one(doors: Doors) -> None:
    token = doors.token(DATABASES, expires_in=2)
    with _connect(doors, token) as connection:
        assert _refused_at_last(doors, token)
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"resource": CACHES}, {}),
        ({"workload": "notifier"}, {}),
        ({"expires_in": -5}, {}),
        ({"forged": True}, {}),
        ({"claims": {"iss": "https://sts.windows.net/elsewhere/"}}, {}),
        ({"claims": {"oid": None}}, {}),
        ({}, {"user": "platform"}),
        ({}, {"user": "postgres"}),
        ({}, {"user": "nobody"}),
    ],
    ids=[
        *("another resource", "another identity", "expired", "forged", "another issuer"),
        *("no identity", "the owner", "a superuser", "an unknown role"),
    ],
)
def test_nobody_else_enters(doors: Doors, asked: dict[str, Any], given: dict[str, Any]) -> None:
    token = doors.token(**{"resource": DATABASES} | asked)
    user = given.get("user", "platform_app")
    with pytest.raises(psycopg.OperationalError, match=f'failed for user "{user}"'):
        _connect(doors, token, **given)


def test_the_server_s_own_password_opens_nothing(doors: Doors) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _connect(doors, doors.cloud.state.secrets().platform_app)


def test_without_tls_nobody_is_asked_for_a_token(doors: Doors) -> None:
    with pytest.raises(psycopg.OperationalError, match="encrypted connection"):
        _connect(doors, doors.token(DATABASES), sslmode="disable")


async def test_a_query_is_cancelled_through_the_door(doors: Doors) -> None:
    connection = await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=doors.port("postgres-tls"),
        user="platform_app",
        dbname="platform",
        password=doors.token(DATABASES),
        sslmode="verify-full",
        sslrootcert=doors.trusted,
    )
    async with connection:
        sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        while not sleeping.done():
            await asyncio.wait({sleeping}, timeout=0.05)  # it may not have begun yet
            await connection.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await sleeping


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!II", 2**31, 80877103),
        struct.pack("!II", 4, 80877103),
        struct.pack("!II", 8, 80877103) + b"\x16\x03\x01 slipped in before the encryption",
        struct.pack("!II", 8, 80877104) + struct.pack("!II", 9, 196608) + b"\0",
    ],
    ids=["nothing", "HTTP", "too long", "too short", "slipped in", "no TLS after all"],
)
def test_hostile_beginnings_end_and_hinder_nobody(doors: Doors, first: bytes) -> None:
    with socket.create_connection(("127.0.0.1", doors.port("postgres-tls")), 10) as stranger:
        stranger.sendall(first)
        stranger.shutdown(socket.SHUT_WR)
        stranger.settimeout(10)
        while stranger.recv(4096):
            pass
    with _connect(doors, doors.token(DATABASES)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
