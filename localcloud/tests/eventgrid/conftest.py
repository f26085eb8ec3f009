"""One Event Grid for all tests, beside a real broker, storage, identity and Functions host."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from localcloud.cloud import LocalCloud
from localcloud.storage.azurite import connection_string
from localcloud.tests.eventgrid.hook import Hook
from localcloud.tests.eventgrid.rig import KEY, MODULE, SCALE, Rig, topology
from localcloud.tests.functions.stores import Stores, serving
from localcloud.tests.partners.part import Part, running
from localcloud.tests.servicebus.rig import (
    BrokerProcess,
    subscription,
    write_topology,
)
from localcloud.tests.servicebus.rig import running as running_broker
from localcloud.tests.storage.conftest import azurite as azurite  # noqa: PLC0414 - a fixture


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("eventgrid")


@pytest.fixture(scope="session")
def broker(folder: Path) -> Iterator[BrokerProcess]:
    queues = {"plain": {}, "sessions": {"RequiresSession": True}, "attention": {}}
    queues["delivery-reports"] = {}
    file = write_topology(folder / "bus.json", {"fan": [subscription()]}, queues)
    with running_broker(file, folder / "bus") as process:
        yield process


@pytest.fixture(scope="session")
def stores(azurite: LocalCloud, folder: Path) -> Iterator[Stores]:
    """The Functions host with an app of Event Grid triggers."""
    with serving(azurite, folder / "functions") as running_stores:
        yield running_stores


@pytest.fixture(scope="session")
def identity(folder: Path) -> Iterator[Part]:
    with running("localcloud.identity", folder / "identity") as part:
        yield part


@pytest.fixture(scope="session")
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.stop()


@pytest.fixture(scope="session")
def options(azurite: LocalCloud, broker: BrokerProcess) -> list[str]:
    """What every Event Grid under test is started with."""
    return [
        *("--key", KEY, "--time-scale", SCALE),
        *("--servicebus", broker.connection_string()),
        *("--storage", connection_string(azurite.ports)),
    ]


@pytest.fixture(scope="session")
def grid(folder: Path, options: list[str], identity: Part, stores: Stores) -> Iterator[Rig]:
    file = topology(folder / "topology.json", clouds=[], grids=[], counted=[], hostile=[])
    functions = [
        *("--functions-url", f"http://127.0.0.1:{stores.host.port}"),
        *("--functions-keys", str(stores.host.state / "keys.json")),
    ]
    with (
        running(
            MODULE,
            folder / "state",
            *options,
            *functions,
            *("--identity-url", identity.url, "--topology", str(file)),
        ) as part,
        httpx.Client(base_url=part.url, timeout=30) as http,
    ):
        yield Rig(part.url, http)


@pytest.fixture(scope="session")
def patient(folder: Path) -> Iterator[Rig]:
    """An Event Grid with Azure's own times and a system topic, alone on the machine."""
    file = topology(folder / "patient.json", clouds=[], grids=[])
    document = json.loads(file.read_text())
    system = {"name": "mail", "properties": {"topicType": "Microsoft.Communication"}}
    file.write_text(json.dumps(document | {"systemTopics": [system]}))
    options = ["--key", KEY, "--topology", str(file)]
    with (
        running(MODULE, folder / "patient", *options) as part,
        httpx.Client(base_url=part.url, timeout=30) as http,
    ):
        yield Rig(part.url, http)
