"""Service Bus clients from Azure's connection settings: a connection string or an identity."""

import functools
import ssl
from collections.abc import Mapping
from typing import Any, Protocol

import certifi
from azure.servicebus.aio import ServiceBusClient

from localcloud.functions.accounts import TRUSTED
from localcloud.functions.errors import StartRefused

_OPTIONS: dict[str, Any] = {
    "retry_total": 3,
    "retry_backoff_factor": 0.1,
    "retry_backoff_max": 2,
}


class _Closable(Protocol):
    async def close(self) -> None: ...


class Connections:
    """The clients of the app's connection settings, one each."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._clients: dict[str, ServiceBusClient] = {}
        self._credentials: list[_Closable] = []

    def client(self, name: str, *, function: str) -> ServiceBusClient:
        """The client for the connection setting `name`.

        `<name>` is a connection string; `<name>__fullyQualifiedNamespace` asks for an identity:
        azure-identity's default one, or the user-assigned one of `<name>__clientId`.
        StartRefused, naming `function`, when neither is set or the string cannot be read.
        """
        if name not in self._clients:
            self._clients[name] = self._open(name, function)
        return self._clients[name]

    def _open(self, name: str, function: str) -> ServiceBusClient:
        text = self._environ.get(name) or self._environ.get(f"AzureWebJobs{name}")
        if text:
            try:
                return ServiceBusClient.from_connection_string(
                    text, ssl_context=_trust(), **_OPTIONS
                )
            except ValueError as error:
                raise StartRefused(
                    f"function {function!r}: the setting {name!r} is no connection string: {error}"
                ) from error
        namespace = self._environ.get(f"{name}__fullyQualifiedNamespace")
        if not namespace:
            raise StartRefused(
                f"function {function!r}: neither the setting {name!r} nor"
                f" '{name}__fullyQualifiedNamespace' is set"
            )
        # Imported here: azure-identity is slow to load and most local apps do without it.
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

        identity = self._environ.get(f"{name}__clientId")
        credential = DefaultAzureCredential(managed_identity_client_id=identity)
        self._credentials.append(credential)
        context = _trust(self._environ.get(TRUSTED, ""))
        return ServiceBusClient(namespace, credential, ssl_context=context, **_OPTIONS)

    async def close(self) -> None:
        """Close every client and credential."""
        for closable in [*self._clients.values(), *self._credentials]:
            await closable.close()


@functools.cache
def _trust(file: str = "") -> ssl.SSLContext:
    """The certificates that the SDK trusts by itself, or those in `file`, read once: it would read
    them, 20 ms, for every connection, even for one without TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file or certifi.where())
    return context
