"""Hosts that several tests share, because each takes a second to start."""

from collections.abc import Iterator

import pytest

from localcloud.cloud import LocalCloud
from localcloud.tests.durable.conftest import postgres as postgres  # noqa: PLC0414 - a fixture
from localcloud.tests.functions.running_host import APPS, RunningHost, running
from localcloud.tests.functions.stores import Stores, serving
from localcloud.tests.storage.conftest import azurite as azurite  # noqa: PLC0414 - a fixture


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """The app of HTTP functions, with one of them switched off."""
    state = tmp_path_factory.mktemp("web")
    env = {"AzureWebJobs.switched_off.Disabled": "true"}
    with running(APPS / "web", state, env=env) as host:
        yield host


@pytest.fixture(scope="session")
def stores(azurite: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """The app of storage and Event Grid bindings; each test has blobs and messages of its own."""
    with serving(azurite, tmp_path_factory.mktemp("stores")) as running_stores:
        yield running_stores
