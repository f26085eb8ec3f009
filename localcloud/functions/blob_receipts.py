"""Blob receipts: which versions of which blobs a function was given already.

They lie in the container `azure-webjobs-hosts`, as Azure's do: "To force reprocessing of a blob,
delete the blob receipt for that blob from the azure-webjobs-hosts container manually."
"""

import contextlib
import hashlib
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient

CONTAINER = "azure-webjobs-hosts"
_COMPLETED = {"Completed": "True"}
_LONGEST_ID = 32


def host_id(script_root: Path, environ: Mapping[str, str]) -> str:
    """What tells this app from others that share the storage account: as Azure has it locally, of
    the machine and the app's folder, unless a setting says otherwise.
    """
    stated = environ.get("AzureFunctionsWebHost__hostid")
    if stated:
        return stated.lower()[:_LONGEST_ID]
    where = hashlib.blake2b(str(script_root).encode(), digest_size=6).hexdigest()
    machine = re.sub(r"[^a-z0-9]+", "", platform.node().lower())
    return f"{machine[: _LONGEST_ID - len(where) - 1]}-{where}".strip("-")


class Receipts:
    """The receipts of one function."""

    def __init__(self, service: "BlobServiceClient", host: str, function_id: str) -> None:
        self._container = service.get_container_client(CONTAINER)
        self._prefix = f"blobreceipts/{host}/{function_id}/"

    async def all(self) -> set[str]:
        """What each receipt is for, as `key` tells it; makes the container when it is missing."""
        try:
            names = self._container.list_blob_names(name_starts_with=self._prefix)
            return {name.removeprefix(self._prefix) async for name in names}
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):
                await self._container.create_container()
            return set()

    async def write(self, key: str) -> None:
        """Note that the function was given this version."""
        await self._container.upload_blob(
            self._prefix + key, b"", overwrite=True, metadata=_COMPLETED
        )


def key(container: str, name: str, etag: str) -> str:
    """A version of a blob. The ETag stands before the name, which may hold slashes."""
    return f"{etag}/{container}/{name}"
