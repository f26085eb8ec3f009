"""Goes along the chain and names what is not as it was written; knows nothing of a database."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from blueprints.audit import chain
from blueprints.audit.chain import Sealed
from blueprints.audit.models import Finding, FindingKind, Head, Verification
from blueprints.audit.seals import Anchor

FINDINGS_NAMED = 200


@dataclass(slots=True)
class Findings:
    """What was found: the first ones by name, the rest only counted."""

    named: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(
        self,
        kind: FindingKind,
        detail: str,
        *,
        seq: int | None = None,
        through: int | None = None,
        day: date | None = None,
    ) -> None:
        """Name it, unless too many have been named."""
        if len(self.named) < FINDINGS_NAMED:
            finding = Finding(kind=kind, seq=seq, through=through, day=day, detail=detail)
            self.named.append(finding)
        else:
            self.more += 1


class Walk:
    """Goes along the chain, entry by entry, and compares each with the one before.

    After a finding it goes on from what is there, so that one change is one finding or two, not
    all that follow.
    """

    def __init__(
        self, seq: int, entry_hash: bytes, anchors: Iterable[Anchor], findings: Findings
    ) -> None:
        """Start behind the entry `seq`, which has this hash."""
        self.seq, self.verified, self.erased = seq, 0, 0
        self.findings = findings
        self._marks: dict[int, list[Anchor]] = defaultdict(list)
        for anchor in anchors:
            self._marks[anchor.last_seq].append(anchor)
        # More than one where a number is there twice: any of them may be the true one.
        self._hashes: set[bytes] = {entry_hash}
        self._recorded_at_us = -(2**63)
        self._without_details: list[tuple[int, UUID | None, int]] = []

    def step(self, row: Sealed) -> None:
        """Take the next row, by number."""
        self.verified += 1
        if not row.seals:
            self.findings.add("altered", "its content is not what was hashed", seq=row.seq)
        if row.seq == self.seq:
            self.findings.add("duplicated", "the number is there more than once", seq=row.seq)
            self._hashes.add(row.entry_hash)
        else:
            self._follow(row)
        self._check_details(row)

    def _follow(self, row: Sealed) -> None:
        if row.seq > self.seq + 1:
            self.missing(self.seq + 1, row.seq - 1)
        elif row.seals and row.previous_hash not in self._hashes:
            detail = f"entry {row.seq} was chained to another one"
            self.findings.add("replaced", detail, seq=self.seq)
        if row.recorded_at_us < self._recorded_at_us:
            self.findings.add("disordered", "it is older than the one before it", seq=row.seq)
        self.seq, self._hashes = row.seq, {row.entry_hash}
        self._recorded_at_us = row.recorded_at_us
        for anchor in self._marks.get(row.seq, ()):
            if anchor.last_hash != row.entry_hash.hex():
                detail = f"the anchor of {anchor.day} was made of another entry"
                self.findings.add("rewritten", detail, seq=row.seq, day=anchor.day)

    def _check_details(self, row: Sealed) -> None:
        if row.salt is None or row.payload is None:
            if row.committed is not None:
                self._without_details.append((row.seq, row.person_id, row.recorded_at_us))
        elif row.committed is None:
            self.findings.add("details-added", "it was written without details", seq=row.seq)
        elif chain.commitment(row.salt, row.payload) != row.committed:
            self.findings.add("details-altered", "they are not those written with it", seq=row.seq)

    def ends_with(self, entry_hash: bytes) -> bool:
        """Whether the last entry so far has this hash."""
        return entry_hash in self._hashes

    def missing(self, first: int, last: int) -> None:
        """Note that entries are gone."""
        count = last - first + 1
        detail = "the entry is gone" if count == 1 else f"{count} entries are gone"
        self.findings.add("missing", detail, seq=first, through=last)

    def without_details(self) -> list[UUID]:
        """The people whose erasure would explain the details that were not there."""
        return list({person for _, person, _ in self._without_details if person is not None})

    def explain(self, erasures: Mapping[UUID, datetime]) -> None:
        """Missing details are in order where they were erased, at the latest then, by the book."""
        for seq, person, recorded_at_us in self._without_details:
            erased_at = None if person is None else erasures.get(person)
            if erased_at is not None and chain.microseconds(erased_at) >= recorded_at_us:
                self.erased += 1
            else:
                self.findings.add("details-missing", "nothing says they were erased", seq=seq)
        self._without_details = []

    def verdict(self, *, first: int, last: int, head: Head, anchors: int) -> Verification:
        """The outcome for entries from `first` to `last`."""
        found = self.findings
        return Verification(
            ok=not found.named,
            from_seq=first,
            to_seq=last,
            head_seq=head.seq,
            verified=self.verified,
            erased=self.erased,
            anchors=anchors,
            findings=found.named,
            more_findings=found.more,
            next_from=last + 1 if last < head.seq else None,
        )
