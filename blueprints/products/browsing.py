"""Finding products: lists, search that forgives typing errors, and facets."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from blueprints.products import browsing_repository
from blueprints.products.browsing_repository import Order, Placed, Position, Wanted
from blueprints.products.models import (
    Facets,
    ListQuery,
    PriceFacet,
    ProductPage,
    SearchQuery,
)
from shared.auth import Caller
from shared.db import Transaction
from shared.http import decode_cursor, encode_cursor
from shared.problem import InvalidCursor
from shared.replica import ReadSide

BANDS = (0, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000)
"""Where the bands of prices begin, in minor units."""

SHORTEST_ALIKE = 3

FILTERS = {"category", "min_price", "max_price", "in_stock"}


class Browsing:
    """Products on sale, as anyone may look for them."""

    def __init__(self, reads: ReadSide) -> None:
        self._reads = reads

    async def list(self, caller: Caller, query: ListQuery) -> ProductPage:
        """Products on sale that pass the filters. Raises InvalidCursor."""
        wanted = Wanted(query.model_dump(include=FILTERS))
        after = _after(query.cursor, query.sort)
        async with self._reads.reading(caller.id) as tx:
            return await _page(tx, wanted, query, query.sort, after)

    async def search(self, caller: Caller, query: SearchQuery) -> ProductPage:
        """Products on sale that have the words, or, if none has, those named most like them.

        Raises InvalidCursor. A cursor stays with what its first page was: words or likeness.
        """
        wanted = Wanted(query.model_dump(include=FILTERS), words=query.q)
        alike = _cursor_order(query.cursor) == "similarity"
        async with self._reads.reading(caller.id) as tx:
            if not alike:
                after = _after(query.cursor, query.sort)
                page = await _page(tx, wanted, query, query.sort, after)
                if page.items or query.cursor is not None or await _has(tx, wanted):
                    return page
            similar = Wanted(wanted.filters, words=_plain(query.q), alike=True)
            if not similar.words:
                return ProductPage(items=[], next_cursor=None, similar=True)
            async with tx.transaction():
                await browsing_repository.tolerate_typos(tx)
                after = _after(query.cursor, "similarity")
                page = await _page(tx, similar, query, "similarity", after)
        return page.model_copy(update={"similar": True})


async def _has(tx: Transaction, wanted: Wanted) -> bool:
    """Whether any product has the words, were it not for the filters."""
    anything = Wanted(words=wanted.words)
    order: Order = "newest"
    return bool(await browsing_repository.listed(tx, anything, order=order, after=None, limit=1))


async def _page(
    tx: Transaction,
    wanted: Wanted,
    query: ListQuery | SearchQuery,
    order: Order,
    after: tuple[Position, UUID] | None,
) -> ProductPage:
    found = await browsing_repository.listed(
        tx, wanted, order=order, after=after, limit=query.limit + 1
    )
    placed, more = found[: query.limit], len(found) > query.limit
    return ProductPage(
        items=[each.product for each in placed],
        next_cursor=_cursor(order, placed[-1]) if more else None,
        facets=await _facets(tx, wanted) if query.facets else None,
    )


async def _facets(tx: Transaction, wanted: Wanted) -> Facets:
    counts = await browsing_repository.counted(tx, wanted, BANDS)
    ends = [bound - 1 for bound in BANDS[1:]]
    bands = zip(BANDS, [*ends, None], strict=True)
    prices = [
        PriceFacet(min_price=low, max_price=high, count=counts.prices[number])
        for number, (low, high) in enumerate(bands, start=1)
        if number in counts.prices
    ]
    return Facets(
        categories=counts.categories,
        prices=prices,
        in_stock=counts.in_stock,
        sold_out=counts.sold_out,
        complete=counts.complete,
    )


def _cursor(order: Order, last: Placed) -> str:
    at = last.position.isoformat() if isinstance(last.position, datetime) else last.position
    return encode_cursor(sort=order, at=at, id=last.product.id)


def _after(cursor: str | None, order: Order) -> tuple[Position, UUID] | None:
    """Where the cursor stands. Raises InvalidCursor if it belongs to another order."""
    if cursor is None:
        return None
    sort, at, product_id = decode_cursor(cursor, "sort", at=_READ[order], id=UUID)
    if sort != order:
        raise InvalidCursor("the cursor was given out by a list in another order")
    return at, product_id


def _cursor_order(cursor: str | None) -> str | None:
    """The order that the cursor names. Raises InvalidCursor."""
    return None if cursor is None else str(decode_cursor(cursor, "sort", "at", "id")[0])


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError("no position is that high or low")
    return int(text)


def _millionths(text: str) -> int:
    number = _number(text)
    if number >= 2**31:
        raise ValueError("no product is that relevant")
    return number


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant has an offset")
    return instant


_READ: dict[Order, Callable[[str], Any]] = {
    "name": str,
    "price": _number,
    "-price": _number,
    "newest": _instant,
    "relevance": _millionths,
    "similarity": _millionths,
}


_RUNS = re.compile(r"[\W_]+")
"""What parts the runs of letters and digits that pg_trgm compares."""


def _plain(words: str) -> str:
    """The words without quotes, what is excluded, and those too short to be like another."""
    kept = [
        word
        for word in words.replace('"', " ").split()
        if not word.startswith("-") and len(max(_RUNS.split(word), key=len)) >= SHORTEST_ALIKE
    ]
    return " ".join(kept)
