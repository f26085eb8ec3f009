"""`make chaos`: the whole crash matrix and the large storm; writes `docs/crash-matrix.md`."""

import asyncio
import secrets
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from localcloud.cloud import LocalCloud
from tests.chaos.matrix import ROUNDS, play
from tests.chaos.page import PAGE, Combination, page
from tests.chaos.scenes import PARKED, STEPS, Step
from tests.chaos.settings import PATIENT
from tests.chaos.storm import rage
from tests.rig.platform import Platform, opened


@click.command(context_settings={"show_default": True})
@click.option("--seed", type=int, help="Of the storm; by chance unless given.")
@click.option("--orders", default=200, help="In the storm.")
@click.option("--clients", default=8, help="Who place them.")
@click.option("--alone", is_flag=True, help="Play every combination by itself as well.")
def main(seed: int | None, orders: int, clients: int, *, alone: bool) -> None:
    """Kill every process at every step of every saga, then let a storm rage over many orders."""
    seed = secrets.randbelow(10**9) if seed is None else seed
    click.echo(f"seed {seed}")
    text = asyncio.run(_played(seed, orders, clients, alone=alone))
    PAGE.write_text(text)
    click.echo(text)
    click.echo(f"written to {PAGE}")


async def _played(seed: int, orders: int, clients: int, *, alone: bool) -> str:
    """The page about a run in which everything went well."""
    cloud = LocalCloud(
        Path(tempfile.mkdtemp(prefix="platform-")), port_base=0, settings=dict(PATIENT)
    )
    await asyncio.to_thread(cloud.start)
    try:
        async with opened(cloud) as platform:
            outcomes = await _matrix(platform, alone=alone)
            storm = await rage(platform, orders=orders, clients=clients, seed=seed, tell=click.echo)
    except BaseException:
        await asyncio.to_thread(cloud.stop)
        click.echo(f"the logs are in {cloud.state.path / 'logs'}", err=True)
        raise
    await asyncio.to_thread(cloud.erase)
    return page(outcomes, storm, datetime.now(UTC).date())


async def _matrix(platform: Platform, *, alone: bool) -> dict[Combination, str]:
    outcomes: dict[Combination, str] = {}
    for process, moment in ROUNDS:
        casts = [STEPS, *([step] for step in STEPS if alone)]
        for steps in casts:
            began = time.monotonic()
            await play(platform, process, moment, steps)
            who = steps[0].name if len(steps) == 1 else f"{len(steps)} steps"
            took_s = time.monotonic() - began
            click.echo(f"{process} killed {moment}: {who} ended right ({took_s:.1f} s)")
        outcomes |= {(step.name, process, moment): _outcome(step) for step in STEPS}
    return outcomes


def _outcome(step: Step) -> str:
    if step.ending is PARKED:
        return "stuck, then cancelled by an employee"
    return step.ending.status


if __name__ == "__main__":
    sys.exit(main())
