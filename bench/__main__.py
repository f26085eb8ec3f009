"""`make bench`: the platform's speed on the local cloud, in one run, beside the machine's load."""

import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bench import audit, broker, durable_turns, gateway, http_path, imports, machine, notifier
from bench.confirmed import confirmed
from bench.live import live
from bench.placing import placing
from bench.report import show
from bench.target import Target, prepared
from localcloud.cloud import LocalCloud

RESULTS = Path(__file__).resolve().parent / "results"
SAGA_OFF = {
    "AzureWebJobs.on_order_event.Disabled": "true",
    "AzureWebJobs.on_payment_event.Disabled": "true",
    "AzureWebJobs.on_event_to_notify.Disabled": "true",
    "AzureWebJobs.on_audited_event.Disabled": "true",
}
"""Application settings that keep all from starting that follows from an order, so that placing is
measured alone."""
PROCESS_COUNT = "FUNCTIONS_WORKER_PROCESS_COUNT"
SETTLE_S, IDLE_S = 5.0, 20.0
"""How long a started cloud is left alone, then watched while nobody asks anything of it."""


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


async def telling(cloud: LocalCloud) -> dict[str, Any]:
    async with prepared(cloud) as target:
        return await live(target, cloud)


async def confirming(cloud: LocalCloud, seconds: float) -> dict[str, Any]:
    async with prepared(cloud) as target:
        return await confirmed(target, cloud, seconds)


async def answering(cloud: LocalCloud, seconds: float) -> dict[str, Any]:
    """Reads, and placing without sagas, in one process as the floor is."""
    async with prepared(cloud) as target:
        return await reads(target, seconds) | await placing(target, cloud, seconds)


def whole_cloud(seconds: float, processes: int) -> dict[str, Any]:
    """The figures of a local cloud of its own on free ports."""
    # The folder itself is the state: the database's own user could not enter one inside of it.
    state = Path(tempfile.mkdtemp(prefix="bench-"))
    cloud = LocalCloud(state, port_base=0, settings={"PG_POOL_MAX": "16", "USER_LIMIT_CLIENT": "0"})
    began = time.monotonic()
    cloud.start()
    try:
        started_s = time.monotonic() - began
        pids = [part.process.pid for part in cloud.record().parts if part.process]
        time.sleep(SETTLE_S)
        idle = machine.memory_mib(pids) | {"cores": machine.idle_cores(pids, IDLE_S)}
        told = asyncio.run(telling(cloud))
        restart(cloud, {PROCESS_COUNT: str(processes)})
        results = {"confirmed": asyncio.run(confirming(cloud, seconds * 2))}
        results["confirmed"]["processes"] = processes
        restart(cloud, {PROCESS_COUNT: "1"} | SAGA_OFF)
        results |= asyncio.run(answering(cloud, seconds))
        cold = imports.import_seconds(cloud.environment)
    finally:
        cloud.erase()
    return {
        "results": results,
        "live": told,
        "import_function_app": cold,
        "local_cloud": {"started_s": round(started_s, 1)} | idle,
    }


def restart(cloud: LocalCloud, settings: Mapping[str, str]) -> None:
    """The Functions host again, with other application settings."""
    cloud.settings |= settings
    cloud.stop_part("functions")
    cloud.start_part("functions")


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Length of each measurement.")
@click.option(
    "--processes",
    default=2,
    show_default=True,
    help="Processes of the Functions host while orders are confirmed; one for everything else.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Where to write the JSON; default: bench/results/<time>.json",
)
def main(seconds: float, processes: int, out: Path | None) -> None:
    """Start a local cloud of its own on free ports, measure, print a table, write JSON.

    Takes about nine minutes. Numbers of a busy machine are worth little: the load is printed
    beside them, and ratios within one run are worth more than rates.
    """
    before = machine.state()
    report: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"before": before},
    }
    report |= whole_cloud(seconds, processes)
    report |= {
        "http_path": http_path.compare(rounds=5, seconds=seconds / 4, clients=8),
        "broker": broker.measure(seconds / 2),
        "fan_out_1000_s": asyncio.run(durable_turns.thousand_at_once()),
        "notifier": notifier.measure(),
        "gateway": gateway.measure(),
        "audit": audit.measure(seconds),
    }
    report["machine"]["after"] = machine.state()
    show(report)
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ.json")
    file = out or RESULTS / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n")
    click.echo(f"\nwritten to {file}")


if __name__ == "__main__":
    main()
