"""`python -m localcloud.servicebus`: starts the broker."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import uvloop

from localcloud.process import configure_logging
from localcloud.servicebus.serving import Place, Trust, serve
from localcloud.servicebus.store import Store, StoreUnusable
from localcloud.servicebus.topology import TopologyError, load_topology
from localcloud.servicebus.transport import Limits

ROOT_KEY_NAME: Final = "RootManageSharedAccessKey"
STORE_FILE: Final = "servicebus.sqlite3"
MIB: Final = 1024 * 1024
CERTIFICATE_FILE: Final = "tls.pem"
AUDIENCE: Final = "https://servicebus.azure.net"


@click.command(context_settings={"show_default": True, "max_content_width": 100})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=5672, help="TCP port; 0 takes a free one, see the READY line.")
@click.option(
    "--topology",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("infra/servicebus.topology.json"),
    help="Queues and topics, in the shape of the Service Bus emulator's Config.json.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud/servicebus"),
    help="Folder that keeps the messages.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="NAME=VALUE",
    help="A shared access key that clients may sign with; may be repeated.",
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File that holds the value of {ROOT_KEY_NAME}.",
)
@click.option(
    "--root-key",
    envvar="LOCALCLOUD_SERVICEBUS_KEY",
    show_envvar=True,
    hidden=True,
    help=f"Value of {ROOT_KEY_NAME}.",
)
@click.option(
    "--tls-port",
    type=int,
    help="Port for AMQP over TLS, which clients with token credentials speak; 0 takes a free one.",
)
@click.option("--tls-host", help="Address of that port.  [default: --host]")
@click.option(
    "--admin-port",
    type=int,
    help="Port of the administration API over HTTPS; 0 takes a free one. Without it there is none.",
)
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Certificate of the ports that speak TLS, made when missing.  [default: STATE/tls.pem]",
)
@click.option("--jwks-url", help="Keys of an identity provider whose tokens are accepted too.")
@click.option("--token-issuer", help="Issuer of these tokens; required with --jwks-url.")
@click.option("--token-audience", default=AUDIENCE, help="Audience of these tokens.")
@click.option(
    "--max-message-kb", default=256, help="Largest message or batch, 256 KB as in Azure Standard."
)
@click.option("--max-store-mb", default=2048, help="Size of the store beyond which sends fail.")
@click.option("--idle-timeout", default=240.0, help="Seconds of silence that clients may keep.")
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
)
def main(  # noqa: PLR0917 - click passes one argument for each option
    host: str,
    port: int,
    topology: Path,
    state: Path,
    keys: tuple[str, ...],
    key_file: Path | None,
    root_key: str | None,
    tls_port: int | None,
    tls_host: str | None,
    admin_port: int | None,
    certificate: Path | None,
    jwks_url: str | None,
    token_issuer: str | None,
    token_audience: str,
    max_message_kb: int,
    max_store_mb: int,
    idle_timeout: float,
    log_level: str,
) -> None:
    """Serve Azure Service Bus queues, topics and subscriptions over AMQP 1.0, on this machine.

    Once it serves, one line READY {"port": ...} goes to standard output; the log goes to standard
    error. SIGTERM ends it cleanly, and SIGKILL loses nothing that was acknowledged.

    \b
    Clients use a connection string such as
      Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=RootManageSharedAccessKey;
      SharedAccessKey=<key>;UseDevelopmentEmulator=true;

    At least one key must be given: --key, --key-file, or the environment variable
    LOCALCLOUD_SERVICEBUS_KEY, which holds the value of RootManageSharedAccessKey.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    configure_logging("servicebus", log_level.upper())
    accepted = _read_keys(keys, key_file, root_key)
    if (jwks_url is None) is not (token_issuer is None):
        raise click.UsageError("--jwks-url and --token-issuer are given together")
    trust = Trust(accepted, jwks_url, token_issuer, token_audience)
    kept = certificate or state / CERTIFICATE_FILE
    at = Place(host, port, tls_port, admin_port, kept, tls_host or host)
    limits = Limits(max_message_bytes=max_message_kb * 1024, idle_timeout_s=idle_timeout)
    try:
        entities = load_topology(topology)
        store = Store(state / STORE_FILE, max_store_mb * MIB)
        uvloop.run(serve(entities, store, trust, limits, at))
    except (TopologyError, StoreUnusable) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        ports = [str(number) for number in (port, tls_port, admin_port) if number is not None]
        where = f"{host}:{' or '.join(ports)}"
        raise click.ClickException(f"cannot listen on {where}: {error.strerror}") from error


def _read_keys(keys: Sequence[str], key_file: Path | None, root_key: str | None) -> dict[str, str]:
    accepted = {}
    for entry in keys:
        name, _, value = entry.partition("=")
        if not name or not value:
            raise click.BadParameter("must be NAME=VALUE", param_hint="--key")
        accepted[name] = value
    if key_file is not None:
        root_key = key_file.read_text(encoding="utf-8").strip()
    if root_key:
        accepted[ROOT_KEY_NAME] = root_key
    if not accepted:
        raise click.UsageError(
            "no key: give --key-file, --key, or the variable LOCALCLOUD_SERVICEBUS_KEY"
        )
    return accepted


if __name__ == "__main__":
    sys.exit(main())
