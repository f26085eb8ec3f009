"""A closed-loop load generator: a client sends its next request when the last one is answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Request = Callable[[int], Awaitable[bool]]
"""One request by client number `n`; whether the answer was the expected one."""


@dataclass
class Measured:
    """What a closed loop saw. Latencies in milliseconds, of good answers only."""

    seconds: float
    clients: int
    latencies_ms: list[float] = field(repr=False)
    failures: int

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile(self, p: float) -> float:
        """The latency that `p` percent of the answers did not exceed; NaN without answers."""
        return percentile(self.latencies_ms, p)

    def as_json(self) -> dict[str, float | int]:
        return {
            "clients": self.clients,
            "seconds": round(self.seconds, 2),
            "count": len(self.latencies_ms),
            "failures": self.failures,
            "per_second": round(self.per_second, 1),
            "p50_ms": round(self.percentile(50), 2),
            "p95_ms": round(self.percentile(95), 2),
            "p99_ms": round(self.percentile(99), 2),
        }


def percentile(values: list[float], p: float) -> float:
    """The nearest-rank percentile of `values`; NaN when there are none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(p / 100 * len(ordered)) - 1))]


async def closed_loop(request: Request, *, clients: int, seconds: float) -> Measured:
    """Run `clients` loops of `request` for `seconds`; answers that arrive later are not counted."""
    latencies: list[float] = []
    failures = 0
    start = time.perf_counter()
    end = start + seconds

    async def client(number: int) -> None:
        nonlocal failures
        while (begun := time.perf_counter()) < end:
            good = await request(number)
            done = time.perf_counter()
            if done > end:
                return
            if good:
                latencies.append((done - begun) * 1000)
            else:
                failures += 1

    await asyncio.gather(*(client(n) for n in range(clients)))
    return Measured(seconds, clients, latencies, failures)
