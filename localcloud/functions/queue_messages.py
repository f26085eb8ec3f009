"""A message of a storage queue as a trigger's value and metadata, and as it goes over the wire."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from localcloud.functions.protos import TypedData

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage


class Malformed(ValueError):
    """The message is not in the encoding that host.json states."""


def body_of(content: str, *, is_base64: bool) -> bytes:
    """The message's bytes. Malformed when they should be Base64 and are not."""
    if not is_base64:
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"it is not Base64: {error}") from error


def content_of(body: str | bytes, *, is_base64: bool) -> str:
    """What to send for `body`. UnicodeDecodeError for bytes that only Base64 could carry."""
    raw = body.encode() if isinstance(body, str) else body
    return base64.b64encode(raw).decode() if is_base64 else raw.decode()


def value_of(body: bytes, data_type: str) -> TypedData:
    """Text when it is UTF-8 and `data_type` does not ask for BINARY, else bytes."""
    if data_type.upper() not in {"BINARY", "STREAM"}:
        try:
            return TypedData(string=body.decode())
        except UnicodeDecodeError:
            pass
    return TypedData(bytes=body)


def metadata_of(message: "QueueMessage", value: TypedData) -> dict[str, TypedData]:
    """The metadata that Azure documents; `QueueTrigger` is the content "if a valid string"."""
    times = {
        "ExpirationTime": message.expires_on,
        "InsertionTime": message.inserted_on,
        "NextVisibleTime": message.next_visible_on,
    }
    metadata = {
        "Id": TypedData(string=message.id),
        "PopReceipt": TypedData(string=str(message.pop_receipt)),
        # Numbers travel as JSON text: the worker refuses other kinds.
        "DequeueCount": TypedData(json=str(message.dequeue_count)),
        **{name: _time(moment) for name, moment in times.items() if moment is not None},
    }
    if value.kind == "string":
        metadata["QueueTrigger"] = TypedData(string=value.value)
    return metadata


def metadata_by_hand(text: str) -> Mapping[str, TypedData]:
    """The metadata of a message that never was in a queue."""
    now = _time(datetime.now(UTC))
    return {
        "Id": TypedData(string=""),
        "PopReceipt": TypedData(string=""),
        "DequeueCount": TypedData(json="1"),
        "InsertionTime": now,
        "QueueTrigger": TypedData(string=text),
    }


def _time(moment: datetime) -> TypedData:
    return TypedData(json=json.dumps(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")))
