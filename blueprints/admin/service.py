"""Looks after what the platform leans on, without leaning on it itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType

from blueprints.admin import repository
from blueprints.admin.models import Readiness, State
from shared import telemetry
from shared.db import Database
from shared.resilience import Breaker

PROBE_TIMEOUT_S = 1.0
FRESH_FOR_S = 1.0
"""Anyone may ask for health; this often at most is anything behind it touched."""

type Probe = Callable[[], Awaitable[None]]
"""Returns if the thing works, raises if not."""

_log = telemetry.logger(__name__)


class Health:
    """Ready means that the database answers and is migrated.

    Everything else is reported only: without broker, cache or partners the platform still takes
    orders, and restarting it would not bring them back.
    """

    def __init__(
        self,
        database: Database,
        *,
        schemas: Collection[str],
        probes: Mapping[str, Probe],
        breakers: Mapping[str, Breaker] = MappingProxyType({}),
    ) -> None:
        self._database, self._schemas, self._probes = database, schemas, probes
        self._breakers = breakers
        self._turn = asyncio.Lock()
        self._latest: tuple[float, Readiness] | None = None

    async def readiness(self) -> Readiness:
        """The state of the database and of every probed thing, at most a second old."""
        async with self._turn:
            now = time.monotonic()
            if self._latest is None or now - self._latest[0] >= FRESH_FOR_S:
                self._latest = now, await self._look()
            return self._latest[1]

    async def _look(self) -> Readiness:
        probes = {"database": self._migrated, **self._probes}
        states = await asyncio.gather(*(_state(name, probe) for name, probe in probes.items()))
        dependencies = dict(zip(probes, states, strict=True))
        ready = dependencies["database"] == "up"
        return Readiness(
            status="ready" if ready else "unready",
            dependencies=dependencies,
            circuits={name: breaker.circuit for name, breaker in self._breakers.items()},
        )

    async def _migrated(self) -> None:
        async with self._database.reading() as tx:
            if missing := await repository.missing_schemas(tx, self._schemas):
                raise LookupError(f"not migrated: {', '.join(missing)}")


async def _state(name: str, probe: Probe) -> State:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await probe()
    except Exception as fault:  # noqa: BLE001 - whatever it is, the thing does not work
        _log.warning("%s is down: %s", name, type(fault).__qualname__)
        return "down"
    return "up"
