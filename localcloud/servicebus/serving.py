"""Runs the broker: opens its ports, and takes leave of everybody when it is asked to end."""

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from localcloud.process import bind, ready
from localcloud.servicebus.cbs import Bearers
from localcloud.servicebus.connection import Connection
from localcloud.servicebus.idleness import delete_idle_for_ever
from localcloud.servicebus.namespace import Namespace
from localcloud.servicebus.specs import QueueSpec, TopicSpec
from localcloud.servicebus.store import Store
from localcloud.servicebus.topology import Topology
from localcloud.servicebus.transport import Limits, Service, end_links, shut_down

if TYPE_CHECKING:
    from localcloud.servicebus.administration.endpoint import Endpoint

log = logging.getLogger(__name__)

DRAIN_S: Final = 1.0


@dataclass(frozen=True)
class Place:
    """Where the broker listens; the other ports than the first are only there when wanted."""

    host: str
    port: int
    tls_port: int | None
    admin_port: int | None
    certificate: Path
    tls_host: str


@dataclass(frozen=True)
class Trust:
    """Who may use the broker: holders of a key, or of a token that an identity provider gave."""

    keys: Mapping[str, str]
    jwks_url: str | None
    issuer: str | None
    audience: str

    def bearers(self) -> Bearers | None:
        """What checks the identity provider's tokens, if one is trusted."""
        if self.jwks_url is None or self.issuer is None:
            return None
        from localcloud.servicebus.bearer import BearerTokens  # noqa: PLC0415 - few need it loaded

        return BearerTokens(self.jwks_url, self.issuer, self.audience)


async def serve(topology: Topology, store: Store, trust: Trust, limits: Limits, at: Place) -> None:
    """Serve until SIGTERM or SIGINT, then take leave of the clients and write what is left.

    OSError when a port is taken.
    """
    loop = asyncio.get_running_loop()
    store.start()
    namespace = Namespace(store, topology)
    await namespace.start()
    service = Service(namespace, trust.keys, limits, trust.bearers())
    namespace.disconnect = partial(end_links, service)
    sweeping = asyncio.create_task(delete_idle_for_ever(namespace))
    listener = bind(at.host, at.port)
    connect = partial(Connection, service)
    servers = [await loop.create_server(connect, sock=listener)]
    facts = {"port": listener.getsockname()[1]}
    context = _tls(at)
    if at.tls_port is not None:
        listener = bind(at.tls_host, at.tls_port)
        servers.append(await loop.create_server(connect, sock=listener, ssl=context))
        facts["tls_port"] = listener.getsockname()[1]
    endpoint = None
    if at.admin_port is not None and context is not None:
        listener = bind(at.host, at.admin_port)
        endpoint, facts["admin_port"] = _administration(service, listener, context)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    queues, topics = (len(namespace.all(kind)) for kind in (QueueSpec, TopicSpec))
    log.info("%d queues and %d topics on port %d", queues, topics, facts["port"])
    ready(**facts)
    await stop.wait()
    sweeping.cancel()
    for server in servers:
        server.close()
    if endpoint is not None:
        await endpoint.close()
    if farewells := shut_down(service):
        await asyncio.wait(farewells, timeout=DRAIN_S)
    await store.close()


def _tls(at: Place) -> ssl.SSLContext | None:
    """What the ports that speak TLS do it with, if there are any."""
    if at.tls_port is None and at.admin_port is None:
        return None
    from localcloud.servicebus.certificate import server_context  # noqa: PLC0415 - see below

    return server_context(at.certificate, at.tls_host)


def _administration(
    service: Service, listener: socket.socket, context: ssl.SSLContext
) -> tuple["Endpoint", int]:
    """The administration API, and its port."""
    # Not loaded for a broker without the API: XML and HTTPS take half as much memory again.
    from localcloud.servicebus.administration.app import administration  # noqa: PLC0415
    from localcloud.servicebus.administration.endpoint import Endpoint  # noqa: PLC0415

    app = administration(service.namespace, service.gate)
    return Endpoint(app, listener, context), listener.getsockname()[1]
