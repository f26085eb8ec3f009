"""Starts the payment gateway: `python -m localcloud.partners.payment`."""

from pathlib import Path

import click
import uvloop

from localcloud.partners import webhooks
from localcloud.partners.payment.app import create_app
from localcloud.process import configure_logging, serve_asgi


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7091, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud"),
    show_default=True,
    help="Folder that keeps the book of payments.",
)
@click.option(
    "--identity",
    default="http://127.0.0.1:7080",
    show_default=True,
    help="Base address of the identity provider whose tokens count.",
)
@webhooks.options
def main(
    host: str,
    port: int,
    state: Path,
    identity: str,
    *,
    webhook_url: str,
    webhook_key: str,
    webhook_answered: bool,
) -> None:
    """Play a payment gateway: authorise, capture, void and refund with test payment methods."""
    configure_logging("payment")
    subscription = webhooks.subscription(webhook_url, webhook_key, answered=webhook_answered)
    uvloop.run(serve_asgi(create_app(state, identity, subscription), host=host, port=port))


if __name__ == "__main__":
    main()
