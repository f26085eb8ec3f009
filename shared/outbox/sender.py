"""Hands events to Azure Service Bus, one AMQP batch per topic."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from shared import telemetry, trust
from shared.outbox.channels import Outgoing

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.aio import ServiceBusClient
    from azure.servicebus.aio import ServiceBusSender as TopicSender

CONTENT_TYPE = "application/cloudevents+json"
SEND_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0

_log = telemetry.logger(__name__)


class Sender(Protocol):
    """Where events go."""

    async def send(self, topic: str, events: Sequence[Outgoing]) -> None:
        """Return once the broker has taken all of `events`, in order; raise if in any doubt."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class ServiceBusSettings(Protocol):
    """The settings that name the namespace; shared.config.Settings has them."""

    @property
    def service_bus_connection(self) -> SecretStr | None:
        """A connection string."""
        ...

    @property
    def service_bus_namespace(self) -> str | None:
        """A host name, to be used with a managed identity."""
        ...

    @property
    def service_bus_client_id(self) -> str | None:
        """Which managed identity, where there are several."""
        ...

    @property
    def trusted_ca_file(self) -> str | None:
        """Authorities to trust beside the public ones."""
        ...


class ServiceBusSender:
    """Sends through one client per process, with credentials by Azure's convention.

    A connection string if the settings have one, else the namespace with a managed identity. The
    SDK's senders are not safe to share between coroutines: sends to one topic follow one another.
    Senders whose outcome is in doubt are thrown away, not reused.
    """

    def __init__(self, settings: ServiceBusSettings) -> None:
        self._settings = settings
        self._client: ServiceBusClient | None = None
        self._credential: Any = None
        self._topics: dict[str, TopicSender] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(self, topic: str, events: Sequence[Outgoing]) -> None:
        """Send in as few batches as the broker's size limit allows.

        Raises azure.core.exceptions.AzureError or TimeoutError; events may then have been sent.
        """
        async with self._turns[topic]:
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    sender = self._topics.get(topic)
                    if sender is None:
                        sender = self._topics[topic] = self._open(topic)
                    await _send_in_batches(sender, [_message(event) for event in events])
            except BaseException:
                await self._discard(topic)
                raise

    async def close(self) -> None:
        """Close every connection; the next send opens new ones."""
        for topic in list(self._topics):
            await self._discard(topic)
        client, self._client = self._client, None
        credential, self._credential = self._credential, None
        for open_thing in (client, credential):
            if open_thing is not None:
                await _close_quietly(open_thing)

    def _open(self, topic: str) -> "TopicSender":
        if self._client is None:
            self._client = self._connected()
        return self._client.get_topic_sender(topic)

    def _connected(self) -> "ServiceBusClient":
        # Heavy imports: a process that never sends does not pay for them.
        from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415

        # The relay tries again anyway; a long retry here would hold a database transaction open.
        patience: dict[str, Any] = {"retry_total": 1, "retry_backoff_factor": 0.1}
        settings = self._settings
        if settings.service_bus_connection is not None:
            return ServiceBusClient.from_connection_string(
                settings.service_bus_connection.get_secret_value(), **patience
            )
        if settings.service_bus_namespace is None:
            raise RuntimeError(
                "set ServiceBusConnection or ServiceBusConnection__fullyQualifiedNamespace"
            )
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

        identity = settings.service_bus_client_id
        chosen = {"managed_identity_client_id": identity} if identity else {}
        self._credential = DefaultAzureCredential(**chosen)
        # Read once: the SDK would read them for every connection.
        trusted = trust.context(settings.trusted_ca_file)
        return ServiceBusClient(
            settings.service_bus_namespace, self._credential, ssl_context=trusted, **patience
        )

    async def _discard(self, topic: str) -> None:
        sender = self._topics.pop(topic, None)
        if sender is not None:
            await _close_quietly(sender)


def _message(event: Outgoing) -> "ServiceBusMessage":
    from azure.servicebus import ServiceBusMessage  # noqa: PLC0415 - heavy, see above

    return ServiceBusMessage(
        event.envelope,
        message_id=str(event.event_id),
        session_id=str(event.aggregate_id),
        subject=event.type,
        correlation_id=event.correlation_id,
        content_type=CONTENT_TYPE,
        application_properties={"type": event.type},
    )


async def _send_in_batches(sender: "TopicSender", messages: "Sequence[ServiceBusMessage]") -> None:
    from azure.servicebus.exceptions import MessageSizeExceededError  # noqa: PLC0415 - heavy

    batch = await sender.create_message_batch()
    for message in messages:
        try:
            batch.add_message(message)
        except MessageSizeExceededError:
            if not len(batch):
                raise
            await sender.send_messages(batch)
            batch = await sender.create_message_batch()
            batch.add_message(message)
    await sender.send_messages(batch)


async def _close_quietly(open_thing: Any) -> None:
    """Closing a broken link may fail or hang; what is closed here is not used again."""
    started = time.monotonic()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await open_thing.close()
            return
    _log.debug("a connection did not close within %.1f s", time.monotonic() - started)
