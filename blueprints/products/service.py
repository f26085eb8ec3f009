"""What anyone may ask of the catalogue by name: one product, the categories, offers."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel, ValidationError

from blueprints.products import repository
from blueprints.products.models import (
    Category,
    Offer,
    Product,
    cache_key,
)
from shared.db import Database, Pending, Transaction
from shared.http import Page
from shared.problem import NotFound

PRODUCT_TTL_S = 3600
AVAILABLE_TTL_S = 5.0
"""How old a cached `available` may be: it informs, only a reservation decides."""


class Cache(Protocol):
    """A shared cache that may forget anything at any time."""

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        ...

    async def set(self, key: str, value: str, ttl_s: int) -> None:
        """Keep the value for at most `ttl_s`."""
        ...


class _Entry(BaseModel):
    product: Product
    counted_at: float


class ProductService:
    """The catalogue as callers see it."""

    def __init__(
        self, database: Database, cache: Cache, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database, self._cache, self._clock = database, cache, clock

    async def categories(self) -> Page[Category]:
        """Categories with products on sale, by name, all on one page."""
        async with self._database.reading() as tx:
            return Page[Category](items=await repository.categories(tx), next_cursor=None)

    async def get(self, product_id: UUID) -> Product:
        """The product, on sale or not. Raises NotFound.

        Master data may come from the cache, which every sync empties of what it changed; a look at
        `available`, never older than AVAILABLE_TTL_S, also sees whether the cached version still
        holds.
        """
        key = cache_key(product_id)
        cached = _entry(await self._cache.get(key))
        if cached is not None and 0 <= self._clock() - cached.counted_at < AVAILABLE_TTL_S:
            return cached.product
        async with self._database.reading() as tx:
            product = await self._current(tx, product_id, cached)
        if product is None:
            raise NotFound("there is no such product")
        entry = _Entry(product=product, counted_at=self._clock())
        await self._cache.set(key, entry.model_dump_json(), PRODUCT_TTL_S)
        return product

    async def _current(
        self, tx: Transaction, product_id: UUID, cached: _Entry | None
    ) -> Product | None:
        if cached is not None:
            now = await repository.availability(tx, product_id)
            if now is not None and now.version == cached.product.version:
                return cached.product.model_copy(update={"available": now.available})
        return await repository.product(tx, product_id)

    async def quote(self, product_ids: Collection[UUID], country: str) -> Mapping[UUID, Offer]:
        """The offer of each product on sale in the country, with that country's tax rate.

        Products not on sale are absent; a country without tax rates has no offers at all.
        """
        async with self._database.reading() as tx:
            return await (await self.ask_quote(tx, product_ids, country))()

    async def ask_quote(
        self, tx: Transaction, product_ids: Collection[UUID], country: str
    ) -> Pending[Mapping[UUID, Offer]]:
        """What `quote` tells, for a caller with other questions to the database."""
        return await repository.ask_offers(tx, product_ids, country)


def _entry(text: str | None) -> _Entry | None:
    """What the cache holds; an entry of another release counts as absent."""
    if text is None:
        return None
    try:
        return _Entry.model_validate_json(text)
    except ValidationError:
        return None
