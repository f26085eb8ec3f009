"""A Service Bus message as a trigger's value and metadata."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

from localcloud.functions.protos import TypedData

_ABSENT: Mapping[str, Any] = {}


def value_of(message: ServiceBusReceivedMessage, data_type: str) -> TypedData:
    """The body: text when it is UTF-8 and `data_type` does not ask for BINARY, else bytes."""
    body = body_of(message)
    if data_type != "BINARY":
        try:
            return TypedData(string=body.decode())
        except UnicodeDecodeError:
            pass
    return TypedData(bytes=body)


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    if message.body_type is AmqpMessageBodyType.DATA:
        return b"".join(message.body)
    if message.body_type is AmqpMessageBodyType.VALUE:
        value = message.body
        if isinstance(value, (bytes, bytearray)):
            return bytes(value)
        return value.encode() if isinstance(value, str) else json.dumps(_plain(value)).encode()
    return json.dumps([_plain(item) for item in message.body]).encode()


def metadata_of(
    message: ServiceBusReceivedMessage, properties: Mapping[str, Any]
) -> dict[str, TypedData]:
    """What the function can ask of the message besides its body: what Azure's trigger tells it.

    Numbers and dates travel as JSON text: the worker refuses other kinds.
    """
    metadata = {
        key: TypedData(string=str(text))
        for key, text in _texts(message).items()
        if text is not None
    }
    for key, value in _values(message).items():
        if value is not None:
            metadata[key] = TypedData(json=json.dumps(_plain(value)))
    # `UserProperties` must be there, even empty: the worker knows a single message by it.
    metadata["UserProperties"] = metadata["ApplicationProperties"] = TypedData(
        json=json.dumps(properties)
    )
    return metadata


def metadata_of_many(messages: Sequence[ServiceBusReceivedMessage]) -> dict[str, TypedData]:
    """The same of a batch: an array of each fact, in the order of the messages."""
    facts = [_texts(message) | _values(message) for message in messages]
    metadata = {
        f"{key}Array": TypedData(json=json.dumps([_plain(fact[key]) for fact in facts]))
        for key in facts[0]
    }
    # By this one the worker knows a batch.
    metadata["UserPropertiesArray"] = metadata["ApplicationPropertiesArray"] = TypedData(
        json=json.dumps([properties_of(message) for message in messages])
    )
    return metadata


def _texts(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    return {
        "MessageId": message.message_id,
        "LockToken": str(message.lock_token) if message.lock_token else None,
        "ContentType": message.content_type,
        "CorrelationId": message.correlation_id,
        "Subject": message.subject,
        "Label": message.subject,
        "SessionId": message.session_id,
        "ReplyTo": message.reply_to,
        "ReplyToSessionId": message.reply_to_session_id,
        "To": message.to,
        "PartitionKey": message.partition_key,
        "DeadLetterSource": message.dead_letter_source,
    }


def _values(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    return {
        # The SDK counts failed deliveries, the trigger counts this delivery too.
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "SequenceNumber": message.sequence_number,
        "EnqueuedTimeUtc": message.enqueued_time_utc,
        "ExpiresAtUtc": message.expires_at_utc,
    }


def properties_of(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """The application properties as JSON can hold them."""
    properties = message.application_properties or _ABSENT
    return {str(_plain(key)): _plain(value) for key, value in properties.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode(errors="replace")
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
