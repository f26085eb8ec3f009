"""`make bench`: the platform's speed on the local cloud, in one run, beside the machine's load."""

import asyncio
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bench import imports, machine
from bench.confirmed import confirmed
from bench.placing import placing
from bench.report import show
from bench.target import Target, prepared
from localcloud.cloud import LocalCloud

RESULTS = Path(__file__).resolve().parent / "results"
SAGA_OFF = {
    "AzureWebJobs.on_order_event.Disabled": "true",
    "AzureWebJobs.on_payment_event.Disabled": "true",
}
"""Application settings that keep sagas from starting, so that placing is measured alone."""


async def reads(target: Target, seconds: float) -> dict[str, Any]:
    """List, get and search, 8 clients each."""
    return {
        name: (await target.loop(request, clients=8, seconds=seconds)).as_json()
        for name, request in (
            ("product_list", target.list_products),
            ("product_get", target.get_product),
            ("product_search", target.search_products),
            ("order_get", target.get_order),
        )
    }


async def measure(cloud: LocalCloud, seconds: float) -> dict[str, Any]:
    results: dict[str, Any] = {}
    async with prepared(cloud) as target:
        results |= await reads(target, seconds)
        results["confirmed"] = await confirmed(target, cloud, seconds * 2)
        cloud.settings |= SAGA_OFF
        await asyncio.to_thread(cloud.stop_part, "functions")
        await asyncio.to_thread(cloud.start_part, "functions")
        results |= await placing(target, cloud, seconds)
    return results


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Length of each measurement.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Where to write the JSON; default: bench/results/<time>.json",
)
def main(seconds: float, out: Path | None) -> None:
    """Start a local cloud of its own on free ports, measure, print a table, write JSON.

    Takes about two minutes. Numbers of a busy machine are worth little: the load is printed beside
    them, and ratios within one run are worth more than rates.
    """
    before = machine.state()
    # The folder itself is the state: the database's own user could not enter one inside of it.
    state = Path(tempfile.mkdtemp(prefix="bench-"))
    cloud = LocalCloud(state, port_base=0, settings={"PG_POOL_MAX": "16"})
    began = time.monotonic()
    cloud.start()
    try:
        started_s = time.monotonic() - began
        idle = machine.memory_mib(
            [part.process.pid for part in cloud.record().parts if part.process]
        )
        results = asyncio.run(measure(cloud, seconds))
        settings = cloud.environment
    finally:
        cloud.erase()
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"before": before, "after": machine.state()},
        "import_function_app": imports.import_seconds(settings),
        "local_cloud": {"started_s": round(started_s, 1), "memory_mib": idle},
        "results": results,
    }
    show(report)
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ.json")
    file = out or RESULTS / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n")
    click.echo(f"\nwritten to {file}")


if __name__ == "__main__":
    main()
