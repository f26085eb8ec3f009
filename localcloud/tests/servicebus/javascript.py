"""Programs of the second client, `@azure/service-bus` for Node.js, and what they report."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcloud.node import NODE, PACKAGES

SCRIPTS = Path(__file__).parent / "js"
TIMEOUT_S = 90.0


async def node(
    script: str, *arguments: str | Path, settings: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """The running program; it is told first where the npm packages are."""
    return await asyncio.create_subprocess_exec(
        NODE,
        SCRIPTS / script,
        PACKAGES,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(settings or {}),
        limit=1 << 24,
    )


async def features(
    connection_string: str, *files: str, settings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What each feature of these files saw; a feature that failed says why, as text."""
    scripts = [SCRIPTS / file for file in files]
    program = await node("run.mjs", connection_string, *scripts, settings=settings)
    async with asyncio.timeout(TIMEOUT_S):
        output, complaints = await program.communicate()
    assert program.returncode == 0, complaints.decode()
    reports = [json.loads(line) for line in output.splitlines()]
    return {report["feature"]: report.get("seen", report.get("error")) for report in reports}
