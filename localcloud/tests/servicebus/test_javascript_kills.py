"""A broker that keeps dying, as the JavaScript SDK sees it."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

from localcloud.tests.servicebus.javascript import node
from localcloud.tests.servicebus.rig import BrokerProcess, write_topology

KILLS = 4
PATIENCE_S = 60.0


async def _told(program: asyncio.subprocess.Process) -> dict[str, Any]:
    """The next line of the program; empty once it has ended."""
    assert program.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        line = await program.stdout.readline()
    return dict(json.loads(line)) if line else {}


async def test_four_kills_lose_no_acknowledged_message_and_return_no_completed_one(
    tmp_path: Path,
) -> None:
    chance = random.Random(11)  # noqa: S311 - only the moments of the kills depend on it
    topology = write_topology(tmp_path / "topology.json", {}, {"q": {"LockDuration": "PT30S"}})
    broker = BrokerProcess(topology, tmp_path / "state")
    port, acknowledged = broker.port, 0
    program = await node("kills.mjs", broker.connection_string())
    assert program.stdin is not None
    for _ in range(KILLS):
        goal = acknowledged + chance.randint(100, 200)
        while acknowledged < goal:
            acknowledged = (await _told(program))["acknowledged"]
        await asyncio.to_thread(broker.kill)
        broker = await asyncio.to_thread(
            lambda: BrokerProcess(topology, tmp_path / "state", port=port)
        )
    program.stdin.close()
    summary: dict[str, Any] = {}
    while line := await _told(program):
        summary = line
    assert await program.wait() == 0
    assert broker.stop() == 0
    assert (summary["lost"], summary["returned"]) == ([], [])
    assert summary["acknowledged"] >= KILLS * 100
    assert summary["completed"] >= KILLS * 100
