"""Finding customers, for employees: lists, search by what somebody says of himself, segments."""

from datetime import datetime
from uuid import UUID

from blueprints.customers import finding_repository
from blueprints.customers.models import (
    SEGMENTS,
    CustomerQuery,
    CustomerSearch,
    CustomerSummary,
    SegmentSummary,
)
from shared import pii
from shared.auth import Caller
from shared.http import Page, decode_cursor, encode_cursor
from shared.replica import ReadSide

COUNTED = 10_000
"""How many customers of a segment are counted."""


class Finding:
    """Customers as employees look for them; who may do so is decided at the border."""

    def __init__(self, reads: ReadSide) -> None:
        self._reads = reads

    async def list(self, caller: Caller, query: CustomerQuery) -> Page[CustomerSummary]:
        """Customers, those who registered last first. Raises InvalidCursor."""
        before = None
        if query.cursor is not None:
            before = decode_cursor(query.cursor, at=_instant, id=UUID)
        filters = query.model_dump(include={"segment", "status"})
        async with self._reads.reading(caller.id) as tx:
            found = await finding_repository.newest(
                tx, filters, before=before, limit=query.limit + 1
            )
        items, more = found[: query.limit], len(found) > query.limit
        cursor = None
        if more:
            cursor = encode_cursor(at=items[-1].registered_at.isoformat(), id=items[-1].id)
        return Page[CustomerSummary](items=items, next_cursor=cursor)

    async def search(self, caller: Caller, search: CustomerSearch) -> Page[CustomerSummary]:
        """Customers that match all that is given, most alike first. Raises InvalidCursor.

        Whoever is shown emails and phone numbers masked must give them whole: letter by letter,
        their beginnings would tell what the mask hides. A cursor holds no personal data.
        """
        hidden = pii.EMAIL.is_hidden_from(caller.roles) or pii.PHONE.is_hidden_from(caller.roles)
        after = None
        if search.cursor is not None:
            after = decode_cursor(search.cursor, likeness=_millionths, id=UUID)
        async with self._reads.reading(caller.id) as tx, tx.transaction():
            found = await finding_repository.found(
                tx,
                name=search.name,
                email=search.email,
                phone=search.phone,
                whole=hidden,
                after=after,
                limit=search.limit + 1,
            )
        matches, more = found[: search.limit], len(found) > search.limit
        cursor = None
        if more:
            last = matches[-1]
            cursor = encode_cursor(likeness=last.likeness, id=last.customer.id)
        return Page[CustomerSummary](
            items=[match.customer for match in matches], next_cursor=cursor
        )

    async def segments(self, caller: Caller) -> Page[SegmentSummary]:
        """Every segment with its meaning and how many customers it has, on one page."""
        async with self._reads.reading(caller.id) as tx:
            counts = await finding_repository.count(tx, list(SEGMENTS), limit=COUNTED + 1)
        items = [
            SegmentSummary(
                code=code,
                meaning=meaning,
                customers=min(counts[code], COUNTED),
                more=counts[code] > COUNTED,
            )
            for code, meaning in SEGMENTS.items()
        ]
        return Page[SegmentSummary](items=items, next_cursor=None)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant has an offset")
    return instant


def _millionths(text: str) -> int:
    likeness = int(text)
    if not 0 <= likeness <= 1_000_000:  # noqa: PLR2004 - the whole
        raise ValueError("no name is that much alike")
    return likeness
