"""All SQL that reads the catalogue."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from blueprints.products.models import Category, Offer, Product, ProductSummary
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


ON_SALE = """
    SELECT
        p.id,
        p.sku,
        p.name,
        p.category_code AS category,
        p.net_price,
        p.currency,
        p.tax_class,
        p.weight_g,
        GREATEST(i.on_hand - i.reserved, 0) AS available
    FROM products.products AS p
    JOIN products.inventory AS i ON i.product_id = p.id
    WHERE p.active
        AND (p.name, p.id) > (%(after_name)s, %(after_id)s)
    ORDER BY p.name, p.id
    LIMIT %(limit)s
"""

ON_SALE_IN_CATEGORY = """
    SELECT
        p.id,
        p.sku,
        p.name,
        p.category_code AS category,
        p.net_price,
        p.currency,
        p.tax_class,
        p.weight_g,
        GREATEST(i.on_hand - i.reserved, 0) AS available
    FROM products.products AS p
    JOIN products.inventory AS i ON i.product_id = p.id
    WHERE p.active
        AND p.category_code = %(category)s
        AND (p.name, p.id) > (%(after_name)s, %(after_id)s)
    ORDER BY p.name, p.id
    LIMIT %(limit)s
"""

FIRST = ("", UUID(int=0))
"""Sorts before every product: names are never empty."""


async def on_sale(
    tx: Transaction, *, category: str | None, after: tuple[str, UUID], limit: int
) -> list[ProductSummary]:
    """Products on sale by (name, id), beginning behind `after`."""
    query = ON_SALE if category is None else ON_SALE_IN_CATEGORY
    name, product_id = after
    parameters = {
        "category": category,
        "after_name": name,
        "after_id": product_id,
        "limit": limit,
    }
    async with tx.cursor(row_factory=class_row(ProductSummary)) as cursor:
        return await (await cursor.execute(query, parameters)).fetchall()


# A word matches by its stem or exactly as written, so "-" before a word excludes it only in the
# form that is written. The rank is rounded to millionths, an integer, because a cursor must name it
# exactly.
MATCHING = """
    WITH wanted AS (
        SELECT websearch_to_tsquery('english', %(words)s)
            || websearch_to_tsquery('simple', %(words)s) AS query
    ),
    matching AS (
        SELECT
            p.id,
            p.sku,
            p.name,
            p.category_code AS category,
            p.net_price,
            p.currency,
            p.tax_class,
            p.weight_g,
            (ts_rank(p.search, wanted.query) * 1000000)::integer AS rank
        FROM products.products AS p
        CROSS JOIN wanted
        WHERE p.active
            AND p.search @@ wanted.query
    )
    SELECT
        m.rank,
        m.id,
        m.sku,
        m.name,
        m.category,
        m.net_price,
        m.currency,
        m.tax_class,
        m.weight_g,
        GREATEST(i.on_hand - i.reserved, 0) AS available
    FROM matching AS m
    JOIN products.inventory AS i ON i.product_id = m.id
    WHERE (-m.rank, m.id) > (-%(after_rank)s::integer, %(after_id)s)
    ORDER BY -m.rank, m.id
    LIMIT %(limit)s
"""

MOST_RELEVANT = (2**31 - 1, UUID(int=0))
"""Ranks before every match."""


class Match(NamedTuple):
    """A product that matches, and how well in millionths."""

    rank: int
    product: ProductSummary


async def matching(
    tx: Transaction, words: str, *, after: tuple[int, UUID], limit: int
) -> list[Match]:
    """Products on sale that match the words, best first, beginning behind `after`."""
    rank, product_id = after
    parameters = {
        "words": words,
        "after_rank": rank,
        "after_id": product_id,
        "limit": limit,
    }
    async with tx.cursor(row_factory=tuple_row) as cursor:
        rows = await (await cursor.execute(MATCHING, parameters)).fetchall()
    fields = tuple(ProductSummary.model_fields)
    return [
        Match(row[0], ProductSummary.model_validate(dict(zip(fields, row[1:], strict=True))))
        for row in rows
    ]


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
