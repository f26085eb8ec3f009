"""All SQL with which employees make and change products, and count their stock."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from blueprints.products.models import Origin
from shared.db import Transaction

CATEGORY_NAMED = """
    INSERT INTO products.product_categories (code, name)
    VALUES (%(code)s, %(name)s)
    ON CONFLICT (code) DO NOTHING
"""

CATEGORY_KNOWN = """
    SELECT EXISTS (
        SELECT
        FROM products.product_categories
        WHERE code = %(code)s
    )
"""


async def category_known(tx: Transaction, code: str, name: str | None) -> bool:
    """Whether there is the category, made under `name` if need be; one that exists stays named."""
    parameters = {"code": code, "name": name}
    if name is not None:
        await tx.execute(CATEGORY_NAMED, parameters)
        return True
    async with tx.cursor(row_factory=scalar_row) as cursor:
        return bool(await (await cursor.execute(CATEGORY_KNOWN, parameters)).fetchone())


CREATED = """
    WITH created AS (
        INSERT INTO products.products (
            id, sku, name, description, category_code, net_price, currency, tax_class, weight_g,
            active, withheld, origin
        )
        VALUES (
            %(id)s, %(sku)s, %(name)s, %(description)s, %(category)s, %(net_price)s, %(currency)s,
            %(tax_class)s, %(weight_g)s, %(active)s, NOT %(active)s, 'own'
        )
        ON CONFLICT (sku) DO NOTHING
        RETURNING id
    ),
    stored AS (
        INSERT INTO products.inventory (product_id, on_hand)
        SELECT id, %(on_hand)s
        FROM created
    ),
    noted AS (
        INSERT INTO products.stock_movements (
            product_id, kind, quantity, on_hand_change, reserved_change, employee_id
        )
        SELECT id, 'counted', %(on_hand)s, %(on_hand)s, 0, %(employee_id)s
        FROM created
        WHERE %(on_hand)s > 0
    )
    SELECT true
    FROM created
"""


async def create(tx: Transaction, facts: dict[str, Any]) -> bool:
    """Make a product of our own with its stock; False if its article number is taken."""
    return await (await tx.execute(CREATED, facts)).fetchone() is not None


BY_SKU = """
    SELECT id
    FROM products.products
    WHERE sku = %(sku)s
"""


async def id_of(tx: Transaction, sku: str) -> UUID | None:
    """The product with this article number."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        found: UUID | None = await (await cursor.execute(BY_SKU, {"sku": sku})).fetchone()
        return found


LOCKED = """
    SELECT
        p.name,
        p.description,
        p.category_code AS category,
        p.net_price,
        p.currency,
        p.tax_class,
        p.weight_g,
        p.active,
        p.origin,
        p.listed,
        p.withheld,
        p.pinned,
        p.version
    FROM products.products AS p
    WHERE p.id = %(product_id)s
    FOR NO KEY UPDATE OF p
"""


@dataclass(frozen=True)
class Held:
    """A product that nobody else changes before the transaction ends."""

    name: str
    description: str
    category: str
    net_price: int
    currency: str
    tax_class: str
    weight_g: int
    active: bool
    origin: Origin
    listed: bool
    withheld: bool
    pinned: list[str]
    version: int


async def locked(tx: Transaction, product_id: UUID) -> Held | None:
    """The product as it is, which stays so until the transaction ends."""
    async with tx.cursor(row_factory=class_row(Held)) as cursor:
        return await (await cursor.execute(LOCKED, {"product_id": product_id})).fetchone()


CHANGED = """
    UPDATE products.products
    SET name = %(name)s,
        description = %(description)s,
        category_code = %(category)s,
        net_price = %(net_price)s,
        currency = %(currency)s,
        tax_class = %(tax_class)s,
        weight_g = %(weight_g)s,
        active = listed AND NOT %(withheld)s,
        withheld = %(withheld)s,
        pinned = %(pinned)s,
        version = version + 1,
        updated_at = now()
    WHERE id = %(product_id)s
"""


async def change(tx: Transaction, product_id: UUID, facts: dict[str, Any]) -> None:
    """Give the locked product these facts and a new version."""
    await tx.execute(CHANGED, facts | {"product_id": product_id})


RECOUNTED = """
    WITH before AS MATERIALIZED (
        SELECT
            i.product_id,
            i.on_hand
        FROM products.inventory AS i
        WHERE i.product_id = %(product_id)s
        FOR NO KEY UPDATE OF i
    ),
    counted AS (
        UPDATE products.inventory AS i
        SET on_hand = %(on_hand)s,
            updated_at = now()
        FROM before AS b
        WHERE i.product_id = b.product_id
        RETURNING i.product_id, %(on_hand)s - b.on_hand AS on_hand_change
    )
    INSERT INTO products.stock_movements (
        product_id, kind, quantity, on_hand_change, reserved_change, employee_id
    )
    SELECT product_id, 'counted', %(on_hand)s, on_hand_change, 0, %(employee_id)s
    FROM counted
    WHERE on_hand_change <> 0
"""


async def recount(tx: Transaction, product_id: UUID, on_hand: int, *, employee_id: UUID) -> None:
    """The employee has counted this many pieces just now."""
    parameters = {"product_id": product_id, "on_hand": on_hand, "employee_id": employee_id}
    await tx.execute(RECOUNTED, parameters)
