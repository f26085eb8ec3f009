"""The errors that the broker reports over the wire, and their AMQP conditions."""

from typing import Final

INTERNAL_ERROR: Final = "amqp:internal-error"
NOT_FOUND: Final = "amqp:not-found"
UNAUTHORIZED: Final = "amqp:unauthorized-access"
DECODE_ERROR: Final = "amqp:decode-error"
RESOURCE_LIMIT: Final = "amqp:resource-limit-exceeded"
NOT_ALLOWED: Final = "amqp:not-allowed"
INVALID_FIELD: Final = "amqp:invalid-field"
NOT_IMPLEMENTED: Final = "amqp:not-implemented"
ILLEGAL_STATE: Final = "amqp:illegal-state"
CONNECTION_FORCED: Final = "amqp:connection:forced"
FRAMING_ERROR: Final = "amqp:connection:framing-error"
WINDOW_VIOLATION: Final = "amqp:session:window-violation"
HANDLE_IN_USE: Final = "amqp:session:handle-in-use"
UNATTACHED_HANDLE: Final = "amqp:session:unattached-handle"
MESSAGE_TOO_LARGE: Final = "amqp:link:message-size-exceeded"
LOCK_LOST: Final = "com.microsoft:message-lock-lost"
MESSAGE_NOT_FOUND: Final = "com.microsoft:message-not-found"
SESSION_LOCK_LOST: Final = "com.microsoft:session-lock-lost"
SESSION_CANNOT_BE_LOCKED: Final = "com.microsoft:session-cannot-be-locked"
SESSION_NOT_FOUND: Final = "com.microsoft:session-not-found"
TIMEOUT: Final = "com.microsoft:timeout"
ENTITY_DISABLED: Final = "com.microsoft:entity-disabled"
ALREADY_EXISTS: Final = "com.microsoft:entity-already-exists"
ARGUMENT_ERROR: Final = "com.microsoft:argument-error"


class AmqpError(Exception):
    """Something the peer must be told; how far it reaches is decided by who catches it.

    Raised while a link attaches it refuses the link, while a delivery is read it rejects the
    delivery, anywhere else it closes the connection.
    """

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


class MessageLockLost(AmqpError):
    """The lock token is unknown: it expired, or its message was settled already."""

    def __init__(self) -> None:
        super().__init__(
            LOCK_LOST,
            "The lock supplied is invalid. Either the lock expired, or the message has already "
            "been removed from the queue.",
        )


class SessionLockLost(AmqpError):
    """The session is not, or no longer, locked by who acts on it."""

    def __init__(self) -> None:
        super().__init__(
            SESSION_LOCK_LOST,
            "The session lock was lost. Request a new session receiver.",
        )
