"""Deliveries to Service Bus, through its SDK: each event is a message."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusConnectionError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
)

from localcloud.eventgrid.destinations import QUEUE
from localcloud.eventgrid.events import CLOUD
from localcloud.eventgrid.pace import DELIVERED, Outcome
from localcloud.eventgrid.parcels import Parcel, chosen_properties, properties_of
from localcloud.eventgrid.specs import SubscriptionSpec

SEND_WITHIN_S: Final = 30.0
_FIELDS: Final = {
    "messageid": "message_id",
    "partitionkey": "partition_key",
    "sessionid": "session_id",
    "correlationid": "correlation_id",
    "label": "subject",
    "replyto": "reply_to",
    "replytosessionid": "reply_to_session_id",
    "to": "to",
}
"""Delivery attributes that are properties of the message itself; others are custom ones."""
_OUTCOMES: Final = (
    (MessagingEntityNotFoundError, "NotFound", 300.0),
    (MessagingEntityDisabledError, "Disabled", 300.0),
    (ServiceBusAuthenticationError, "Unauthorized", 300.0),
    (ServiceBusAuthorizationError, "Unauthorized", 300.0),
    (ServiceBusQuotaExceededError, "Full", 10.0),
    (ServiceBusServerBusyError, "Busy", 30.0),
    (OperationTimeoutError, "TimedOut", 10.0),
    (ServiceBusConnectionError, "SocketError", 10.0),
)
_NO_SESSION: Final = "The SessionId was not set"
"""How the broker's error begins; the SDK has no class of its own for it."""
_TOO_LARGE: Final = "UndeliverableDueToHttpRequestEntityTooLarge"


class Bus:
    """The namespace, connected to when the first event goes there."""

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string
        self._client: ServiceBusClient | None = None

    def sender(self, kind: str, name: str) -> ServiceBusSender:
        """A new sender to a queue or topic."""
        if self._client is None:
            self._client = ServiceBusClient.from_connection_string(
                self._connection_string, retry_total=0
            )
        if kind == QUEUE:
            return self._client.get_queue_sender(name)
        return self._client.get_topic_sender(name)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class BusSender:
    """Delivers to one subscription's queue or topic."""

    slots = 1
    """The SDK's sender is for one send at a time."""
    max_events = 100
    max_bytes = 150_000

    def __init__(self, spec: SubscriptionSpec, bus: Bus) -> None:
        self._spec, self._bus = spec, bus
        self._sender: ServiceBusSender | None = None

    async def send(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """The outcome of each. What cannot travel together is sent one by one."""
        together = await self._try([self._message(parcel) for parcel in parcels])
        if together.ok or len(parcels) == 1:
            return [together] * len(parcels)
        if together.reason is None and together.name != "Rejected":
            return [together] * len(parcels)
        return [await self._try([self._message(parcel)]) for parcel in parcels]

    async def _try(self, messages: list[ServiceBusMessage]) -> Outcome:
        try:
            if self._sender is None:
                destination = self._spec.destination
                self._sender = self._bus.sender(destination.kind, destination.name)
            async with asyncio.timeout(SEND_WITHIN_S):
                await self._sender.send_messages(messages)
        except TimeoutError:
            await self._let_go()
            return Outcome(ok=False, name="TimedOut", detail="no answer in time", at_least_s=10)
        except (ServiceBusError, ValueError, OSError) as error:
            await self._let_go()
            return _outcome(error)
        return DELIVERED

    async def _let_go(self) -> None:
        """A sender that failed may never work again, so the next attempt opens another."""
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    def _message(self, parcel: Parcel) -> ServiceBusMessage:
        spec = self._spec
        content_type = "application/json; charset=utf-8"
        if spec.schema == CLOUD:
            content_type = "application/cloudevents+json; charset=utf-8"
        fields: dict[str, Any] = {"message_id": parcel.guid}
        custom: dict[str | bytes, Any] = {}
        custom.update(properties_of(spec, parcel).items())
        for name, value in chosen_properties(spec.destination.attributes, parcel.event).items():
            if field := _FIELDS.get(name.lower()):
                fields[field] = str(value)
            else:
                custom[name] = value
        if "session_id" in fields:
            fields.pop("partition_key", None)
        return ServiceBusMessage(
            parcel.text, content_type=content_type, application_properties=custom, **fields
        )


def _outcome(error: Exception) -> Outcome:
    detail = f"{type(error).__name__}: {error}"[:200]
    if isinstance(error, MessageSizeExceededError):
        return Outcome(ok=False, name="PayloadTooLarge", detail=detail, reason=_TOO_LARGE)
    for kind, name, at_least_s in _OUTCOMES:
        if isinstance(error, kind):
            return Outcome(ok=False, name=name, detail=detail, at_least_s=at_least_s)
    if _NO_SESSION in str(error):
        return Outcome(ok=False, name="SessionQueueNotSupported", detail=detail, at_least_s=10)
    name = "Rejected" if isinstance(error, ValueError) else "GenericError"
    return Outcome(ok=False, name=name, detail=detail, at_least_s=10)
