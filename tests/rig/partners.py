"""The partners' control side: faults, barriers and the ledgers that ours are compared with."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Barrier:
    """A place in a partner where a request waits until the test releases it."""

    partner: "Partner"
    id: str

    async def reached(self, *, count: int = 1, within_s: float = 30) -> None:
        """Return once `count` requests wait here. AssertionError if they did not come in time."""
        answer = await self.partner.http.get(
            f"/control/barriers/{self.id}",
            params={"wait_s": within_s, "count": count},
            timeout=within_s + 5,
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["reached"], f"nothing reached the barrier {self.id}"

    async def release(self) -> None:
        """Let go whoever waits here. Harmless when the partner was killed: so were they."""
        with contextlib.suppress(httpx.TransportError):
            await self.partner.http.delete(f"/control/barriers/{self.id}")


@dataclass(frozen=True)
class Partner:
    """One partner stand-in, seen through its control API."""

    name: str
    http: httpx.AsyncClient

    @contextlib.asynccontextmanager
    async def barrier(
        self, operation: str, when: str, *, match: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Barrier]:
        """A barrier before or after the effect of `operation`; released when the block ends.

        `match` narrows it to requests with these facts.
        """
        barrier = await self.stop(operation, when, match=match)
        try:
            yield barrier
        finally:
            await barrier.release()

    async def stop(
        self, operation: str, when: str, *, match: Mapping[str, Any] | None = None
    ) -> Barrier:
        """As `barrier`, but it stays until it is released or the partner is reset."""
        answer = await self.http.post(
            "/control/barriers", json={"operation": operation, "when": when, "match": match or {}}
        )
        assert answer.status_code == 201, answer.text
        return Barrier(self, answer.json()["id"])

    async def fault(self, operation: str, kind: str, **how: Any) -> None:
        """Make `operation` fail as `kind` says, `times` times (None: until the reset)."""
        answer = await self.http.post(
            "/control/faults", json={"operation": operation, "kind": kind, **how}
        )
        assert answer.status_code == 201, answer.text

    async def reset(self) -> None:
        """Remove faults and barriers; the ledger stays."""
        answer = await self.http.post("/control/reset")
        assert answer.is_success, answer.text

    async def ledger(self, **only: str) -> list[dict[str, Any]]:
        """What took effect, oldest first; `only` names a reference or an operation."""
        answer = await self.http.get("/control/ledger", params=only)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["entries"])

    async def entries(self, reference: str) -> list[dict[str, Any]]:
        """What took effect for `reference`, oldest first."""
        return await self.ledger(reference=reference)
