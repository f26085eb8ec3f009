"""`python -m localcloud.gateway`: starts the gateway."""

import asyncio
import contextlib
import socket
from pathlib import Path

import click
import uvloop

from localcloud.gateway.access_log import AccessLog
from localcloud.gateway.edition import Edition
from localcloud.gateway.front import Gateway
from localcloud.gateway.limits import SharedLimits
from localcloud.gateway.managed_identity import ManagedIdentityClient
from localcloud.gateway.named import addresses, parsed
from localcloud.gateway.policy import PolicyFault
from localcloud.gateway.server import serve
from localcloud.gateway.services import GatewayServices
from localcloud.gateway.upstream import Backends
from localcloud.gateway.watching import Snapshot, snapshot, watch
from localcloud.identity.directory import WORKLOADS
from localcloud.process import bind, configure_logging


@click.command(context_settings={"show_default": True, "max_content_width": 100})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--external-port", default=8080, help="Port of clients and partners; 0: a free one.")
@click.option("--internal-port", default=8081, help="Port of employees; 0 takes a free one.")
@click.option(
    "--apim",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("apim"),
    help="Folder of apis.json, policies and OpenAPI documents.",
)
@click.option("--functions-url", default="http://127.0.0.1:7071", help="The platform.")
@click.option("--notifier-url", default="http://127.0.0.1:7100", help="The notifier.")
@click.option("--identity-url", default="http://127.0.0.1:7080", help="Who issues the tokens.")
@click.option(
    "--redis-url",
    envvar="REDIS_URL",
    show_envvar=True,
    default="redis://127.0.0.1:6380/0",
    help="Where rate limits are kept; gateways that share it share the limits.",
)
@click.option(
    "--identity-endpoint",
    envvar="IDENTITY_ENDPOINT",
    show_envvar=True,
    help="Where the gateway's own tokens come from.  [default: IDENTITY_URL/msi/token]",
)
@click.option(
    "--identity-header",
    envvar="IDENTITY_HEADER",
    show_envvar=True,
    default=WORKLOADS["gateway"].header,
    help="What opens that endpoint.",
)
@click.option(
    "--admin-network",
    default="127.0.0.1-127.0.0.1",
    help="First and last address from which admin operations may be asked.",
)
@click.option("--named", multiple=True, help="name=value: a named value of the policies.")
def main(
    *,
    host: str,
    external_port: int,
    internal_port: int,
    apim: Path,
    functions_url: str,
    notifier_url: str,
    identity_url: str,
    redis_url: str,
    identity_endpoint: str | None,
    identity_header: str,
    admin_network: str,
    named: tuple[str, ...],
) -> None:
    """Execute the policies of Azure API Management on this machine.

    The folder's files are the ones that are deployed. A file that changes is read again; one that
    cannot be executed is named with its line, at the start as the reason to refuse it. Once it
    serves, one line READY {"port": ..., "internal_port": ...} goes to standard output.
    """
    configure_logging("gateway")
    try:
        values = addresses(functions_url, notifier_url, identity_url, admin_network)
        values |= parsed(named)
        seen = snapshot(apim)
        edition = Edition.load(apim, values)
    except (PolicyFault, ValueError) as fault:
        raise click.ClickException(str(fault)) from fault
    external, internal = _bound(host, external_port), _bound(host, internal_port)
    endpoint = identity_endpoint or f"{identity_url.rstrip('/')}/msi/token"

    async def run() -> None:
        async with Backends() as backends:
            limits = SharedLimits(redis_url)
            identity = ManagedIdentityClient(backends, endpoint, identity_header)
            services = GatewayServices(limits, backends, identity, edition.contract)
            gateway = Gateway(edition, services, AccessLog())
            try:
                await _served(gateway, (external, internal), (apim, values, seen))
            finally:
                gateway.log.flush()
                limits.close()

    uvloop.run(run())


async def _served(
    gateway: Gateway,
    ports: tuple[socket.socket, socket.socket],
    read: tuple[Path, dict[str, str], Snapshot],
) -> None:
    watching = asyncio.create_task(watch(*read, gateway.take))
    try:
        await serve(gateway, *ports)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def _bound(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as fault:
        raise click.ClickException(f"port {port} on {host} cannot be used: {fault}") from fault


if __name__ == "__main__":
    main()
