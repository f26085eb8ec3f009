"""Hands events to Azure Event Grid, in batches."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from shared import trust
from shared.outbox.channels import Outgoing

if TYPE_CHECKING:
    from azure.eventgrid.aio import EventGridPublisherClient

SEND_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
BATCH_MAX_BYTES = 900_000
"""Event Grid takes 1 MB per request, the brackets and commas of the list included."""


class EventGridSettings(Protocol):
    """The settings that name the topic; shared.config.Settings has them."""

    @property
    def platform_events_endpoint(self) -> str:
        """Where the topic takes events, as a URL."""
        ...

    @property
    def platform_events_key(self) -> SecretStr | None:
        """An access key of the topic; without it a managed identity publishes."""
        ...

    @property
    def trusted_ca_file(self) -> str | None:
        """Authorities to trust beside the public ones."""
        ...


class EventGridPublisher:
    """Publishes through one client per process, opened in the loop that first sends."""

    def __init__(self, settings: EventGridSettings) -> None:
        self._settings = settings
        self._client: EventGridPublisherClient | None = None
        self._credential: Any = None

    async def send(self, topic: str, events: Sequence[Outgoing]) -> None:  # noqa: ARG002 - a Sender
        """Publish in as few requests as the size limit allows; the endpoint is that of the topic.

        Raises azure.core.exceptions.AzureError or TimeoutError; events may then have been
        published.
        """
        if self._client is None:
            self._client = self._connected()
        async with asyncio.timeout(SEND_TIMEOUT_S):
            for batch in _batches(events):
                await self._client.send([json.loads(event.envelope) for event in batch])

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        client, self._client = self._client, None
        credential, self._credential = self._credential, None
        for open_thing in (client, credential):
            if open_thing is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSE_TIMEOUT_S):
                        await open_thing.close()

    def _connected(self) -> "EventGridPublisherClient":
        # Heavy imports: a process that never publishes does not pay for them.
        from azure.core.credentials import AzureKeyCredential  # noqa: PLC0415
        from azure.eventgrid.aio import EventGridPublisherClient  # noqa: PLC0415

        endpoint, key = self._settings.platform_events_endpoint, self._settings.platform_events_key
        if key is not None:
            credential: Any = AzureKeyCredential(key.get_secret_value())
        else:
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

            credential = self._credential = DefaultAzureCredential()
        # The relay tries again anyway; a long retry here would hold a database transaction open.
        trusted = trust.transport(self._settings.trusted_ca_file)
        return EventGridPublisherClient(endpoint, credential, retry_total=1, **trusted)


def _batches(events: Sequence[Outgoing]) -> list[list[Outgoing]]:
    batches: list[list[Outgoing]] = [[]]
    size = 0
    for event in events:
        more = len(event.envelope.encode()) + 2
        if batches[-1] and size + more > BATCH_MAX_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(event)
        size += more
    return batches
