"""The request-response nodes: `$cbs` takes tokens, `$management` works on a queue's messages."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus.cbs import TokenRefused
from localcloud.servicebus.decoding import Value
from localcloud.servicebus.errors import (
    ARGUMENT_ERROR,
    LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    RESOURCE_LIMIT,
    AmqpError,
)
from localcloud.servicebus.message import Content
from localcloud.servicebus.queues import Queue
from localcloud.servicebus.store import Done

if TYPE_CHECKING:
    from localcloud.servicebus.connection import Connection

type Reply = Callable[[bytes], None]
type Arguments = Mapping[Value, Value]

OK: Final = 200
ACCEPTED: Final = 202
NO_CONTENT: Final = 204
UNAUTHORIZED: Final = 401
INTERNAL_ERROR: Final = 500
_STATUS: Final = {
    ARGUMENT_ERROR: 400,
    RESOURCE_LIMIT: 403,
    NOT_ALLOWED: 403,
    NOT_FOUND: 404,
    MESSAGE_NOT_FOUND: 404,
    LOCK_LOST: 410,
    NOT_IMPLEMENTED: 501,
}
_PREFIX: Final = "com.microsoft:"
MAX_PEEKED_BYTES: Final = 1024 * 1024
"""A peek answers with fewer messages than asked for rather than with more than this."""


class CbsNode:
    """Takes the tokens of one connection."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def answer(self, request: Content, reply: Reply) -> None:
        properties = request.application_properties()
        if properties.get("operation") != "put-token":
            reply(_cbs_reply(request, 501, "NotImplemented: Only put-token is."))
            return
        try:
            self._connection.gate.put(properties.get("name"), request.value())
        except TokenRefused as refusal:
            reply(_cbs_reply(request, UNAUTHORIZED, str(refusal)))
            return
        self._connection.watch_tokens()
        reply(_cbs_reply(request, ACCEPTED, "Accepted"))


class ManagementNode:
    """Works on the messages of one queue; a topic's node (without a queue) knows nothing yet."""

    def __init__(self, queue: Queue | None) -> None:
        self._queue = queue

    def answer(self, request: Content, reply: Reply) -> None:
        try:
            self._work(request, reply)
        except AmqpError as error:
            reply(_failure(request, error))

    def _work(self, request: Content, reply: Reply) -> None:
        operation = str(request.application_properties().get("operation")).removeprefix(_PREFIX)
        work = _OPERATIONS.get(operation)
        if work is None or self._queue is None:
            raise AmqpError(NOT_IMPLEMENTED, f"{operation} is not supported yet.")
        arguments = request.value()
        if not isinstance(arguments, dict):
            raise AmqpError(ARGUMENT_ERROR, "The request has no map as its body.")
        work(self._queue, arguments, request, reply)


def _renew_lock(queue: Queue, arguments: Arguments, request: Content, reply: Reply) -> None:
    tokens = _tokens(arguments)
    until = enc.timestamp(queue.renew(tokens))
    expirations = enc.array_of(enc.TIMESTAMP_CONSTRUCTOR, [until] * len(tokens))
    reply(_success(request, enc.string_map({"expirations": expirations})))


def _peek_message(queue: Queue, arguments: Arguments, request: Content, reply: Reply) -> None:
    start, count = arguments.get("from-sequence-number"), arguments.get("message-count")
    if type(start) is not int or type(count) is not int:
        raise AmqpError(ARGUMENT_ERROR, "from-sequence-number and message-count must be numbers.")
    encoded: list[bytes] = []
    size = 0
    for message in queue.peek(start, max(count, 0)):
        data = message.encoded(peeked=True)
        size += len(data)
        if encoded and size > MAX_PEEKED_BYTES:
            break
        encoded.append(enc.string_map({"message": enc.binary(data)}))
    if encoded:
        reply(_success(request, enc.string_map({"messages": enc.list_of(encoded)})))
    else:
        reply(_answer(request, NO_CONTENT, "No messages.", MESSAGE_NOT_FOUND, enc.NULL))


def _update_disposition(queue: Queue, arguments: Arguments, request: Content, reply: Reply) -> None:
    """Settle by lock token, as the SDKs do when the link of a message is gone."""
    tokens = _tokens(arguments)
    waiting = len(tokens)
    failures: list[AmqpError] = []

    def settled(failure: AmqpError | None) -> None:
        nonlocal waiting
        waiting -= 1
        if failure is not None:
            failures.append(failure)
        if waiting == 0:
            reply(_failure(request, failures[0]) if failures else _success(request, enc.NULL))

    for token in tokens:
        try:
            _settle(queue, token, arguments, settled)
        except AmqpError as error:
            settled(error)


def _settle(queue: Queue, token: UUID, arguments: Arguments, done: Done) -> None:
    status = arguments.get("disposition-status")
    if status == "completed":
        queue.complete(token, done)
    elif status == "abandoned":
        queue.abandon(token, done)
    elif status == "suspended":
        reason = _text(arguments, "deadletter-reason")
        queue.dead_letter(token, reason, _text(arguments, "deadletter-description"), done)
    else:
        raise AmqpError(NOT_IMPLEMENTED, f"Disposition {status!r} is not supported yet.")


_OPERATIONS: Final = {
    "renew-lock": _renew_lock,
    "peek-message": _peek_message,
    "update-disposition": _update_disposition,
}


def _tokens(arguments: Arguments) -> list[UUID]:
    tokens = arguments.get("lock-tokens")
    if not isinstance(tokens, list) or not tokens:
        raise AmqpError(ARGUMENT_ERROR, "lock-tokens must be an array of UUIDs.")
    if not all(isinstance(token, UUID) for token in tokens):
        raise AmqpError(ARGUMENT_ERROR, "lock-tokens must be an array of UUIDs.")
    return cast("list[UUID]", tokens)


def _text(arguments: Arguments, name: str) -> str | None:
    value = arguments.get(name)
    return value if isinstance(value, str) else None


def _success(request: Content, body: bytes) -> bytes:
    return _answer(request, OK, "OK", None, body)


def _failure(request: Content, error: AmqpError) -> bytes:
    status = _STATUS.get(error.condition, INTERNAL_ERROR)
    return _answer(request, status, error.description, error.condition, enc.NULL)


def _answer(
    request: Content, status: int, description: str, condition: str | None, body: bytes
) -> bytes:
    properties = {"statusCode": enc.int32(status), "statusDescription": enc.string(description)}
    if condition is not None:
        properties["errorCondition"] = enc.symbol(condition)
    return _reply(request, properties, body)


def _cbs_reply(request: Content, status: int, description: str) -> bytes:
    properties = {"status-code": enc.int32(status), "status-description": enc.string(description)}
    return _reply(request, properties, enc.NULL)


def _reply(request: Content, properties: Mapping[str, bytes], body: bytes) -> bytes:
    correlation = [*[enc.NULL] * 5, request.raw_message_id()]
    return b"".join(
        (
            enc.composite(wire.PROPERTIES, correlation),
            enc.described(wire.APPLICATION_PROPERTIES, enc.string_map(properties)),
            enc.described(wire.AMQP_VALUE, body),
        )
    )
