"""Starts the ERP: `python -m localcloud.partners.erp`."""

from pathlib import Path

import click
import uvloop

from localcloud.partners.erp.app import create_app
from localcloud.process import configure_logging, serve_asgi


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7090, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud"),
    show_default=True,
    help="Folder that keeps master data and stock.",
)
def main(host: str, port: int, state: Path) -> None:
    """Play an ERP that lists products and stock over SOAP."""
    configure_logging("erp")
    uvloop.run(serve_asgi(create_app(state), host=host, port=port))


if __name__ == "__main__":
    main()
