"""Looks at messages over AMQP: only peeks, which lock nothing and count as no delivery.

A receiver would have to be given a session by a queue that has some, and could not be had for one
that forwards. So this asks `$management` alone, without any link to the queue itself, in the way in
which the SDK lists sessions; Azure answers such peeks too. The SDK is loaded when the first page
needs it: it is large, and a dashboard that nobody looks at does without.
"""

import asyncio
import contextlib
import functools
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.dashboard.values import CUT_CHARACTERS, Payload

DEAD_LETTERS: Final = "/$DeadLetterQueue"
TIMEOUT_S: Final = 5.0
_OPERATION: Final = b"com.microsoft:peek-message"
_DEFERRED: Final = 1
_SCHEDULED: Final = 2
_closing: set[asyncio.Task[None]] = set()


@dataclass(frozen=True, slots=True)
class Peeked:
    """One message, as it lies in its queue."""

    sequence: int
    message_id: str
    session: str
    correlation_id: str
    enqueued_at: datetime | None
    delivery_count: int
    state: str
    reason: str
    description: str
    source: str
    properties: Mapping[str, str]
    body: Payload

    @property
    def type(self) -> str:
        """The event's type, or nothing."""
        return self.properties.get("type", "")

    @property
    def order_id(self) -> str:
        """The order that the event is about, or nothing."""
        with contextlib.suppress(ValueError, AttributeError):
            event = json.loads(self.body.text)
            order = event.get("data", {}).get("order_id")
            if isinstance(order, str):
                return order
        return self.session if self.type.startswith("order.") else ""


@dataclass(frozen=True, slots=True)
class Window:
    """Where to look: the broker's connection string."""

    connection: str

    async def peek(self, path: str, *, begin: int = 1, limit: int) -> list[Peeked]:
        """At most `limit` messages from a sequence number on. OSError when they cannot be had."""
        (found,) = await self.peek_all([path], begin=begin, limit=limit)
        return found

    async def peek_all(
        self, paths: Sequence[str], *, begin: int = 1, limit: int
    ) -> list[list[Peeked]]:
        """The same of several queues at a time, in the order of `paths`."""
        from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415 - see above
        from azure.servicebus.exceptions import ServiceBusError  # noqa: PLC0415

        # What the SDK does by itself is to read all certificates for every connection.
        client: Any = ServiceBusClient.from_connection_string(
            self.connection, retry_total=0, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        try:
            async with asyncio.timeout(TIMEOUT_S), client:
                return await asyncio.gather(
                    *(_peek(client, path, begin=begin, limit=limit) for path in paths)
                )
        except (ServiceBusError, TimeoutError) as error:
            raise OSError(str(error) or "no answer in time") from error


async def _peek(client: Any, path: str, *, begin: int, limit: int) -> list[Peeked]:
    from azure.servicebus._common import mgmt_handlers  # noqa: PLC0415 - see above

    window = client._create_session_browser(path)  # noqa: SLF001 - see above
    transport = window._amqp_transport  # noqa: SLF001
    request = {
        "from-sequence-number": transport.AMQP_LONG_VALUE(begin),
        "message-count": transport.AMQP_INT_VALUE(limit),
    }
    answer = functools.partial(mgmt_handlers.peek_op, receiver=window, amqp_transport=transport)
    try:
        messages = await window._mgmt_request_response_with_retry(  # noqa: SLF001
            _OPERATION, request, answer, keep_alive_associated_link=False, timeout=TIMEOUT_S
        )
    finally:
        # Behind the page's back: the SDK takes half a second to close.
        closing = asyncio.create_task(window.close())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)
    return [_peeked(message) for message in messages]


def _peeked(message: Any) -> Peeked:
    raw = message.raw_amqp_message
    properties = {_text(key): _text(value) for key, value in _items(raw.application_properties)}
    annotations = {_text(key): value for key, value in _items(raw.annotations)}
    return Peeked(
        sequence=message.sequence_number or 0,
        message_id=_text(message.message_id),
        session=_text(message.session_id),
        correlation_id=_text(message.correlation_id),
        enqueued_at=message.enqueued_time_utc,
        delivery_count=message.delivery_count or 0,
        state=_state(annotations),
        reason=properties.pop("DeadLetterReason", ""),
        description=properties.pop("DeadLetterErrorDescription", ""),
        source=_text(annotations.get("x-opt-deadletter-source")),
        properties=properties,
        body=_body(message),
    )


def _items(mapping: Any) -> Iterator[tuple[Any, Any]]:
    return iter((mapping or {}).items())


def _state(annotations: Mapping[str, Any]) -> str:
    match annotations.get("x-opt-message-state"):
        case value if value == _DEFERRED:
            return "deferred"
        case value if value == _SCHEDULED:
            return "scheduled"
    until = annotations.get("x-opt-locked-until")
    now_ms = datetime.now(UTC).timestamp() * 1000
    return "locked" if isinstance(until, int) and until > now_ms else "active"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _body(message: Any) -> Payload:
    body = message.body
    if isinstance(body, (str, bytes)):
        whole = _text(body)
    else:
        parts = list(body) if hasattr(body, "__iter__") and not isinstance(body, dict) else [body]
        whole = "".join(map(_text, parts))
    return Payload(whole[:CUT_CHARACTERS], len(whole.encode("utf-8", "replace")))
