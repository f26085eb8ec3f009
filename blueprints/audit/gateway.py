"""Where anchors are kept: blobs in a storage account that the database's owner need not reach."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import trust
from shared.problem import ServiceUnavailable

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

CONTAINER = "audit-anchors"
TIMEOUT_S = 5

_NAME = re.compile(r"(\d{4})/(\d{2})/(\d{2})\.json")


class AnchorsAway(ServiceUnavailable):
    """The storage of the anchors does not answer."""


class BlobAnchors:
    """Anchors as blobs `audit-anchors/yyyy/mm/dd.json`; one that is there is never replaced.

    The account by its connection string, or by its URL with the process's managed identity.
    """

    def __init__(
        self,
        *,
        connection: str | None = None,
        url: str | None = None,
        trusted_ca_file: str | None = None,
    ) -> None:
        if connection is None and url is None:
            raise ValueError("give AuditStorage or AuditStorage__blobServiceUri")
        self._connection, self._url = connection, url
        self._trusted = trusted_ca_file

    async def days(self) -> list[date]:
        """The days that have an anchor, oldest first. Raises AnchorsAway."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415

        try:
            async with self._container() as container:
                names = [name async for name in container.list_blob_names()]
        except ResourceNotFoundError:
            return []
        except AzureError as fault:
            raise AnchorsAway("the anchors cannot be read now") from fault
        return _days(names)

    async def read(self, days: list[date]) -> list[bytes]:
        """The anchors of these days. Raises AnchorsAway, also for a day that has none."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415

        turns = asyncio.Semaphore(16)

        async def one(container: "ContainerClient", day: date) -> bytes:
            async with turns:
                blob = await container.download_blob(_name(day))
                return await blob.readall()

        try:
            async with self._container() as container:
                return await asyncio.gather(*(one(container, day) for day in days))
        except AzureError as fault:
            raise AnchorsAway("the anchors cannot be read now") from fault

    async def add(self, day: date, anchor: bytes) -> bytes:
        """Keep the day's anchor unless there is one; what is kept. Raises AnchorsAway."""
        from azure.core.exceptions import (  # noqa: PLC0415
            AzureError,
            ResourceExistsError,
            ResourceNotFoundError,
        )

        try:
            async with self._container() as container:
                blob = container.get_blob_client(_name(day))
                try:
                    await blob.upload_blob(anchor, overwrite=False)
                except ResourceNotFoundError:
                    await container.create_container()
                    await blob.upload_blob(anchor, overwrite=False)
        except ResourceExistsError:
            return (await self.read([day]))[0]
        except AzureError as fault:
            raise AnchorsAway("the anchor cannot be kept now") from fault
        return anchor

    @contextlib.asynccontextmanager
    async def _container(self) -> AsyncIterator["ContainerClient"]:
        """A client of its own for each use: a timer that runs once a day keeps no connection."""
        # A third of a second to import, for what most processes never do.
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415

        patience: Any = {
            **trust.transport(self._trusted, connection_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S),
            "retry_total": 1,
            "initial_backoff": 0.2,
            "increment_base": 1,
            "random_jitter_range": 0.1,
        }
        if self._connection is not None:
            client = ContainerClient.from_connection_string(self._connection, CONTAINER, **patience)
            async with client:
                yield client
            return
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

        assert self._url is not None
        async with DefaultAzureCredential() as credential:
            client = ContainerClient(self._url, CONTAINER, credential=credential, **patience)
            async with client:
                yield client


class FolderAnchors:
    """Copies of the anchors in a folder, named like the blobs: to check without a network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def days(self) -> list[date]:
        """The days that have an anchor, oldest first."""
        files = self._folder.rglob("*.json")
        return _days([file.relative_to(self._folder).as_posix() for file in files])

    async def read(self, days: list[date]) -> list[bytes]:
        """The anchors of these days."""
        return [(self._folder / _name(day)).read_bytes() for day in days]


def _name(day: date) -> str:
    return f"{day:%Y/%m/%d}.json"


def _days(names: list[str]) -> list[date]:
    found = (_NAME.fullmatch(name) for name in names)
    return sorted(date(*map(int, match.groups())) for match in found if match)
