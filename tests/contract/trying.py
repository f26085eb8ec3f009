"""Tries a document out against a base URL with Schemathesis, as a caller with a token."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ENDS_SESSIONS = ("end_all_sessions", "end_session")
"""Operations that would shut the caller out of the rest of the run."""


@dataclass(frozen=True)
class World:
    """Ids to use by path parameter, the caller's own and others', and what must not be shown."""

    ids: Mapping[str, Sequence[str]]
    foreign: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the command's exit code, its cases, and what it printed."""

    code: int
    cases: int
    text: str


async def tried(
    document: Path, base_url: str, token: str, world: World, *, examples: int, phases: str
) -> Outcome:
    """What Schemathesis says, with at most `examples` cases per operation and phase."""
    environment = {
        **os.environ,
        "CONTRACT_WORLD": json.dumps({"ids": world.ids, "foreign": world.foreign}),
        "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
        "PYTHONPATH": str(HERE.parents[1]),
        "NO_PROXY": "*",
    }
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")),),
        *("--config-file", str(HERE / "schemathesis.toml"), "run", str(document)),
        *("--url", base_url, "--header", f"Authorization: Bearer {token}"),
        *("--phases", phases, "--max-examples", str(examples), "--workers", "2"),
        *("--seed", "5", "--generation-deterministic"),
        *("--no-color", "--suppress-health-check", "all", "--request-timeout", "60"),
        *(part for name in ENDS_SESSIONS for part in ("--exclude-operation-id", name)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = printed.decode()
    counted = re.search(r"([0-9,]+) generated", text)
    cases = int(counted[1].replace(",", "")) if counted else 0
    assert process.returncode is not None
    return Outcome(process.returncode, cases, text)


def world_of(own: Mapping[str, Any], other: Mapping[str, Any]) -> World:
    """What a caller has (`customer_id`, `order_id`, …), and what another has: ids and secrets."""
    names = own.keys() & other.keys()
    ids = {name: [str(own[name]), str(other[name])] for name in names}
    return World(ids, [str(value) for value in other.values()])
