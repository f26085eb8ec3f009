"""A request on its way through the gateway, as policies see and change it."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from localcloud.gateway.policy.faults import Refusal
from localcloud.gateway.policy.headers import Headers
from localcloud.gateway.policy.services import Services

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtraOperation:
    """An operation that stands in no OpenAPI document; its template starts with a slash."""

    id: str
    method: str
    template: str


@dataclass(frozen=True)
class Api:
    """An API of `apis.json`: where it is shown and what describes it."""

    name: str
    gateway: Literal["external", "internal"]
    path: str
    version: str
    prefix: str
    kind: Literal["http", "websocket"]
    document: Path | None
    operations: tuple[ExtraOperation, ...] = ()


class Body(Protocol):
    """The body of a request that may not have arrived yet."""

    async def read(self, limit: int) -> bytes:
        """All of it, the same at every call. Raises Refusal above `limit` bytes."""
        ...


@dataclass(slots=True)
class Request:
    """What goes to the backend once the policies are through with it.

    `target` is the path as it came; `path` the part behind the API's prefix, still
    percent-encoded; `query` has no question mark.
    """

    method: str
    scheme: str
    host: str
    port: int
    target: str
    path: str
    query: str
    headers: Headers
    ip: str
    matched: Mapping[str, str]
    body: Body


@dataclass(slots=True)
class Response:
    """What goes to the client; a body that is an iterator is relayed as it comes."""

    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes] = b""
    reason: str = ""
    close: Callable[[], Awaitable[None]] | None = None
    upstream: Any = None

    async def discard(self) -> None:
        """Lets go of a backend's answer that nobody will read."""
        if self.close is not None:
            close, self.close = self.close, None
            try:
                await close()
            except Exception:  # noqa: BLE001 - nobody waits for that answer any more
                _log.exception("an answer could not be let go of")


@dataclass(slots=True)
class Context:
    """Everything that an expression can see, and what earlier policies left behind."""

    api: Api | None
    operation_id: str
    request: Request
    services: Services
    request_id: str
    response: Response | None = None
    answer: Response | None = None
    """What `return-response` is writing while expressions still read `response`."""
    variables: dict[str, Any] = field(default_factory=dict)
    last_error: Refusal | None = None
    backend_url: str = ""
    stamps: list[tuple[str, str]] = field(default_factory=list)
    """Headers that every answer to this request gets, whoever writes it."""
    varies: bool = False
    """Whether the answer depends on the Origin header."""
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the request came in."""
        return time.monotonic() - self.started
