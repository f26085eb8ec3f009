"""Starts the identity provider: `python -m localcloud.identity`; with `rotate-keys` new keys."""

from pathlib import Path

import click
import httpx
import uvloop

from localcloud.identity.app import create_app
from localcloud.identity.managed import LIFETIME_S
from localcloud.identity.redirects import BadRedirectUri
from localcloud.identity.tokens import LIFETIME_S as TOKEN_LIFETIME_S
from localcloud.process import configure_logging, serve_asgi


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7080, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud"),
    show_default=True,
    help="Folder that keeps keys, sessions and registered people.",
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
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="CLIENT_ID=URI",
    help="One more address that an application may be sent back to; can be given repeatedly.",
)
@click.pass_context
def main(
    context: click.Context,
    *,
    host: str,
    port: int,
    state: Path,
    public_url: str | None,
    managed_token_lifetime: int,
    redirect_uris: tuple[str, ...],
) -> None:
    """Play the employees' and the clients' Entra tenant on one address."""
    if context.invoked_subcommand is not None:
        return
    configure_logging("identity")
    try:
        app = create_app(
            state,
            public_url,
            managed_lifetime_s=managed_token_lifetime,
            redirect_uris=redirect_uris,
        )
    except BadRedirectUri as bad:
        raise click.BadParameter(str(bad), param_hint="--redirect-uri") from None
    uvloop.run(serve_asgi(app, host=host, port=port))


@main.command("rotate-keys")
@click.option("--url", default="http://127.0.0.1:7080", show_default=True, help="Where it runs.")
@click.option(
    "--tenant", type=click.Choice(["employees", "clients"]), help="One tenant; both by default."
)
@click.option(
    "--sign-after",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds until the new key signs; it is published at once.",
)
@click.option(
    "--retire-after",
    default=float(TOKEN_LIFETIME_S),
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that the old keys stay published after that; 0 voids every older token.",
)
def rotate_keys(url: str, tenant: str | None, sign_after: float, retire_after: float) -> None:
    """Let new keys sign in the identity provider that runs at URL."""
    order = {"tenant": tenant, "sign_after_s": sign_after, "retire_after_s": retire_after}
    try:
        answer = httpx.post(
            f"{url.rstrip('/')}/control/keys/rotate", json=order, timeout=30, trust_env=False
        ).raise_for_status()
    except httpx.HTTPError as failure:
        raise click.ClickException(f"{url} did not rotate its keys: {failure}") from None
    for tenant_keys in answer.json()["keys"]:
        click.echo(f"{tenant_keys['tenant']}: {tenant_keys['kid']}")


if __name__ == "__main__":
    main()
