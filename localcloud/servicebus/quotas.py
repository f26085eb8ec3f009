"""What one message may carry, as in Azure's Standard tier.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
"""

from typing import Final

from localcloud.servicebus.errors import ARGUMENT_ERROR, AmqpError
from localcloud.servicebus.message import Content

MAX_ID: Final = 128
"""Characters of a message id, a session id, and a partition key."""
MAX_PROPERTIES_BYTES: Final = 64 * 1024
"""All properties together, those of the system and those of the application."""
MAX_PROPERTY_BYTES: Final = 32 * 1024

_LIMITED: Final = {
    "message-id": "MessageId",
    "group-id": "SessionId",
    "reply-to-group-id": "ReplyToSessionId",
}
_PARTITION_KEY: Final = "x-opt-partition-key"


def check(content: Content) -> None:
    """Raises AmqpError (argument-error) when a message has too much beside its body."""
    size = content.properties_size()
    if size > MAX_PROPERTIES_BYTES:
        raise AmqpError(
            ARGUMENT_ERROR,
            f"The properties of the message take {size} bytes; {MAX_PROPERTIES_BYTES} are allowed.",
        )
    if size > MAX_ID:  # below that, nothing in it can be too long
        named = content.properties()
        for name, called in _LIMITED.items():
            _check_length(called, named.get(name))
    if size > MAX_PROPERTY_BYTES:
        for key, value in content.application_properties().items():
            if isinstance(value, str | bytes) and len(value) > MAX_PROPERTY_BYTES:
                text = f"The property {key!r} is larger than {MAX_PROPERTY_BYTES} bytes."
                raise AmqpError(ARGUMENT_ERROR, text)
    _check_length("PartitionKey", content.annotation(_PARTITION_KEY))


def _check_length(name: str, value: object) -> None:
    if isinstance(value, str | bytes) and len(value) > MAX_ID:
        raise AmqpError(ARGUMENT_ERROR, f"{name} has more than {MAX_ID} characters.")
