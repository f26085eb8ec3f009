"""The two doors before real servers, and an identity that gives tokens for them."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud import keyless, parts
from localcloud.cloud import LocalCloud

PLATFORM = "70a70000-0000-4000-8000-000000000011"
DATABASES, CACHES = "https://ossrdbms-aad.database.windows.net", "https://redis.azure.com"


@dataclass(frozen=True)
class Doors:
    """A keyless cloud with nothing but stores."""

    cloud: LocalCloud

    def token(self, resource: str, workload: str = "platform", **asked: Any) -> str:
        """A token of a workload's managed identity."""
        answer = httpx.post(
            f"{self.cloud.url('identity')}/control/tokens",
            json={"workload": workload, "resource": resource, **asked},
            trust_env=False,
        )
        return str(answer.raise_for_status().json()["access_token"])

    @property
    def trusted(self) -> str:
        """The file of the authority that signs what the doors show."""
        return str(keyless.authority(self.cloud.state.path).file)

    def port(self, name: str) -> int:
        return self.cloud.ports[name]


@pytest.fixture(scope="package")
def doors() -> Iterator[Doors]:
    # Not pytest's own temporary folder: the database's user may not enter that one.
    state = Path(tempfile.mkdtemp(prefix="doors-"))
    steps = (parts.POSTGRES, parts.VALKEY, parts.IDENTITY, parts.DATABASES)
    cloud = LocalCloud(state, steps=steps, keyless=True)
    cloud.start()
    try:
        yield Doors(cloud)
    finally:
        cloud.erase()
