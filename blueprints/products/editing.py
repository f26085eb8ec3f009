"""Products that employees make, and what they may change about those of the ERP."""

from typing import Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

from blueprints.products import editing_repository, repository
from blueprints.products.editing_repository import Held
from blueprints.products.models import (
    CreateProduct,
    ErpOwnedField,
    NothingToPin,
    Product,
    SkuTaken,
    UnknownCategory,
    UpdateProduct,
    cache_key,
)
from shared import idempotency
from shared.auth import Caller
from shared.db import Database, Transaction
from shared.idempotency import IdempotencyKey
from shared.problem import EtagMismatch, NotFound

ERPS = ("category", "net_price", "currency", "tax_class", "weight_g")
"""What the ERP decides about its products, besides their stock and whether they are listed."""
TEXTS = ("description", "name")
"""What employees may put better than the ERP."""


class ForgettingCache(Protocol):
    """A cache that can be told what no longer holds."""

    async def delete(self, *keys: str) -> None:
        """Forget the keys."""
        ...


class Editing:
    """Makes and changes products; the ERP's word on its own products is not contradicted."""

    def __init__(self, database: Database, cache: ForgettingCache) -> None:
        self._database, self._cache = database, cache

    async def create(self, caller: Caller, request: CreateProduct, key: IdempotencyKey) -> Product:
        """The new product, the shop's own. Repeating `key` returns it as it was then.

        Raises SkuTaken, UnknownCategory, IdempotencyKeyReused.
        """
        async with self._database.transaction() as tx:
            if (first := await idempotency.replay(tx, key)) is not None:
                return Product.model_validate_json(first)
            await _check_category(tx, request.category, request.category_name)
            product_id = uuid7()
            facts = request.model_dump() | {"id": product_id, "employee_id": caller.id}
            if not await editing_repository.create(tx, facts):
                taken_by = await editing_repository.id_of(tx, request.sku)
                raise SkuTaken("the article number is taken", product_id=str(taken_by))
            product = await repository.product(tx, product_id)
            assert product is not None, "it was made a moment ago"
            await idempotency.remember(tx, key, product.model_dump_json())
        return product

    async def update(
        self, caller: Caller, product_id: UUID, version: int, request: UpdateProduct
    ) -> Product:
        """The product with these facts, if it still has this version.

        Raises NotFound, EtagMismatch, UnknownCategory, ErpOwnedField naming what is the ERP's, and
        NothingToPin.
        """
        async with self._database.transaction() as tx:
            held = await editing_repository.locked(tx, product_id)
            if held is None:
                raise NotFound("there is no such product")
            if held.version != version:
                raise EtagMismatch("the product changed since you read it")
            _check_ownership(held, request)
            if held.origin == "own":
                await _check_category(tx, request.category, request.category_name)
            facts = request.model_dump() | {
                "withheld": _withheld(held, request),
                "pinned": _pinned(held, request),
            }
            await editing_repository.change(tx, product_id, facts)
            if request.on_hand is not None:
                await editing_repository.recount(
                    tx, product_id, request.on_hand, employee_id=caller.id
                )
            product = await repository.product(tx, product_id)
        assert product is not None, "products are never deleted"
        await self._cache.delete(cache_key(product_id))
        return product


async def _check_category(tx: Transaction, code: str, name: str | None) -> None:
    if not await editing_repository.category_known(tx, code, name):
        raise UnknownCategory("there is no such category; name it with category_name to make it")


def _check_ownership(held: Held, request: UpdateProduct) -> None:
    """Refuse what the next sync would undo, or what there is nothing to hold against."""
    if held.origin == "own":
        if request.pinned:
            raise NothingToPin("the product is the shop's own: nothing overwrites it")
        return
    fields = [field for field in ERPS if getattr(request, field) != getattr(held, field)]
    if request.on_hand is not None:
        fields.append("on_hand")
    if request.active and not held.active and not held.listed:
        fields.append("active")
    if fields:
        raise ErpOwnedField("the ERP decides this about its products", fields=[*fields])


def _withheld(held: Held, request: UpdateProduct) -> bool:
    """An employee who leaves `active` as it was has said nothing about it."""
    return held.withheld if request.active == held.active else not request.active


def _pinned(held: Held, request: UpdateProduct) -> list[str]:
    """The texts to keep: those named, or those kept so far, and in any case what is new."""
    if held.origin == "own":
        return []
    changed = {text for text in TEXTS if getattr(request, text) != getattr(held, text)}
    named = held.pinned if request.pinned is None else request.pinned
    return sorted(changed.union(named))
