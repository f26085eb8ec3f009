"""What a handler receives and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from shared.auth import Caller
from shared.idempotency import IdempotencyKey
from shared.problem import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Call[B, Q]:
    """One authenticated, authorised, validated request.

    `body` and `query` are None where the operation declares none; `idempotency` and `if_match`
    may be read only where the operation asks for them. `access_reason` is why an employee wants to
    see what the operation discloses.
    """

    caller: Caller
    body: B
    query: Q
    path: Mapping[str, str]
    correlation_id: str
    idempotency_key: IdempotencyKey | None = None
    if_match_tag: str | None = None
    access_reason: str | None = None

    @property
    def idempotency(self) -> IdempotencyKey:
        """The caller's Idempotency-Key with the fingerprint of this request."""
        assert self.idempotency_key is not None, "declare idempotency_key=True"
        return self.idempotency_key

    @property
    def if_match(self) -> str:
        """The If-Match header; see `version_of`."""
        assert self.if_match_tag is not None, "declare if_match=True"
        return self.if_match_tag

    def uuid(self, name: str) -> UUID:
        """The path parameter `name`. Raises NotFound if it is no UUID: nothing has such an id."""
        try:
            return UUID(self.path[name])
        except ValueError as fault:
            raise NotFound("there is nothing under this id") from fault


@dataclass(frozen=True, slots=True)
class Reply[R]:
    """An answer with more than a body; what is None follows from the operation."""

    body: R
    status: int | None = None
    etag: str | None = None
    location: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
