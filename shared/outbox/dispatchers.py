"""Every way out of the outbox as one, for those who have just committed and for the timer."""

import asyncio
from uuid import UUID

from shared.outbox.dispatcher import Dispatcher


class Dispatchers:
    """Passes everything on to each of its dispatchers; none holds up another."""

    def __init__(self, *dispatchers: Dispatcher) -> None:
        self._dispatchers = dispatchers

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """See Dispatcher.dispatch. Never raises."""
        for dispatcher in self._dispatchers:
            await dispatcher.dispatch(*aggregate_ids)

    async def relay(self, limit: int = 10_000, *, older_than_s: float = 0.0) -> int:
        """How many events were sent altogether. Raises the first fault, when all have tried."""
        outcomes = await asyncio.gather(
            *(each.relay(limit, older_than_s=older_than_s) for each in self._dispatchers),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome for outcome in outcomes if isinstance(outcome, int))

    async def lag_s(self) -> float:
        """Age in seconds of the oldest event that waits anywhere; 0.0 when nothing waits."""
        return max([await each.lag_s() for each in self._dispatchers], default=0.0)

    async def close(self) -> None:
        """Finish what waits, within a second, and let go of the brokers."""
        await asyncio.gather(*(each.close() for each in self._dispatchers))
