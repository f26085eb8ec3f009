"""One identity provider and one browser for all tests of the notifier; per module one notifier."""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.async_api import Browser

from shared import live
from shared.live import Feed
from tests.integration.notifier.rig import PATIENCE_S, Identity, Replica, Valkey
from tests.rig.browser import chromium

type Start = Callable[..., Replica]


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    provider = Identity(tmp_path_factory.mktemp("identity"))
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def start(
    identity: Identity, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Starts replicas; they end with the module."""
    folder, numbers = tmp_path_factory.mktemp("notifier"), count(1)
    started: list[Replica] = []

    def start_one(**settings: str) -> Replica:
        surroundings = {"REDIS_URL": valkey.url, **identity.settings(), **settings}
        replica = Replica(surroundings, Path(folder, f"{next(numbers)}.log"))
        started.append(replica)
        return replica

    yield start_one
    for replica in started:
        replica.kill()


@pytest.fixture(scope="module")
async def replica(start: Start) -> Replica:
    """The module's notifier."""
    one = start()
    await one.until_ready()
    return one


@pytest.fixture(scope="module")
async def feed(valkey: Valkey) -> AsyncIterator[Feed]:
    opened = Feed(valkey.url)
    with pytest.MonkeyPatch.context() as patience:
        # A busy machine is no outage here.
        patience.setattr(live, "TIMEOUT_S", PATIENCE_S)
        yield opened
    await opened.close()
