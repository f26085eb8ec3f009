"""Messages as the worker hands them over."""

import json
from typing import Any

import azure.functions as func
from uuid_utils.compat import uuid7

PLACED = "order.placed.v1"


class Message:
    """The part of func.ServiceBusMessage that the inbox reads."""

    def __init__(
        self,
        body: bytes,
        *,
        message_id: str | None = "m-1",
        delivery_count: int = 1,
        sequence_number: int = 7,
        correlation_id: str | None = None,
    ) -> None:
        self._body = body
        self.message_id, self.delivery_count = message_id, delivery_count
        self.sequence_number, self.correlation_id = sequence_number, correlation_id

    def get_body(self) -> bytes:
        return self._body


def envelope(**changes: Any) -> bytes:
    """A good event as JSON; a change to None leaves the member out."""
    event_id = str(uuid7())
    good: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/order-platform/order",
        "type": PLACED,
        "subject": str(uuid7()),
        "time": "2026-01-02T03:04:05Z",
        "datacontenttype": "application/json",
        "correlationid": "c-1",
        "data": {"n": 1},
    }
    return json.dumps({k: v for k, v in (good | changes).items() if v is not None}).encode()


def message(body: bytes, **facts: Any) -> func.ServiceBusMessage:
    made: Any = Message(body, **facts)
    return made  # type: ignore[no-any-return]
