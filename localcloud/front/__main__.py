"""`python -m localcloud.front`: starts the doors of PostgreSQL and Valkey."""

import asyncio
import json
import logging
import signal
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import click
import uvloop

from localcloud.front import postgres, valkey
from localcloud.front.postgres import PostgresDoor, Principal
from localcloud.front.relay import Streams
from localcloud.front.valkey import ValkeyDoor
from localcloud.identity.directory import EMPLOYEES
from localcloud.process import bind, configure_logging, ready
from localcloud.servicebus.bearer import BearerTokens

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_CONNECT_WITHIN_S: Final = 5.0

log = logging.getLogger(__name__)

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@click.command(context_settings={"show_default": True, "max_content_width": 100})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option(
    "--postgres-port", default=5443, help="Port of PostgreSQL's door; 0 takes a free one."
)
@click.option("--valkey-port", default=6390, help="Port of Valkey's door; 0 takes a free one.")
@click.option("--postgres", "postgres_at", default="127.0.0.1:5433", help="The server behind it.")
@click.option("--valkey", "valkey_at", default="127.0.0.1:6380", help="The server behind it.")
@click.option("--certificate", type=_FILE, required=True, help="Certificate of both doors, in PEM.")
@click.option("--key", type=_FILE, required=True, help="Its key.")
@click.option(
    "--identity-url", required=True, help="Base address of the identity whose tokens open."
)
@click.option("--tenant", default=EMPLOYEES.id, help="Tenant of these tokens.")
@click.option(
    "--principals",
    envvar="LOCALCLOUD_FRONT_PRINCIPALS",
    show_envvar=True,
    default="{}",
    help='Who enters PostgreSQL as which role: {"role": {"object_id": …, "password": …}}.',
)
def main(  # noqa: PLR0917 - click passes one argument for each option
    host: str,
    postgres_port: int,
    valkey_port: int,
    postgres_at: str,
    valkey_at: str,
    certificate: Path,
    key: Path,
    identity_url: str,
    tenant: str,
    principals: str,
) -> None:
    """Let identities into PostgreSQL and Valkey by TLS and access tokens, as Azure does.

    PostgreSQL looks at the token when a connection is opened, Valkey ends a connection with its
    token unless AUTH showed it a newer one. Once they serve, one line READY {"postgres": ...,
    "valkey": ...} goes to standard output. SIGTERM ends them.
    """
    configure_logging("front")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    base = f"{identity_url.rstrip('/')}/{tenant}"
    trusted = partial(BearerTokens, f"{base}/discovery/v2.0/keys", f"{base}/v2.0")
    try:
        known = {role: Principal(**given) for role, given in json.loads(principals).items()}
    except (ValueError, TypeError, AttributeError) as fault:
        raise click.UsageError("--principals is no such JSON object") from fault
    databases = PostgresDoor(
        trusted(postgres.AUDIENCE), known, context, partial(_connected, postgres_at)
    )
    caches = ValkeyDoor(trusted(valkey.AUDIENCE), partial(_connected, valkey_at))
    try:
        uvloop.run(_serve(databases, caches, context, host, postgres_port, valkey_port))
    except OSError as fault:
        raise click.ClickException(f"cannot serve on {host}: {fault}") from fault


async def _serve(  # noqa: PLR0917 - called once
    databases: PostgresDoor,
    caches: ValkeyDoor,
    context: ssl.SSLContext,
    host: str,
    postgres_port: int,
    valkey_port: int,
) -> None:
    for_databases, for_caches = bind(host, postgres_port), bind(host, valkey_port)
    visitors: set[asyncio.Task[None]] = set()
    servers = [
        await asyncio.start_server(_noted(visitors, databases.serve), sock=for_databases),
        await asyncio.start_server(_noted(visitors, caches.serve), sock=for_caches, ssl=context),
    ]
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    ready(postgres=for_databases.getsockname()[1], valkey=for_caches.getsockname()[1])
    await stop.wait()
    for server in servers:
        server.close()
    for visitor in visitors:
        visitor.cancel()
    await asyncio.gather(*visitors, return_exceptions=True)


def _noted(visitors: set[asyncio.Task[None]], serve: Serve) -> Serve:
    """`serve`, with its task among the `visitors` meanwhile."""

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visitors.add(task)
        try:
            await serve(reader, writer)
        except Exception:
            log.exception("a connection failed")
        finally:
            visitors.discard(task)

    return noted


async def _connected(address: str) -> Streams:
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(_CONNECT_WITHIN_S):
        return await asyncio.open_connection(host, int(port))


if __name__ == "__main__":
    main()
