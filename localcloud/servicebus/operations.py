"""The operations of `$management`: what can be done with messages beside sending and receiving."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol, cast
from uuid import UUID

from localcloud.servicebus import encoding as enc
from localcloud.servicebus.broker import Broker, Entity
from localcloud.servicebus.decoding import Value
from localcloud.servicebus.entities import Message
from localcloud.servicebus.errors import ARGUMENT_ERROR, AmqpError
from localcloud.servicebus.message import (
    DEAD_LETTER_DESCRIPTION,
    DEAD_LETTER_REASON,
    Content,
)
from localcloud.servicebus.outcomes import text_keys
from localcloud.servicebus.queues import Queue
from localcloud.servicebus.session_queues import SessionQueue
from localcloud.servicebus.store import Done

MAX_PEEKED_BYTES: Final = 1024 * 1024
"""A peek answers with fewer messages than asked for rather than with more than this."""
RECEIVE_AND_DELETE: Final = 0
"""The receiver settle mode of a request for deferred messages; 1 locks them."""


class Answer(Protocol):
    """Takes the encoded body of the answer, None for "nothing found"; or a failure."""

    def __call__(self, body: bytes | None, failure: AmqpError | None = None) -> None: ...


class Call(NamedTuple):
    """One request: its arguments, the link on whose behalf it comes, and where the answer goes."""

    arguments: Mapping[Value, Value]
    link: str | None
    answer: Answer

    def whole(self, name: str) -> int:
        """A whole number. Raises AmqpError, as the other readers do."""
        value = self.arguments.get(name)
        if type(value) is not int:
            raise AmqpError(ARGUMENT_ERROR, f"{name} must be a whole number.")
        return value

    def required_text(self, name: str) -> str:
        value = self.arguments.get(name)
        if not isinstance(value, str):
            raise AmqpError(ARGUMENT_ERROR, f"{name} must be text.")
        return value

    def text(self, name: str) -> str | None:
        value = self.arguments.get(name)
        return value if isinstance(value, str) else None

    def sequences(self) -> list[int]:
        return cast("list[int]", self._array("sequence-numbers", int))

    def tokens(self) -> list[UUID]:
        return cast("list[UUID]", self._array("lock-tokens", UUID))

    def _array(self, name: str, kind: type) -> list[Value]:
        values = self.arguments.get(name)
        if isinstance(values, list) and values and all(type(value) is kind for value in values):
            return values
        raise AmqpError(ARGUMENT_ERROR, f"{name} must be an array of {kind.__name__} values.")


def _schedule(broker: Broker, entity: Entity, call: Call) -> None:
    entries = call.arguments.get("messages")
    if not isinstance(entries, list):
        raise AmqpError(ARGUMENT_ERROR, "messages must be a list.")
    contents = []
    for entry in entries:
        data = entry.get("message") if isinstance(entry, dict) else None
        if not isinstance(data, bytes):
            raise AmqpError(ARGUMENT_ERROR, "Each of the messages must be a map with a message.")
        contents.append(Content.parse(data))

    def scheduled(failure: AmqpError | None, numbers: list[int]) -> None:
        encoded = enc.array_of(enc.LONG_CONSTRUCTOR, [enc.long(number) for number in numbers])
        call.answer(enc.string_map({"sequence-numbers": encoded}), failure)

    broker.schedule(entity, contents, scheduled)


def _cancel(broker: Broker, entity: Entity, call: Call) -> None:
    broker.cancel(entity, call.sequences(), _then(call, enc.NULL))


def _peek(queue: Queue, call: Call) -> None:
    start, count = call.whole("from-sequence-number"), call.whole("message-count")
    entries: list[bytes] = []
    size = 0
    for message in queue.peek(start, max(count, 0), call.text("session-id")):
        data = message.encoded(peeked=True)
        size += len(data)
        if entries and size > MAX_PEEKED_BYTES:
            break
        entries.append(enc.string_map({"message": enc.binary(data)}))
    call.answer(enc.string_map({"messages": enc.list_of(entries)}) if entries else None)


def _renew(queue: Queue, call: Call) -> None:
    tokens = call.tokens()
    until = enc.timestamp(queue.renew(tokens))
    expirations = enc.array_of(enc.TIMESTAMP_CONSTRUCTOR, [until] * len(tokens))
    call.answer(enc.string_map({"expirations": expirations}))


def _receive_deferred(queue: Queue, call: Call) -> None:
    messages = queue.deferred(call.sequences(), call.text("session-id"))
    if call.whole("receiver-settle-mode") != RECEIVE_AND_DELETE:
        for message in messages:
            queue.lock(message)
        call.answer(_with_tokens(messages))
        return
    body = _with_tokens(messages)
    done = _all_of(len(messages), _then(call, body))
    for message in messages:
        queue.remove(message, done)


def _with_tokens(messages: Iterable[Message]) -> bytes:
    entries = []
    for message in messages:
        entry = {"message": enc.binary(message.encoded())}
        if message.token is not None:
            entry["lock-token"] = enc.uuid(message.token)
        entries.append(enc.string_map(entry))
    return enc.string_map({"messages": enc.list_of(entries)})


def _update_disposition(queue: Queue, call: Call) -> None:
    """Settle by lock token: deferred messages, and those whose link is gone."""
    tokens = call.tokens()
    done = _all_of(len(tokens), _then(call, enc.NULL))
    for token in tokens:
        try:
            _settle(queue, token, call, done)
        except AmqpError as error:
            done(error)


def _settle(queue: Queue, token: UUID, call: Call, done: Done) -> None:
    status = call.arguments.get("disposition-status")
    properties = text_keys(call.arguments.get("properties-to-modify"))
    if status == "completed":
        queue.complete(token, done)
    elif status == "abandoned":
        queue.abandon(token, properties, done)
    elif status == "defered":  # so written by the service and all its clients
        queue.defer(token, properties, done)
    elif status == "suspended":
        properties[DEAD_LETTER_REASON] = call.text("deadletter-reason")
        properties[DEAD_LETTER_DESCRIPTION] = call.text("deadletter-description")
        queue.dead_letter(token, properties, done)
    else:
        raise AmqpError(ARGUMENT_ERROR, f"Disposition {status!r} is unknown.")


def _renew_session(queue: SessionQueue, call: Call) -> None:
    until = queue.renew_session(call.required_text("session-id"), call.link)
    call.answer(enc.string_map({"expiration": enc.timestamp(until)}))


def _get_session_state(queue: SessionQueue, call: Call) -> None:
    state = queue.session_state(call.required_text("session-id"), call.link)
    encoded = enc.NULL if state is None else enc.binary(state)
    call.answer(enc.string_map({"session-state": encoded}))


def _set_session_state(queue: SessionQueue, call: Call) -> None:
    state = call.arguments.get("session-state")
    if not isinstance(state, bytes | None):
        raise AmqpError(ARGUMENT_ERROR, "session-state must be binary, or null to clear it.")
    session = call.required_text("session-id")
    queue.set_session_state(session, call.link, state, _then(call, enc.NULL))


def _list_sessions(queue: SessionQueue, call: Call) -> None:
    skip = call.whole("skip")
    found = queue.sessions()[skip : skip + call.whole("top")]
    body = {"skip": enc.int32(skip + len(found)), "sessions-ids": enc.string_array(found)}
    call.answer(enc.string_map(body) if found else None)


def _then(call: Call, body: bytes) -> Done:
    """Answer with `body` unless there was a failure."""
    return lambda failure: call.answer(body, failure)


def _all_of(count: int, done: Done) -> Done:
    """Call `done` after `count` outcomes, with the first failure among them."""
    outcomes: list[AmqpError | None] = []

    def one(failure: AmqpError | None) -> None:
        outcomes.append(failure)
        if len(outcomes) == count:
            done(next((outcome for outcome in outcomes if outcome is not None), None))

    return one


PUBLISHING: Final[Mapping[str, Callable[[Broker, Entity, Call], None]]] = {
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel,
}
OF_MESSAGES: Final[Mapping[str, Callable[[Queue, Call], None]]] = {
    "peek-message": _peek,
    "renew-lock": _renew,
    "receive-by-sequence-number": _receive_deferred,
    "update-disposition": _update_disposition,
}
OF_SESSIONS: Final[Mapping[str, Callable[[SessionQueue, Call], None]]] = {
    "renew-session-lock": _renew_session,
    "get-session-state": _get_session_state,
    "set-session-state": _set_session_state,
    "get-message-sessions": _list_sessions,
}
