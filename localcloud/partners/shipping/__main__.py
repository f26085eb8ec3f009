"""Starts the shipping provider: `python -m localcloud.partners.shipping`."""

from pathlib import Path

import click
import uvloop

from localcloud.partners import webhooks
from localcloud.partners.shipping.app import create_app
from localcloud.process import configure_logging, serve_asgi


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7092, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud"),
    show_default=True,
    help="Folder that keeps the register of parcels.",
)
@click.option(
    "--api-key",
    default="local-shipping-key",
    show_default=True,
    help="What callers must send as X-Api-Key.",
)
@webhooks.options
def main(
    host: str,
    port: int,
    state: Path,
    api_key: str,
    *,
    webhook_url: str,
    webhook_key: str,
    webhook_answered: bool,
) -> None:
    """Play a shipping provider: rates, bookings and cancellations."""
    configure_logging("shipping")
    subscription = webhooks.subscription(webhook_url, webhook_key, answered=webhook_answered)
    uvloop.run(serve_asgi(create_app(state, api_key, subscription), host=host, port=port))


if __name__ == "__main__":
    main()
