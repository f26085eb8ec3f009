"""One gateway for all tests of its conduct, between a backend of ours and a real Valkey."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from localcloud.tests.gateway.backend import Backend
from localcloud.tests.gateway.folder import write_folder
from localcloud.tests.gateway.rig import Rig, running, valkey


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
async def backend() -> AsyncIterator[Backend]:
    async with Backend().serving() as backend:
        yield backend


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("gateway") / "apim")


@pytest.fixture(scope="session")
async def rig(backend: Backend, folder: Path, redis_url: str) -> AsyncIterator[Rig]:
    with running(folder, backend.url, redis_url) as process:
        async with httpx.AsyncClient(base_url=process.url, timeout=30, trust_env=False) as http:
            yield Rig(process, http, backend, folder)
