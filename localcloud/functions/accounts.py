"""Storage accounts from Azure's connection settings: the clients of their queues and blobs."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from localcloud.functions.errors import StartRefused
from localcloud.storage import azurite

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient
    from azure.storage.queue.aio import QueueServiceClient

TRUSTED = "LOCALCLOUD_TRUSTED_CA_FILE"
"""The setting that names whom the host trusts where it shows tokens, instead of the public ones."""
HOST_ACCOUNT = "AzureWebJobsStorage"
"""The account of the host itself, and of every binding that names no other."""

# The SDK's own first pause is 15 s: a server that is started again is back long before.
_OPTIONS: dict[str, Any] = {
    "retry_total": 3,
    "initial_backoff": 0.2,
    "increment_base": 0.5,
    "random_jitter_range": 0,
}


class _Closable(Protocol):
    async def close(self) -> None: ...


class Accounts:
    """The clients of the app's storage connections, one of each kind."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._queues: dict[str, QueueServiceClient] = {}
        self._blobs: dict[str, BlobServiceClient] = {}
        self._credentials: list[_Closable] = []

    def queues(self, connection: str, *, function: str) -> "QueueServiceClient":
        """The queues of the account that the setting `connection` leads to.

        A connection string, or with an identity `<connection>__queueServiceUri` or
        `<connection>__accountName`. StartRefused, naming `function`, when none of them is set or
        the string cannot be read.
        """
        # Imported here, and below: apps without storage bindings do without the SDK.
        from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415

        name = connection or HOST_ACCOUNT
        if name not in self._queues:
            self._queues[name] = self._opened(QueueServiceClient, name, "queue", function)
        return self._queues[name]

    def blobs(self, connection: str, *, function: str) -> "BlobServiceClient":
        """The same for blobs; the setting with an identity is `<connection>__blobServiceUri`."""
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415

        name = connection or HOST_ACCOUNT
        if name not in self._blobs:
            self._blobs[name] = self._opened(BlobServiceClient, name, "blob", function)
        return self._blobs[name]

    def want_an_emulator(self, connections: Iterable[str]) -> bool:
        """Whether one of `connections` leads to the emulator, or nowhere as yet."""
        return any(
            not self._is_set(name) or self._text(name) == azurite.DEVELOPMENT
            for name in (connection or HOST_ACCOUNT for connection in connections)
        )

    def _text(self, name: str) -> str:
        for key in (name, f"AzureWebJobs{name}", f"ConnectionStrings__{name}"):
            if value := self._environ.get(key):
                return value.strip().rstrip(";")
        return ""

    def _is_set(self, name: str) -> bool:
        return bool(
            self._text(name)
            or any(key.startswith(f"{name}__") and value for key, value in self._environ.items())
        )

    def _opened(self, kind: Any, name: str, service: str, function: str) -> Any:
        if text := self._text(name):
            try:
                return kind.from_connection_string(text, **_OPTIONS)
            except ValueError as error:
                raise StartRefused(
                    f"function {function!r}: the setting {name!r} is no connection string: {error}"
                ) from error
        uri = self._environ.get(f"{name}__{service}ServiceUri")
        account = self._environ.get(f"{name}__accountName")
        if not uri and account:
            uri = f"https://{account}.{service}.core.windows.net"
        if not uri:
            raise StartRefused(
                f"function {function!r}: neither the setting {name!r} nor"
                f" '{name}__{service}ServiceUri' is set"
            )
        # azure-identity is slow to load and most local apps do without it.
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

        identity = self._environ.get(f"{name}__clientId")
        credential = DefaultAzureCredential(managed_identity_client_id=identity)
        self._credentials.append(credential)
        trusted = self._environ.get(TRUSTED) or True
        return kind(uri, credential=credential, connection_verify=trusted, **_OPTIONS)

    async def close(self) -> None:
        """Close every client and credential."""
        clients: list[_Closable] = [*self._queues.values(), *self._blobs.values()]
        await asyncio.gather(*(client.close() for client in clients))
        await asyncio.gather(*(credential.close() for credential in self._credentials))
