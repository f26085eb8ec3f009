"""Once a day the chain's end is signed and kept outside of the database."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

from blueprints.audit import repository
from blueprints.audit.entries_repository import ask_head, make_partitions
from blueprints.audit.models import Head
from blueprints.audit.seals import NO_PREVIOUS, Anchor, Signer, digest, read
from shared import telemetry
from shared.db import Database

DAYS_PER_RUN = 400
"""More than a year is caught up in two runs."""
MONTHS_AHEAD = 3

_log = telemetry.logger(__name__)


class AnchorConflict(Exception):
    """The day already has an anchor, and it says something else: somebody has to look at it."""


class KeepsAnchors(Protocol):
    """Where anchors are kept."""

    async def days(self) -> list[date]:
        """The days that have an anchor, oldest first."""
        ...

    async def read(self, days: list[date]) -> list[bytes]:
        """The anchors of these days."""
        ...

    async def add(self, day: date, anchor: bytes) -> bytes:
        """Keep the day's anchor unless there is one; what is kept."""
        ...


class Anchoring:
    """What the audit trail's timers do."""

    def __init__(self, database: Database, anchors: KeepsAnchors, signer: Signer) -> None:
        self._database, self._anchors, self._signer = database, anchors, signer

    async def anchor(self) -> list[date]:
        """Sign every day that is over and has no anchor yet, oldest first; the days signed now.

        Raises AnchorConflict if another process signed something else for the same day.
        """
        today, first = await self._extent()
        if first is None:
            return []
        kept = await self._anchors.days()
        day, previous = first.recorded_at.date(), None
        if kept:
            previous = (await self._anchors.read([kept[-1]]))[0]
            day = kept[-1] + timedelta(days=1)
        signed: list[date] = []
        while day < today and len(signed) < DAYS_PER_RUN:
            previous = await self._sign(day, previous)
            signed.append(day)
            day += timedelta(days=1)
        if signed:
            _log.info("the audit trail is anchored through %s", signed[-1])
        return signed

    async def make_partitions(self) -> int:
        """Make the partitions of the months to come; how many were missing."""
        async with self._database.transaction() as tx:
            made = await make_partitions(tx, MONTHS_AHEAD)
        if made:
            _log.info("%d partitions were made for the audit trail", made)
        return made

    async def _extent(self) -> tuple[date, Head | None]:
        """Today by the database's clock, and the first entry.

        With the chain's end in our hands nobody is about to commit an entry of an earlier time.
        """
        async with self._database.transaction() as tx:
            _, now = await (await ask_head(tx))()
            return now.astimezone(UTC).date(), await repository.first(tx)

    async def _sign(self, day: date, previous: bytes | None) -> bytes:
        # Whoever signed it: after a change of keys that was another one.
        before = 0 if previous is None else read(previous)[0].last_seq
        over = datetime.combine(day + timedelta(days=1), time(), UTC)
        async with self._database.transaction() as tx:
            last = await repository.last_before(tx, over)
        assert last is not None, "the first entry was recorded before this day was over"
        anchor = Anchor(
            day,
            last.seq,
            last.entry_hash.hex(),
            last.seq - before,
            NO_PREVIOUS if previous is None else digest(previous),
        )
        document = self._signer.sign(anchor)
        if await self._anchors.add(day, document) != document:
            raise AnchorConflict(f"the anchor of {day} says something else than the chain")
        return document
