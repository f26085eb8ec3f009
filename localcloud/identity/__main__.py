"""Starts the identity provider: `python -m localcloud.identity`."""

from pathlib import Path

import click
import uvloop

from localcloud.identity.app import create_app
from localcloud.identity.managed import LIFETIME_S
from localcloud.process import configure_logging, serve_asgi


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7080, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud"),
    show_default=True,
    help="Folder that keeps the signing keys.",
)
@click.option(
    "--public-url",
    default=None,
    help="Base of the issuers, when it is not the address listened on.",
)
@click.option(
    "--managed-token-lifetime",
    default=LIFETIME_S,
    show_default=True,
    type=click.IntRange(min=1),
    help="Seconds that a managed identity's tokens live.",
)
def main(
    host: str, port: int, state: Path, public_url: str | None, managed_token_lifetime: int
) -> None:
    """Play the employees' and the clients' Entra tenant on one address."""
    configure_logging("identity")
    app = create_app(state, public_url, managed_lifetime_s=managed_token_lifetime)
    uvloop.run(serve_asgi(app, host=host, port=port))


if __name__ == "__main__":
    main()
