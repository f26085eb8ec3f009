"""`python -m localcloud.communication`: starts Communication Services."""

from pathlib import Path
from typing import Final

import click
import uvloop

from localcloud.communication.access import AUDIENCE, Access, BadKey
from localcloud.communication.app import Setup, create_app
from localcloud.communication.outcomes import described
from localcloud.pki import Certificate
from localcloud.process import configure_logging, serve_asgi
from localcloud.servicebus.bearer import BearerTokens

EMPLOYEES: Final = "11111111-1111-4111-8111-111111111111"
"""The tenant whose tokens a managed identity shows."""
_INDENTED: Final = described()


@click.command(
    context_settings={"show_default": True, "max_content_width": 100},
    epilog=f"\b\nWhat becomes of a message, by its address:\n{_INDENTED}",
)
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=7082, help="Port; 0 takes a free one, see the READY line.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud/communication"),
    help="Folder that keeps the messages.",
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the access key, in base64.",
)
@click.option(
    "--key",
    envvar="LOCALCLOUD_COMMUNICATION_KEY",
    show_envvar=True,
    help="The access key itself, in base64.",
)
@click.option(
    "--eventgrid-url",
    help="Where delivery reports are published. Without it they are only shown.",
)
@click.option(
    "--eventgrid-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the key of that Event Grid topic.",
)
@click.option(
    "--eventgrid-key",
    envvar="LOCALCLOUD_EVENTGRID_KEY",
    show_envvar=True,
    default="",
    help="The key of that Event Grid topic itself.",
)
@click.option("--identity-url", help="Base address of the identity whose tokens are accepted too.")
@click.option("--tenant", default=EMPLOYEES, help="Tenant of these tokens.")
@click.option(
    "--sender",
    "senders",
    multiple=True,
    default=("orders@shop.example", "+4915000000000"),
    help="A MailFrom address or a phone number of the resource; may be repeated.",
)
@click.option(
    "--tls-port",
    type=int,
    help="Port over TLS, which clients with token credentials speak; 0 takes a free one.",
)
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate of that port; its key lies beside it, as `.key`.",
)
@click.option(
    "--keep", default=50_000, type=click.IntRange(min=1), help="Messages to keep, the newest."
)
def main(  # noqa: PLR0917 - click passes one argument for each option
    host: str,
    port: int,
    state: Path,
    key_file: Path | None,
    key: str | None,
    eventgrid_url: str | None,
    eventgrid_key_file: Path | None,
    eventgrid_key: str,
    identity_url: str | None,
    tenant: str,
    senders: tuple[str, ...],
    tls_port: int | None,
    certificate: Path | None,
    keep: int,
) -> None:
    """Take email and SMS as Azure Communication Services does, show them, and report on delivery.

    The mailbox is the page at `/`. Once it serves, one line READY {"port": ...} goes to standard
    output. SIGTERM ends it cleanly, and SIGKILL loses nothing that was acknowledged.

    \b
    Clients are made with the endpoint http://127.0.0.1:7082 and the access key.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    configure_logging("communication")
    if key_file is not None:
        key = key_file.read_text().strip()
    if eventgrid_key_file is not None:
        eventgrid_key = eventgrid_key_file.read_text().strip()
    if not key:
        raise click.UsageError("give --key-file, --key or LOCALCLOUD_COMMUNICATION_KEY")
    try:
        access = Access([key], _tokens(identity_url, tenant))
    except BadKey as why:
        raise click.UsageError(str(why)) from None
    setup = Setup(state, access, senders, eventgrid_url, eventgrid_key, keep)
    if (certificate is None) is not (tls_port is None):
        raise click.UsageError("--tls-port and --certificate are given together")
    tls = None if certificate is None else Certificate(certificate, certificate.with_suffix(".key"))
    app = create_app(setup)
    uvloop.run(serve_asgi(app, host=host, port=port, tls=tls, tls_port=tls_port))


def _tokens(identity_url: str | None, tenant: str) -> BearerTokens | None:
    if identity_url is None:
        return None
    base = f"{identity_url.rstrip('/')}/{tenant}"
    return BearerTokens(f"{base}/discovery/v2.0/keys", f"{base}/v2.0", AUDIENCE)


if __name__ == "__main__":
    main()
