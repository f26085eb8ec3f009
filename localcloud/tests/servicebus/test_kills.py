"""A broker that is killed four times while both clients send and complete."""

import asyncio
import gc
import random
from collections.abc import Iterator

import pytest

from localcloud.tests.servicebus.kills import JavascriptClient, PythonClient, Summary
from localcloud.tests.servicebus.rig import BrokerProcess, subscription, write_topology

KILLS = 4
LEAST, MOST = 60, 120
"""How many messages each client has acknowledged between two kills."""
# After a lost connection the asynchronous SDK leaves its old transport to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CONFORMS = pytest.mark.conforms(
    "Reliability",
    "an acknowledged message survives, a completed one does not come again",
    source="learn:azure/service-bus-messaging/message-transfers-locks-settlement",
)


@pytest.fixture(autouse=True)
def sdk_litter() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
async def summaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Summary]:
    folder = tmp_path_factory.mktemp("kills")
    topics = {"t": [subscription(LockDuration="PT30S")]}
    topology = write_topology(folder / "t.json", topics, {"q": {"LockDuration": "PT30S"}})
    broker = BrokerProcess(topology, folder / "state")
    chance = random.Random(7)  # noqa: S311 - only the moments of the kills depend on it
    port = broker.port
    javascript = await JavascriptClient.started(broker)
    python = PythonClient(lambda: broker)
    running = asyncio.create_task(python.run())
    for _ in range(KILLS):
        clients = (python, javascript)
        await asyncio.gather(*(one.acknowledge(chance.randint(LEAST, MOST)) for one in clients))
        await asyncio.to_thread(broker.kill)
        broker = await asyncio.to_thread(
            lambda: BrokerProcess(topology, folder / "state", port=port)
        )
    python.stop = True
    async with asyncio.timeout(60):
        seen = await asyncio.gather(running, javascript.finish())
    assert broker.stop() == 0
    return dict(zip(("python", "javascript"), seen, strict=True))


@CONFORMS
@pytest.mark.parametrize("client", ["python", "javascript"])
def test_four_kills_lose_no_acknowledged_message_and_return_no_completed_one(
    summaries: dict[str, Summary], client: str
) -> None:
    summary = summaries[client]
    assert (summary.lost, summary.returned) == ([], [])
    assert summary.acknowledged >= KILLS * LEAST
    assert summary.completed >= KILLS * LEAST
