"""All SQL that reads one product, the categories and the offers."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from blueprints.products.models import Category, Offer, Product
from shared.db import Pending, Transaction

BY_ID = """
    SELECT
        p.id,
        p.sku,
        p.name,
        p.category_code AS category,
        p.net_price,
        p.currency,
        p.tax_class,
        p.weight_g,
        GREATEST(i.on_hand - i.reserved, 0) AS available,
        p.description,
        p.active,
        p.origin,
        p.pinned,
        p.version,
        p.updated_at
    FROM products.products AS p
    JOIN products.inventory AS i ON i.product_id = p.id
    WHERE p.id = %(product_id)s
"""


async def product(tx: Transaction, product_id: UUID) -> Product | None:
    """The product with this id, on sale or not."""
    async with tx.cursor(row_factory=class_row(Product)) as cursor:
        return await (await cursor.execute(BY_ID, {"product_id": product_id})).fetchone()


AVAILABILITY = """
    SELECT
        p.version,
        GREATEST(i.on_hand - i.reserved, 0) AS available
    FROM products.products AS p
    JOIN products.inventory AS i ON i.product_id = p.id
    WHERE p.id = %(product_id)s
"""


class Availability(NamedTuple):
    """How many can still be reserved, and the version of the master data."""

    version: int
    available: int


async def availability(tx: Transaction, product_id: UUID) -> Availability | None:
    """What changes often about a product."""
    async with tx.cursor(row_factory=class_row(Availability)) as cursor:
        return await (await cursor.execute(AVAILABILITY, {"product_id": product_id})).fetchone()


CATEGORIES_ON_SALE = """
    SELECT
        c.code,
        c.name
    FROM products.product_categories AS c
    WHERE EXISTS (
        SELECT
        FROM products.products AS p
        WHERE p.category_code = c.code
            AND p.active
    )
    ORDER BY c.name, c.code
    LIMIT 1000
"""


async def categories(tx: Transaction) -> list[Category]:
    """Categories with products on sale, by name."""
    async with tx.cursor(row_factory=class_row(Category)) as cursor:
        return await (await cursor.execute(CATEGORIES_ON_SALE)).fetchall()


OFFERS = """
    SELECT
        p.id AS product_id,
        p.sku,
        p.name,
        p.net_price,
        p.currency,
        p.tax_class,
        t.rate_bp AS tax_rate_bp,
        p.weight_g
    FROM products.products AS p
    JOIN products.tax_rates AS t ON t.tax_class = p.tax_class
    WHERE p.id = ANY (%(product_ids)s)
        AND p.active
        AND t.country = %(country)s
    ORDER BY p.id
    LIMIT %(limit)s
"""


async def ask_offers(
    tx: Transaction, product_ids: Collection[UUID], country: str
) -> Pending[Mapping[UUID, Offer]]:
    """The offer of each product on sale in the country; the others are absent."""
    wanted: Sequence[UUID] = sorted(set(product_ids))
    parameters = {"product_ids": wanted, "country": country, "limit": len(wanted)}
    cursor = tx.cursor(row_factory=class_row(Offer))
    await cursor.execute(OFFERS, parameters)

    async def offers() -> Mapping[UUID, Offer]:
        return {offer.product_id: offer for offer in await cursor.fetchall()}

    return offers
