"""The HTTP protocol of a connection that the guard holds too."""

import asyncio
from typing import Any

from localcloud.functions.bounds import BoundedProtocol
from localcloud.functions.lifelines import UNTIED, Lifelines


def protocol_with(lifelines: Lifelines | None) -> type[BoundedProtocol]:
    """The protocol for a server whose callers are answered through `lifelines`, if any."""
    if lifelines is None:
        return BoundedProtocol
    return type("TiedProtocol", (_TiedProtocol,), {"lifelines": lifelines})


class _TiedProtocol(BoundedProtocol):
    """Marks itself while a request waits for its answer."""

    lifelines: Lifelines

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._marks, self._slot = self.lifelines.marks, UNTIED

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._slot = self.lifelines.tie(transport.get_extra_info("socket").fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lifelines.cut(self._slot)
        self._slot = UNTIED

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._marks[self._slot] = 1

    def on_response_complete(self) -> None:
        self._marks[self._slot] = 0
        super().on_response_complete()
        if not self.cycle.response_complete:  # the next one came before this was answered
            self._marks[self._slot] = 1
