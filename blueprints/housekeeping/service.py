"""Keeps the messaging tables moving and small."""

from typing import Protocol

from shared import idempotency, inbox, outbox, telemetry
from shared.db import Database, Transaction

RELAYED_AFTER_S = 2.0
"""Younger events are on their way: under load the timer would compete for each of them."""
PRUNED_PER_STATEMENT = 1_000
PRUNED_PER_RUN = 10_000
"""More than a run's share of traffic, so that tables shrink after an outage."""

_log = telemetry.logger(__name__)


class Relay(Protocol):
    """Sends what the inline dispatch left over."""

    async def relay(self, limit: int = ..., *, older_than_s: float = ...) -> int:
        """How many events were sent."""
        ...

    async def lag_s(self) -> float:
        """Age in seconds of the oldest unsent event."""
        ...


class Prune(Protocol):
    """Deletes at most `limit` rows that are old enough; how many that were."""

    async def __call__(self, tx: Transaction, *, limit: int) -> int:
        """See the class."""
        ...


class Housekeeping:
    """What the timers do."""

    def __init__(self, database: Database, relay: Relay) -> None:
        self._database, self._relay = database, relay

    async def relay_outbox(self) -> int:
        """Send the events that are left over; how many were sent.

        While the broker is away they stay, and the lag is logged; the next run tries again.
        """
        try:
            sent = await self._relay.relay(older_than_s=RELAYED_AFTER_S)
        except Exception as fault:  # noqa: BLE001 - the broker's outage is not the timer's failure
            lag_s = await self._relay.lag_s()
            _log.warning("outbox lag %.0f s: %s", lag_s, telemetry.describe(fault))
            return 0
        if sent:
            _log.info("relayed %d events", sent)
        return sent

    async def prune(self) -> int:
        """Forget what has been kept long enough; how many rows that were.

        Sent events and idempotency keys after 7 days, received events after 30.
        """
        pruned = 0
        for prune_some in (outbox.prune, idempotency.prune, inbox.prune):
            pruned += await self._drain(prune_some)
        return pruned

    async def _drain(self, prune_some: Prune) -> int:
        """Short transactions: none holds locks for long, and none undoes another's work."""
        pruned = 0
        while pruned < PRUNED_PER_RUN:
            async with self._database.transaction() as tx:
                some = await prune_some(tx, limit=PRUNED_PER_STATEMENT)
            pruned += some
            if some < PRUNED_PER_STATEMENT:
                break
        return pruned
