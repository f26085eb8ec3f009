"""Sessions on a real PostgreSQL and a real Valkey, which tests stop and empty."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from blueprints.sessions.service import SessionService, SignOuts
from shared import cache
from shared.auth import Caller, Sessions
from shared.cache import Cache
from shared.db import Database
from shared.live import Feed
from tests.integration.notifier.rig import Valkey


@dataclass
class Door:
    """Where people come in: the registry, the truth, and what people can do about both."""

    database: Database
    valkey: Valkey
    redis: Redis
    sign_outs: SignOuts
    registry: Sessions
    service: SessionService


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def door(
    database: Database, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Door]:
    monkeypatch.setattr(cache, "TIMEOUT_S", 5.0)  # a busy machine is no outage
    monkeypatch.setattr(cache, "REST_S", 0.0)
    kept, feed = Cache(valkey.url), Feed(valkey.url)
    redis = Redis(port=valkey.port, decode_responses=True)
    sign_outs = SignOuts(database)
    registry = Sessions(kept, sign_outs, client_limit=3, employee_limit=5)
    service = SessionService(database, sign_outs, registry, feed)
    yield Door(database, valkey, redis, sign_outs, registry, service)
    await service.close()
    await redis.aclose()
    await feed.close()
    await kept.close()


def client(person: UUID | None = None, *, signed_in_at: int = 1_000_000) -> Caller:
    """A client with a session of his own; the sign-in is long ago."""
    return Caller("client", person or uuid4(), session=uuid4(), signed_in_at=signed_in_at)
