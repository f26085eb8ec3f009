"""How to run Azurite, how to reach it, and whether it answers."""

import http.client
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.node import AZURITE, NODE
from localcloud.ports import HOST

if TYPE_CHECKING:
    from localcloud.pki import Certificate

PORTS = ("blob", "queue", "table")
"""The names of its ports, in the order in which it opens them."""

DEVELOPMENT = "UseDevelopmentStorage=true"
"""What stands for the well-known account below, on Azurite's default ports, in Azure's SDKs."""

ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# Published by Microsoft for every emulator: it protects nothing and is the same everywhere.

ISSUER_SETTING = "LOCALCLOUD_AZURITE_ISSUER"

_PRELOAD = Path(__file__).with_name("preload.cjs")
_SMALL = ("--max-semi-space-size=1", "--optimize-for-size", "--lite-mode", "--v8-pool-size=1")
_KEEP_ALIVE_S = 75
"""Longer than clients keep an idle connection, so that it is never closed under a request."""

_TIMEOUT_S = 2.0


def command(folder: Path, ports: Mapping[str, int], tls: "Certificate | None" = None) -> list[str]:
    """Azurite in the foreground, with its data in `folder`, on the loopback address alone.

    With `tls` it speaks HTTPS and takes tokens: of the issuers whose names begin with
    `ISSUER_SETTING`, beside those of Azure. It looks at their audience and lifetime, not at their
    signature (azurite's README, "OAuth configuration").
    """
    options = [f"--location={folder}"]
    for name in PORTS:
        options += [f"--{name}Host={HOST}", f"--{name}Port={ports[name]}"]
        options += [f"--{name}KeepAliveTimeout={_KEEP_ALIVE_S}"]
    # The newest SDK asks for a version of the API that an emulator of the same month has not got.
    options += ["--skipApiVersionCheck", "--disableProductStyleUrl", "--disableTelemetry"]
    if tls is not None:
        options += [f"--cert={tls.file}", f"--key={tls.key}", "--oauth=basic"]
    program = [str(NODE), *_SMALL, "--no-deprecation", f"--require={_PRELOAD}", str(AZURITE)]
    return [*program, "--silent", *options]


def endpoint(ports: Mapping[str, int], service: str, scheme: str = "http") -> str:
    """Where the account's blobs, queues or tables are, without a trailing slash."""
    return f"{scheme}://{HOST}:{ports[service]}/{ACCOUNT}"


def connection_string(ports: Mapping[str, int], scheme: str = "http") -> str:
    """The account's connection string, as `AzureWebJobsStorage` wants it."""
    endpoints = "".join(
        f"{name.capitalize()}Endpoint={endpoint(ports, name, scheme)};" for name in PORTS
    )
    return f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={_KEY};{endpoints}"


def probe(ports: Mapping[str, int], trusted: Path | None = None) -> None:
    """Returns when all three services answer as Azurite does; OSError when one does not.

    Over HTTPS when the authority is given that is to be `trusted`.
    """
    for name in PORTS:
        _probe(ports[name], trusted)


def _probe(port: int, trusted: Path | None) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
    if trusted is not None:
        context = ssl.create_default_context(cafile=trusted)
        connection = http.client.HTTPSConnection(HOST, port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request("GET", f"/{ACCOUNT}?comp=list")
        answer = connection.getresponse()
        answer.read()
    except http.client.HTTPException as broken:
        raise OSError(f"no HTTP answer: {broken}") from broken
    finally:
        connection.close()
    # Without a signature it refuses, and that is an answer.
    if not (answer.getheader("Server") or "").startswith("Azurite"):
        raise OSError(f"port {port} answers, but it is not Azurite")
