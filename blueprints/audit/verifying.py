"""Checks the chain against itself, against its details and against its anchors."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Protocol

from blueprints.audit import chain, repository
from blueprints.audit.models import VERIFIED_PER_REQUEST, Head, Verification
from blueprints.audit.seals import NO_PREVIOUS, Anchor, AnchorForged, checked, digest
from blueprints.audit.walk import Findings, Walk
from shared.db import Database

ENTRIES_PER_CHUNK = 20_000
ANCHORED_WITHIN = timedelta(days=2)
"""Yesterday may still be waiting for its anchor: the timer runs after midnight."""


class ReadsAnchors(Protocol):
    """Where anchors are kept."""

    async def days(self) -> list[date]:
        """The days that have an anchor, oldest first."""
        ...

    async def read(self, days: list[date]) -> list[bytes]:
        """The anchors of these days."""
        ...


class Verifying:
    """Proves that the trail is as it was written, or names what is not."""

    def __init__(
        self,
        database: Database,
        anchors: ReadsAnchors,
        public_keys: Sequence[Callable[[], str]],
    ) -> None:
        """Keys are asked for when needed: to derive one takes an import."""
        self._database, self._anchors, self._keys = database, anchors, public_keys

    async def part(self, first: int | None, last: int | None) -> Verification:
        """Check at most 20,000 entries, by default those since the last but one anchor.

        Raises AnchorsAway.
        """
        if first is None:
            first = await self._newest_day_begins()
        bound = first + VERIFIED_PER_REQUEST - 1
        async for verification in self.progress(first, bound if last is None else min(last, bound)):
            outcome = verification
        return outcome

    async def progress(self, first: int, last: int | None = None) -> AsyncIterator[Verification]:
        """Check entries `first` to `last` (default: all), telling now and then how far it is.

        Each answer holds everything found so far; the last one is the outcome. Entries that come
        meanwhile are left out. Raises AnchorsAway.
        """
        async with self._database.reading() as tx:
            head, now, highest = await repository.extent(tx)
            before = await repository.entry(tx, first - 1)
            begins = await repository.entry(tx, first)
            ends = None if last is None else await repository.entry(tx, last)
        last = head.seq if last is None else min(last, head.seq)
        findings = Findings()
        anchors = await self._trusted_anchors(findings, begins, ends, now)
        previous_hash = before.entry_hash if before else chain.GENESIS
        walk = Walk(first - 1, previous_hash, anchors, findings)
        for begin in range(first, last + 1, ENTRIES_PER_CHUNK):
            end = min(begin + ENTRIES_PER_CHUNK - 1, last)
            await self._check(walk, begin, end)
            if end < last:
                yield walk.verdict(first=first, last=end, head=head, anchors=len(anchors))
        if walk.seq < last:
            walk.missing(walk.seq + 1, last)
        if last >= head.seq:
            _check_end(walk, head, highest, anchors)
        yield walk.verdict(first=first, last=last, head=head, anchors=len(anchors))

    async def _check(self, walk: Walk, first: int, last: int) -> None:
        async with self._database.transaction() as tx:
            async for row in repository.sealed(tx, first, last):
                walk.step(chain.unsealed(row))
            people = walk.without_details()
            walk.explain(await repository.erasures(tx, people) if people else {})

    async def _trusted_anchors(
        self, findings: Findings, begins: Head | None, ends: Head | None, now: datetime
    ) -> list[Anchor]:
        """The anchors of the days from `begins` to `ends` and the newest one, oldest first.

        Those that are forged, not linked or not there are added to `findings`.
        """
        kept = await self._anchors.days()
        # The day before comes along because the first day's anchor names its digest.
        since = begins.recorded_at.date() - timedelta(days=1) if begins else date.min
        until = ends.recorded_at.date() if ends else date.max
        wanted = [day for day in kept if since <= day <= until or day == kept[-1]]
        documents = dict(zip(wanted, await self._anchors.read(wanted), strict=True))
        keys = [key() for key in self._keys]
        anchors = []
        for day, document in documents.items():
            try:
                anchor = checked(document, keys)
                if anchor.day != day:
                    raise AnchorForged(f"it is that of {anchor.day}")  # noqa: TRY301
            except AnchorForged as fault:
                findings.add("anchor-forged", f"{fault}", day=day)
            else:
                anchors.append(anchor)
        _check_links(findings, anchors, documents, kept)
        due = (now.astimezone(UTC) - ANCHORED_WITHIN).date()
        newest = kept[-1] if kept else None
        if begins is not None and begins.recorded_at.date() <= due and (newest or date.min) < due:
            missing = newest + timedelta(days=1) if newest else begins.recorded_at.date()
            findings.add("anchor-missing", "there is none from this day on", day=missing)
        return anchors

    async def _newest_day_begins(self) -> int:
        """The number of the first entry that the newest anchor covers."""
        kept = await self._anchors.days()
        try:
            (document,) = await self._anchors.read(kept[-1:])
            keys = [key() for key in self._keys]
            anchor = checked(document, keys)
        except (ValueError, AnchorForged):  # there is none, or none to go by
            return 1
        return max(1, anchor.last_seq - anchor.count + 1)


def _check_links(
    findings: Findings,
    anchors: Sequence[Anchor],
    documents: dict[date, bytes],
    kept: Sequence[date],
) -> None:
    """Each anchor names the one of the day before, and there is one for each day."""
    if anchors and anchors[0].day == kept[0] and anchors[0].previous != NO_PREVIOUS:
        findings.add("anchor-missing", "there was one before it", day=kept[0])
    for before, after in pairwise(anchors):
        next_day = before.day + timedelta(days=1)
        if after.day == next_day and after.previous != digest(documents[before.day]):
            findings.add("anchor-unlinked", "it names another one before it", day=after.day)
        elif next_day not in kept:
            findings.add("anchor-missing", "there is none of this day", day=next_day)


def _check_end(walk: Walk, head: Head, highest: int, anchors: Sequence[Anchor]) -> None:
    """Compare where the walk came to with where the chain should end."""
    if walk.verified and walk.seq == head.seq and not walk.ends_with(head.entry_hash):
        walk.findings.add("head-mismatch", "the chain's end was another entry", seq=head.seq)
    if highest > head.seq:
        detail = "entries stand behind the chain's end"
        walk.findings.add("beyond-head", detail, seq=head.seq + 1, through=highest)
    if anchors and anchors[-1].last_seq > head.seq:
        walk.missing(head.seq + 1, anchors[-1].last_seq)
