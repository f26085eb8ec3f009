"""The request-response nodes: `$cbs` takes tokens, `$management` works on an entity's messages."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from localcloud.servicebus import encoding as enc
from localcloud.servicebus import message as wire
from localcloud.servicebus.background import run
from localcloud.servicebus.broker import Entity
from localcloud.servicebus.cbs import TokenRefused
from localcloud.servicebus.decoding import Value
from localcloud.servicebus.errors import (
    ALREADY_EXISTS,
    ARGUMENT_ERROR,
    LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    RESOURCE_LIMIT,
    SESSION_LOCK_LOST,
    AmqpError,
)
from localcloud.servicebus.message import Content
from localcloud.servicebus.namespace import Namespace
from localcloud.servicebus.operations import OF_MESSAGES, OF_SESSIONS, PUBLISHING, Call
from localcloud.servicebus.queues import Queue
from localcloud.servicebus.rule_operations import OF_RULES
from localcloud.servicebus.session_queues import SessionQueue

if TYPE_CHECKING:
    from localcloud.servicebus.connection import Connection

type Reply = Callable[[bytes], None]

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
    ALREADY_EXISTS: 409,
    LOCK_LOST: 410,
    SESSION_LOCK_LOST: 410,
    NOT_IMPLEMENTED: 501,
}
_PREFIX: Final = "com.microsoft:"


class CbsNode:
    """Takes the tokens of one connection."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def answer(self, request: Content, reply: Reply) -> None:
        properties = request.application_properties()
        if properties.get("operation") != "put-token":
            reply(_cbs_reply(request, 501, "NotImplemented: Only put-token is."))
            return
        token, name = request.value(), properties.get("name")
        if self._connection.gate.knows(token):
            run(self._admit(request, reply, name, str(token)))
            return
        try:
            self._connection.gate.put(name, token)
        except TokenRefused as refusal:
            reply(_cbs_reply(request, UNAUTHORIZED, str(refusal)))
        else:
            self._accept(request, reply)

    async def _admit(self, request: Content, reply: Reply, name: Value, token: str) -> None:
        try:
            await self._connection.gate.put_bearer(name, token)
        except TokenRefused as refusal:
            reply(_cbs_reply(request, UNAUTHORIZED, str(refusal)))
        else:
            self._accept(request, reply)

    def _accept(self, request: Content, reply: Reply) -> None:
        self._connection.watch_tokens()
        reply(_cbs_reply(request, ACCEPTED, "Accepted"))


class ManagementNode:
    """Works on the messages of one topic or queue."""

    def __init__(self, namespace: Namespace, entity: Entity) -> None:
        self._namespace = namespace
        self._broker = namespace.broker
        self._entity = entity

    def answer(self, request: Content, reply: Reply) -> None:
        try:
            self._work(request, reply)
        except AmqpError as error:
            reply(_failure(request, error))

    def _work(self, request: Content, reply: Reply) -> None:
        properties = request.application_properties()
        operation = str(properties.get("operation")).removeprefix(_PREFIX)
        arguments = request.value()
        if not isinstance(arguments, dict):
            raise AmqpError(ARGUMENT_ERROR, "The request has no map as its body.")

        def answer(body: bytes | None, failure: AmqpError | None = None) -> None:
            if failure is not None:
                reply(_failure(request, failure))
            elif body is None:
                reply(_answer(request, NO_CONTENT, "Nothing found.", MESSAGE_NOT_FOUND, enc.NULL))
            else:
                reply(_answer(request, OK, "OK", None, body))

        link = properties.get("associated-link-name")
        call = Call(arguments, link if isinstance(link, str) else None, answer)
        if operation in OF_RULES:
            OF_RULES[operation](self._namespace, self._entity.key, call)
        elif operation in PUBLISHING:
            PUBLISHING[operation](self._broker, self._entity, call)
        elif isinstance(self._entity, SessionQueue) and operation in OF_SESSIONS:
            OF_SESSIONS[operation](self._entity, call)
        elif isinstance(self._entity, Queue) and operation in OF_MESSAGES:
            OF_MESSAGES[operation](self._entity, call)
        else:
            raise AmqpError(NOT_IMPLEMENTED, f"{operation} is not supported here.")


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
