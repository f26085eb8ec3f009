"""The platform's own identity: tokens for PostgreSQL and Redis, and to whom they are shown."""

import asyncio
import base64
import json
import time
from typing import Any

import psycopg
import pytest
from azure.core.credentials import AccessToken

from shared import redis_address
from shared.credentials import POSTGRESQL, REDIS, Identity
from shared.db import Database
from shared.redis_address import TokenConnection

WORKLOAD = "70a70000-0000-4000-8000-000000000011"


def _token(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


class Credential:
    """A credential that hands out one token after the other, each after a moment."""

    def __init__(self, *, lifetime_s: float = 3600, fault: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.under_way = self.most_at_once = 0
        self.closed = False
        self._lifetime_s, self._fault = lifetime_s, fault

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked += scopes
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if self._fault is not None:
            raise self._fault
        return AccessToken(_token(oid=WORKLOAD), int(time.time() + self._lifetime_s))

    async def close(self) -> None:
        self.closed = True


def _identity(credential: Credential) -> Identity:
    opened: Any = lambda: credential  # noqa: E731
    return Identity(opened)


async def test_a_token_is_asked_for_by_one_at_a_time() -> None:
    credential = Credential()
    identity = _identity(credential)
    await asyncio.gather(*(identity.token(REDIS) for _ in range(5)))
    assert credential.asked == [REDIS] * 5
    assert credential.most_at_once == 1
    await identity.close()
    assert credential.closed


async def test_a_closed_identity_opens_again() -> None:
    made: list[Credential] = []

    def opened() -> Any:
        made.append(Credential())
        return made[-1]

    identity = Identity(opened)
    await identity.password()
    await identity.close()
    await identity.password()
    assert [credential.asked for credential in made] == [[POSTGRESQL], [POSTGRESQL]]
    await identity.close()


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://platform:secret@127.0.0.1:1/x?sslmode=verify-full",
        "postgresql://platform@127.0.0.1:1/x",
        "postgresql://platform@127.0.0.1:1/x?sslmode=require",
    ],
    ids=["has a password", "without TLS", "TLS with anybody"],
)
async def test_a_token_is_shown_to_no_server_that_proves_nothing(conninfo: str) -> None:
    credential = Credential()
    database = Database(conninfo, password=_identity(credential).password)
    assert database._password is None


async def test_every_connection_to_the_database_gets_a_token_of_its_own() -> None:
    credential = Credential()
    address = "postgresql://platform@127.0.0.1:1/x?sslmode=verify-full"
    database = Database(address, password=_identity(credential).password)
    options = database._with_password({"autocommit": True})
    assert await options() == {"autocommit": True, "password": _token(oid=WORKLOAD)}
    await options()
    assert credential.asked == [POSTGRESQL, POSTGRESQL]


async def test_a_database_without_a_token_is_unavailable() -> None:
    credential = Credential(fault=RuntimeError("no identity here"))
    address = "postgresql://platform@127.0.0.1:1/x?sslmode=verify-full"
    database = Database(address, password=_identity(credential).password)
    with pytest.raises(psycopg.OperationalError, match="no token for the database"):
        await database._with_password({})()


def test_redis_is_opened_as_its_address_says() -> None:
    identity = Identity()
    plain = redis_address.options("redis://127.0.0.1:6380/0", identity, max_connections=5)
    assert plain == {"host": "127.0.0.1", "port": 6380, "db": 0, "max_connections": 5}
    with_password = redis_address.options("rediss://:secret@redis.example:10000", identity)
    assert with_password["connection_class"] is not TokenConnection
    assert "identity" not in with_password
    keyless = redis_address.options("rediss://redis.example:10000?max_connections=3", identity)
    assert keyless["connection_class"] is TokenConnection
    assert keyless["identity"] is identity
    assert keyless["max_connections"] == 3


@pytest.mark.parametrize(
    ("lifetime_s", "leaves_s_before_the_end"), [(3600, 60), (100, 20)], ids=["long", "short"]
)
async def test_a_connection_to_redis_leaves_before_its_token_ends(
    lifetime_s: float, leaves_s_before_the_end: float
) -> None:
    connection = TokenConnection(identity=_identity(Credential(lifetime_s=lifetime_s)))
    user, token = await connection._login.get_credentials_async()
    assert (user, token) == (WORKLOAD, _token(oid=WORKLOAD))
    left_s = connection._login.leave_at - time.time()
    assert left_s == pytest.approx(lifetime_s - leaves_s_before_the_end, abs=2)
    assert not connection.should_reconnect()  # it is not open


@pytest.mark.parametrize("token", ["", "a.b", "a.!!!.c", _token(sub="x"), "a.W10.c"])
def test_a_token_without_an_object_id_is_no_login(token: str) -> None:
    with pytest.raises(ValueError, match="names no object id"):
        redis_address.object_id(token)
