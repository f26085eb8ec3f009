"""An entry of the live feed, and how the two kinds of clients read it."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from pydantic import JsonValue

from notifier import hub_protocol
from shared.live import LiveMessage

_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,10})")


def place(entry_id: str) -> tuple[int, int]:
    """What entries are ordered by: milliseconds of Redis's clock, then a number."""
    milliseconds, number = entry_id.split("-")
    return int(milliseconds), int(number)


def is_entry_id(text: object) -> bool:
    """Whether a client's word for where it stopped can be one."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Entry:
    """A message and its place in the feed. Its texts are made once, whoever reads them."""

    id: str
    message: LiveMessage

    @property
    def document(self) -> dict[str, JsonValue]:
        """What a client gets, the same by every transport: the data, its id and its place."""
        return {**self.message.data, "id": self.message.id, "entry": self.id}

    @cached_property
    def hub_text(self) -> str:
        """As an invocation of the hub protocol."""
        return hub_protocol.invocation(self.message.event, self.document)

    @cached_property
    def stream_text(self) -> str:
        """As an event of a plain event stream."""
        return event(self.message.event, self.document, entry=self.id)


def event(name: str, data: JsonValue, *, entry: str | None, retry_ms: int | None = None) -> str:
    """One event of an event stream (HTML Standard §9.2.6). JSON holds no line breaks."""
    lines = [] if entry is None else [f"id: {entry}"]
    if retry_ms is not None:
        lines.append(f"retry: {retry_ms}")
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return "\n".join([*lines, f"event: {name}", f"data: {text}"]) + "\n\n"


class Dialect(Protocol):
    """How a kind of client is told things. `position` is where the feed stands."""

    def entry(self, entry: Entry) -> str:
        """A message."""
        ...

    def resync(self, data: JsonValue, position: str | None) -> str:
        """That something may be missing, and is to be fetched."""
        ...

    def heartbeat(self, position: str | None) -> str:
        """That all is well."""
        ...

    def farewell(self, reason: str, error: str | None, *, back: bool, retry_ms: int) -> str:
        """That the connection ends now, and whether it is worth coming back."""
        ...


class HubDialect:
    """Clients of the hub protocol."""

    def entry(self, entry: Entry) -> str:
        """An invocation of `notification` or `order`."""
        return entry.hub_text

    def resync(self, data: JsonValue, position: str | None) -> str:
        """An invocation of `resync`."""
        del position  # it is in the data
        return hub_protocol.invocation("resync", data)

    def heartbeat(self, position: str | None) -> str:
        """A ping."""
        del position  # a ping carries nothing
        return hub_protocol.PING_TEXT

    def farewell(self, reason: str, error: str | None, *, back: bool, retry_ms: int) -> str:
        """A close message; the client has a reconnect policy of its own."""
        del reason, retry_ms
        return hub_protocol.close(error, allow_reconnect=back)


class StreamDialect:
    """Clients of the plain event stream."""

    def entry(self, entry: Entry) -> str:
        """An event `notification` or `order`."""
        return entry.stream_text

    def resync(self, data: JsonValue, position: str | None) -> str:
        """An event `resync`; its id is where the stream goes on."""
        return event("resync", data, entry=position)

    def heartbeat(self, position: str | None) -> str:
        """A comment, with the id from which a client that comes back needs nothing older."""
        return ":\n\n" if position is None else f":\nid: {position}\n\n"

    def farewell(self, reason: str, error: str | None, *, back: bool, retry_ms: int) -> str:
        """An event `drain`, after which the stream ends."""
        data: dict[str, JsonValue] = {"reason": reason, "reconnect": back}
        if error is not None:
            data["error"] = error
        return event("drain", data, entry=None, retry_ms=retry_ms)
