"""What the engine asks of the gateway that runs it: everything that does input or output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from localcloud.gateway.policy.context import Context, Response


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer of a limit: whether the call may go on, how many are left, when to come back."""

    allowed: bool
    remaining: int
    retry_after_s: int


@dataclass(frozen=True, slots=True)
class Violation:
    """Something in a request that its OpenAPI description does not allow.

    `place` is headers, query, path or body; `name` the parameter, or the JSON pointer of what is
    wrong in a body. `detail` never repeats the offending value. A parameter that the description
    does not know is not `specified`. `reason` is "malformed" when a body could not be read at all.
    """

    place: str
    name: str
    detail: str
    specified: bool
    reason: str = "invalid"


class Limits(Protocol):
    """Sliding windows that every gateway process shares."""

    async def take(self, key: str, calls: int, period_s: int) -> Taken:
        """Counts one call under `key` unless `calls` were made within `period_s`; never raises."""
        ...


class Upstream(Protocol):
    """The way to the backends."""

    async def forward(
        self, context: "Context", *, timeout_s: float, buffer_body: bool
    ) -> "Response":
        """The backend's answer as soon as its headers are there.

        Raises Refusal: Timeout, BackendConnectionFailure.
        """
        ...


class ManagedIdentity(Protocol):
    """The gateway's own identity."""

    async def token(self, resource: str, client_id: str | None) -> str:
        """An access token for `resource`, cached. Raises Refusal."""
        ...


class Contract(Protocol):
    """The OpenAPI description of the operation that the request matched."""

    def parameters(self, context: "Context", places: frozenset[str]) -> Sequence[Violation]:
        """What is wrong with the parameters in `places` (headers, query, path)."""
        ...

    def content(self, context: "Context", media_type: str, body: bytes) -> Violation | None:
        """What is wrong with the body, if anything."""
        ...

    def media_types(self, context: "Context") -> frozenset[str]:
        """Media types that the operation reads, in lower case; empty when it reads no body."""
        ...


class Services(Protocol):
    """One for a gateway process; every request's context carries it."""

    @property
    def limits(self) -> Limits: ...

    @property
    def upstream(self) -> Upstream: ...

    @property
    def identity(self) -> ManagedIdentity: ...

    @property
    def contract(self) -> Contract: ...

    async def fetch(self, url: str) -> bytes:
        """The document at `url` (discovery, keys). OSError on any failure."""
        ...

    def trace(
        self,
        context: "Context",
        source: str,
        severity: str,
        message: str,
        metadata: Mapping[str, str],
    ) -> None:
        """Records what a `trace` policy says."""
        ...
