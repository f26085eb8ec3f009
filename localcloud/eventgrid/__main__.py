"""`python -m localcloud.eventgrid`: starts Event Grid."""

import logging
import sqlite3
from pathlib import Path

import click
import uvloop

from localcloud.eventgrid.access import AUDIENCE, Access
from localcloud.eventgrid.app import Server, Setup
from localcloud.eventgrid.elements import SpecRefused
from localcloud.eventgrid.endpoints import Surroundings
from localcloud.eventgrid.keys import TopicKeys
from localcloud.eventgrid.pace import Pace
from localcloud.eventgrid.topology import load_topology
from localcloud.identity.directory import EMPLOYEES
from localcloud.pki import Certificate
from localcloud.process import configure_logging, serve_asgi
from localcloud.servicebus.bearer import BearerTokens

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"show_default": True, "max_content_width": 100})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=7081, help="TCP port; 0 takes a free one, see the READY line.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".localcloud/eventgrid"),
    help="Folder that keeps events, subscriptions made by the API, and keys.",
)
@click.option(
    "--topology",
    type=_FILE,
    default=Path("infra/eventgrid.topology.json"),
    help="Topics and event subscriptions, with ARM's property names.",
)
@click.option(
    "--keys-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The topics' keys, made when missing.  [default: STATE/keys.json]",
)
@click.option("--key-file", type=_FILE, help="File that holds the key1 of topics without keys.")
@click.option(
    "--key",
    envvar="LOCALCLOUD_EVENTGRID_KEY",
    show_envvar=True,
    help="The key1 of topics that have no keys yet, in base64.",
)
@click.option("--identity-url", help="Base address of the identity whose tokens are accepted too.")
@click.option("--tenant", default=EMPLOYEES.id, help="Tenant of these tokens.")
@click.option("--functions-url", help="Base address of the host of destinations AzureFunction.")
@click.option(
    "--functions-keys",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The host's file of keys; its system key opens the Event Grid webhook.",
)
@click.option(
    "--servicebus",
    envvar="LOCALCLOUD_EVENTGRID_SERVICEBUS",
    show_envvar=True,
    help="Connection string of the namespace of destinations ServiceBusQueue and -Topic.",
)
@click.option(
    "--storage",
    envvar="LOCALCLOUD_EVENTGRID_STORAGE",
    show_envvar=True,
    help="Connection string of the account of dead letters.",
)
@click.option(
    "--tls-port",
    type=int,
    help="Port over TLS, which clients with token credentials speak; 0 takes a free one.",
)
@click.option(
    "--certificate",
    type=_FILE,
    help="Certificate of that port; its key lies beside it, as `.key`.",
)
@click.option("--answer-within", default=30.0, help="Seconds that a webhook may take to answer.")
@click.option(
    "--time-scale",
    default=1.0,
    type=click.FloatRange(min=0, min_open=True),
    help="Factor of all of Azure's waits: of retries, lifetimes and dead letters.",
)
def main(  # noqa: PLR0917 - click passes one argument for each option
    host: str,
    port: int,
    state: Path,
    topology: Path,
    keys_file: Path | None,
    key_file: Path | None,
    key: str | None,
    identity_url: str | None,
    tenant: str,
    functions_url: str | None,
    functions_keys: Path | None,
    servicebus: str | None,
    storage: str | None,
    tls_port: int | None,
    certificate: Path | None,
    answer_within: float,
    time_scale: float,
) -> None:
    """Take events and deliver them as Azure Event Grid does, on this machine.

    Events are published to /<topic>/api/events, by a key of the topic, a signature made with one,
    or a token. They are kept until each subscription got them, or gave them up. Once it serves, one
    line READY {"port": ...} goes to standard output; the log goes to standard error. SIGTERM ends
    it cleanly, and SIGKILL loses nothing that was acknowledged.

    GET /overview shows topics and subscriptions, GET /dead-letters what was given up.
    """
    configure_logging("eventgrid")
    logging.getLogger("azure").setLevel(logging.ERROR)  # what fails is booked with its delivery
    state.mkdir(parents=True, exist_ok=True)
    around = Surroundings(functions_url, functions_keys, servicebus, storage, answer_within)
    try:
        first = key_file.read_text("utf-8").strip() if key_file is not None else key
        setup = Setup(
            state,
            load_topology(topology),
            TopicKeys(keys_file or state / "keys.json", first or None),
            Access(_tokens(identity_url, tenant)),
            around,
            Pace(time_scale),
        )
        uvloop.run(_serve(setup, host, port, tls_port, _tls(certificate, tls_port)))
    except (SpecRefused, sqlite3.DatabaseError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot serve on {host}:{port}: {error}") from error


def _tls(certificate: Path | None, port: int | None) -> Certificate | None:
    if (certificate is None) is not (port is None):
        raise click.UsageError("--tls-port and --certificate are given together")
    return (
        None if certificate is None else Certificate(certificate, certificate.with_suffix(".key"))
    )


async def _serve(
    setup: Setup, host: str, port: int, tls_port: int | None, tls: Certificate | None
) -> None:
    server = Server(setup)

    def facts(bound: int) -> dict[str, str]:
        server.base = f"http://{host}:{bound}"
        return {"topics": ",".join(topic.spec.name for topic in server.grid.topics())}

    server.base = f"http://{host}:{port}"
    await serve_asgi(
        server.app(), host=host, port=port, ready_facts=facts, tls=tls, tls_port=tls_port
    )


def _tokens(identity_url: str | None, tenant: str) -> BearerTokens | None:
    if identity_url is None:
        return None
    base = f"{identity_url.rstrip('/')}/{tenant}"
    return BearerTokens(f"{base}/discovery/v2.0/keys", f"{base}/v2.0", AUDIENCE)


if __name__ == "__main__":
    main()
