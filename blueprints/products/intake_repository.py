"""All SQL that takes over a page of the ERP's catalogue, and what the ERP no longer lists."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import scalar_row
from uuid_utils.compat import uuid7

from blueprints.products import drift_repository
from blueprints.products.models import ErpPage, ErpProduct
from shared.db import Transaction

# Rows that say nothing new are left alone: no version, no write. So are products of our own that
# have an article number of the ERP, and pinned texts. The ids of changed rows come back, so that
# caches forget them.
MASTER_DATA = """
    WITH incoming AS (
        SELECT
            id, sku, name, description, category_code, category_name, net_price, currency,
            tax_class, weight_g, active
        FROM unnest(
            %(id)s::uuid[], %(sku)s::text[], %(name)s::text[], %(description)s::text[],
            %(category_code)s::text[], %(category_name)s::text[], %(net_price)s::bigint[],
            %(currency)s::text[], %(tax_class)s::text[], %(weight_g)s::integer[],
            %(active)s::boolean[]
        ) AS t (
            id, sku, name, description, category_code, category_name, net_price, currency,
            tax_class, weight_g, active
        )
    ),
    named AS (
        INSERT INTO products.product_categories AS c (code, name)
        SELECT DISTINCT ON (category_code) category_code, category_name
        FROM incoming
        ORDER BY category_code, sku DESC
        ON CONFLICT (code) DO UPDATE
            SET name = excluded.name
            WHERE c.name <> excluded.name
    ),
    seen AS (
        INSERT INTO products.erp_sync_seen (run_id, sku)
        SELECT %(run_id)s, sku
        FROM (
            SELECT sku FROM incoming
            UNION
            SELECT unnest(%(rejected)s::text[])
        ) AS met
        ON CONFLICT (run_id, sku) DO NOTHING
    )
    INSERT INTO products.products AS p (
        id, sku, name, description, category_code, net_price, currency, tax_class, weight_g,
        active, listed
    )
    SELECT
        id, sku, name, description, category_code, net_price, currency, tax_class, weight_g,
        active, active
    FROM incoming
    ORDER BY sku
    ON CONFLICT (sku) DO UPDATE
        SET name = CASE WHEN 'name' = ANY (p.pinned) THEN p.name ELSE excluded.name END,
            description = CASE
                WHEN 'description' = ANY (p.pinned) THEN p.description
                ELSE excluded.description
            END,
            category_code = excluded.category_code,
            net_price = excluded.net_price,
            currency = excluded.currency,
            tax_class = excluded.tax_class,
            weight_g = excluded.weight_g,
            listed = excluded.listed,
            active = excluded.listed AND NOT p.withheld,
            version = p.version + 1,
            updated_at = now()
        WHERE p.origin = 'erp'
            AND (
                (
                    p.category_code, p.net_price, p.currency, p.tax_class, p.weight_g, p.listed
                ) IS DISTINCT FROM (
                    excluded.category_code, excluded.net_price, excluded.currency,
                    excluded.tax_class, excluded.weight_g, excluded.listed
                )
                OR (p.name <> excluded.name AND 'name' <> ALL (p.pinned))
                OR (p.description <> excluded.description AND 'description' <> ALL (p.pinned))
            )
    RETURNING p.id, p.version = 1 AS created
"""

# The ERP counts what lies in the warehouse and knows nothing of reservations, so only on_hand is
# taken over, and only a count that differs from the ERP's last: goods that left since, which the
# ERP may not have heard of, must not come back with every run.
LOCKED = """
    SELECT i.product_id
    FROM products.inventory AS i
    JOIN products.products AS p ON p.id = i.product_id
    JOIN unnest(%(sku)s::text[], %(on_hand)s::bigint[]) AS t (sku, on_hand) ON t.sku = p.sku
    WHERE p.origin = 'erp'
        AND i.erp_on_hand IS DISTINCT FROM t.on_hand
    ORDER BY i.product_id
    FOR NO KEY UPDATE OF i
"""

COUNTED = """
    WITH incoming AS (
        SELECT
            p.id AS product_id,
            t.on_hand,
            i.on_hand AS on_hand_before
        FROM unnest(%(sku)s::text[], %(on_hand)s::bigint[]) AS t (sku, on_hand)
        JOIN products.products AS p ON p.sku = t.sku
        LEFT JOIN products.inventory AS i ON i.product_id = p.id
        WHERE p.origin = 'erp'
    ),
    counted AS (
        INSERT INTO products.inventory AS i (product_id, on_hand, erp_on_hand)
        SELECT product_id, on_hand, on_hand
        FROM incoming
        ORDER BY product_id
        ON CONFLICT (product_id) DO UPDATE
            SET on_hand = excluded.on_hand,
                erp_on_hand = excluded.erp_on_hand,
                updated_at = now()
            WHERE i.erp_on_hand IS DISTINCT FROM excluded.erp_on_hand
        RETURNING i.product_id
    )
    INSERT INTO products.stock_movements (
        product_id, kind, run_id, quantity, on_hand_change, reserved_change
    )
    SELECT
        n.product_id,
        'counted',
        %(run_id)s,
        n.on_hand,
        n.on_hand - COALESCE(n.on_hand_before, 0),
        0
    FROM counted AS c
    JOIN incoming AS n ON n.product_id = c.product_id
    WHERE n.on_hand <> COALESCE(n.on_hand_before, 0)
"""

PAGE_TAKEN = """
    INSERT INTO products.erp_sync_pages AS p (
        run_id, page, seen, created, changed, stock_changed, rejected
    )
    VALUES (
        %(run_id)s, %(page)s, %(seen)s, %(created)s, %(changed)s, %(stock_changed)s, %(rejected)s
    )
    ON CONFLICT (run_id, page) DO UPDATE
        SET seen = excluded.seen,
            created = p.created + excluded.created,
            changed = p.changed + excluded.changed,
            stock_changed = p.stock_changed + excluded.stock_changed,
            rejected = excluded.rejected
"""


SUMMED = """
    UPDATE products.erp_sync_runs AS r
    SET pages = s.pages,
        seen = s.seen,
        created = s.created,
        changed = s.changed,
        stock_changed = s.stock_changed,
        rejected = s.rejected,
        failure = NULL
    FROM (
        SELECT
            count(*) AS pages,
            sum(p.seen) AS seen,
            sum(p.created) AS created,
            sum(p.changed) AS changed,
            sum(p.stock_changed) AS stock_changed,
            sum(p.rejected) AS rejected
        FROM products.erp_sync_pages AS p
        WHERE p.run_id = %(run_id)s
    ) AS s
    WHERE r.id = %(run_id)s
"""


async def take_in(tx: Transaction, run_id: UUID, number: int, page: ErpPage) -> list[UUID]:
    """Take over the page and account for it; returns the ids of products that were new or changed.

    What differs is noted first. Taking the same page in again changes nothing, nor does it count
    twice.
    """
    parameters = _columns(page.products) | {"run_id": run_id, "rejected": list(page.rejected)}
    await drift_repository.compare(tx, parameters)
    async with tx.cursor() as cursor:
        written = await (await cursor.execute(MASTER_DATA, parameters)).fetchall()
        await cursor.execute(LOCKED, parameters)
        stock_changed = (await cursor.execute(COUNTED, parameters)).rowcount
        created = sum(is_new for _, is_new in written)
        counts = {
            "run_id": run_id,
            "page": number,
            "seen": len(page.products) + len(page.rejected),
            "created": created,
            "changed": len(written) - created,
            "stock_changed": stock_changed,
            "rejected": len(page.rejected),
        }
        await cursor.execute(PAGE_TAKEN, counts)
        await cursor.execute(SUMMED, counts)
    return [product_id for product_id, _ in written]


def _columns(products: Sequence[ErpProduct]) -> dict[str, list[Any]]:
    """The page column by column, as unnest wants it, with an id for each product that is new."""
    fields = ErpProduct.model_fields
    columns = {field: [getattr(product, field) for product in products] for field in fields}
    return columns | {"id": [uuid7() for _ in products]}


DEACTIVATED = """
    UPDATE products.products AS p
    SET active = false,
        listed = false,
        version = p.version + 1,
        updated_at = now()
    WHERE p.listed
        AND p.origin = 'erp'
        AND NOT EXISTS (
            SELECT
            FROM products.erp_sync_seen AS s
            WHERE s.run_id = %(run_id)s
                AND s.sku = p.sku
        )
    RETURNING p.id
"""


async def deactivate_unseen(tx: Transaction, run_id: UUID) -> list[UUID]:
    """Take the ERP's products off sale that the run has not met; returns their ids."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        return await (await cursor.execute(DEACTIVATED, {"run_id": run_id})).fetchall()
