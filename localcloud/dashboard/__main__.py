"""Starts the dashboard: `python -m localcloud.dashboard`."""

import asyncio
import ipaddress
import logging
from pathlib import Path

import click

from localcloud import environment
from localcloud.dashboard.addresses import find
from localcloud.dashboard.app import create_app
from localcloud.dashboard.hub import TaskHub
from localcloud.dashboard.surroundings import ROOT, look
from localcloud.process import configure_logging, serve_asgi
from localcloud.state import StateFolder


def _loopback(_context: click.Context, _option: click.Parameter, host: str) -> str:
    try:
        if ipaddress.IPv4Address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise click.BadParameter(f"{host} is not an address of this machine alone, such as 127.0.0.1")


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=_loopback,
    help="Loopback address to listen on.",
)
@click.option("--port", default=8090, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / ".localcloud",
    envvar="LOCALCLOUD_STATE",
    show_default=".localcloud in the project",
    help="State folder of the local cloud to look at.",
)
@click.option(
    "--durable-url",
    envvar="LOCALCLOUD_DURABLE_PG_URL",
    show_envvar=True,
    show_default="that of the running local cloud",
    help="PostgreSQL database of the Durable back end.",
)
def main(host: str, port: int, state: Path, durable_url: str | None) -> None:
    """Show what runs in a local cloud and what its orchestrations do. Changes nothing."""
    configure_logging("dashboard")
    logging.getLogger("azure").setLevel(logging.WARNING)  # it tells of every state of every link
    folder = StateFolder(state)
    hub = TaskHub(durable_url or _durable_url(folder))
    app = create_app(hub, lambda: look(folder), lambda: find(folder))
    asyncio.run(serve_asgi(app, host=host, port=port))


def _durable_url(folder: StateFolder) -> str:
    record = folder.running()
    if record is None:
        raise click.UsageError(f"no local cloud runs on {folder.path}: start it, or --durable-url")
    return environment.database_url(record.ports, "durable", folder.secrets().durable)


if __name__ == "__main__":
    main()
