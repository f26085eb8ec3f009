"""How to run Azurite, how to reach it, and whether it answers."""

import http.client
from collections.abc import Mapping
from pathlib import Path

from localcloud.node import AZURITE, NODE
from localcloud.ports import HOST

PORTS = ("blob", "queue", "table")
"""The names of its ports, in the order in which it opens them."""

DEVELOPMENT = "UseDevelopmentStorage=true"
"""What stands for the well-known account below, on Azurite's default ports, in Azure's SDKs."""

ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# Published by Microsoft for every emulator: it protects nothing and is the same everywhere.

_PRELOAD = Path(__file__).with_name("preload.cjs")
_SMALL = ("--max-semi-space-size=1", "--optimize-for-size", "--lite-mode", "--v8-pool-size=1")
_KEEP_ALIVE_S = 75
"""Longer than clients keep an idle connection, so that it is never closed under a request."""

_TIMEOUT_S = 2.0


def command(folder: Path, ports: Mapping[str, int]) -> list[str]:
    """Azurite in the foreground, with its data in `folder`, on the loopback address alone."""
    options = [f"--location={folder}"]
    for name in PORTS:
        options += [f"--{name}Host={HOST}", f"--{name}Port={ports[name]}"]
        options += [f"--{name}KeepAliveTimeout={_KEEP_ALIVE_S}"]
    # The newest SDK asks for a version of the API that an emulator of the same month has not got.
    options += ["--skipApiVersionCheck", "--disableProductStyleUrl", "--disableTelemetry"]
    program = [str(NODE), *_SMALL, "--no-deprecation", f"--require={_PRELOAD}", str(AZURITE)]
    return [*program, "--silent", *options]


def endpoint(ports: Mapping[str, int], service: str) -> str:
    """Where the account's blobs, queues or tables are, without a trailing slash."""
    return f"http://{HOST}:{ports[service]}/{ACCOUNT}"


def connection_string(ports: Mapping[str, int]) -> str:
    """The account's connection string, as `AzureWebJobsStorage` wants it."""
    endpoints = "".join(f"{name.capitalize()}Endpoint={endpoint(ports, name)};" for name in PORTS)
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={_KEY};{endpoints}"


def probe(ports: Mapping[str, int]) -> None:
    """Returns when all three services answer as Azurite does; OSError when one does not."""
    for name in PORTS:
        _probe(ports[name])


def _probe(port: int) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
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
