"""All SQL about what a run of the ERP sync found to differ: a bounded number of each kind."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from blueprints.products.models import Drift, DriftKind
from shared.db import Transaction

SHOWN = 100
"""How many differences of each kind a report shows."""
KEPT = SHOWN + 1
"""One more is kept, to tell that there were more."""
RUNS_KEPT = 20

# Compares a page with what is here before the page is taken in. The run's row is locked, so pages
# of a run are compared one after the other and the bound holds. A page that is pulled again finds
# its differences gone, and those it noted the first time still noted.
NOTED = """
    WITH met AS (
        SELECT
            t.sku,
            p.id AS product_id,
            p.origin,
            p.net_price,
            t.net_price AS erps_price,
            i.on_hand,
            i.erp_on_hand,
            t.on_hand AS erps_count,
            ARRAY(
                SELECT pin
                FROM unnest(p.pinned) AS pin
                WHERE (pin = 'name' AND p.name <> t.name)
                    OR (pin = 'description' AND p.description <> t.description)
                ORDER BY pin
            ) AS pinned
        FROM unnest(
            %(sku)s::text[], %(name)s::text[], %(description)s::text[], %(net_price)s::bigint[],
            %(on_hand)s::bigint[]
        ) AS t (sku, name, description, net_price, on_hand)
        JOIN products.products AS p ON p.sku = t.sku
        JOIN products.inventory AS i ON i.product_id = p.id
    ),
    differing (kind, sku, product_id, fields, ours, erps) AS (
        SELECT 'price', sku, product_id, NULL::text[], net_price, erps_price
        FROM met
        WHERE origin = 'erp'
            AND net_price <> erps_price
        UNION ALL
        SELECT
            CASE WHEN erp_on_hand IS DISTINCT FROM erps_count THEN 'recounted' ELSE 'diverged' END,
            sku, product_id, NULL, on_hand, erps_count
        FROM met
        WHERE origin = 'erp'
            AND on_hand <> erps_count
        UNION ALL
        SELECT 'pinned', sku, product_id, pinned, NULL, NULL
        FROM met
        WHERE cardinality(pinned) > 0
        UNION ALL
        SELECT 'sku_taken', sku, product_id, NULL, NULL, NULL
        FROM met
        WHERE origin = 'own'
        UNION ALL
        SELECT 'rejected', sku, NULL, NULL, NULL, NULL
        FROM unnest(%(rejected)s::text[]) AS sku
    ),
    placed AS (
        SELECT
            d.*,
            row_number() OVER (PARTITION BY d.kind ORDER BY d.sku) + (
                SELECT count(*)
                FROM products.erp_sync_drifts AS noted
                WHERE noted.run_id = %(run_id)s
                    AND noted.kind = d.kind
            ) AS place
        FROM differing AS d
    )
    INSERT INTO products.erp_sync_drifts (run_id, kind, sku, product_id, fields, ours, erps)
    SELECT %(run_id)s, kind, sku, product_id, fields, ours, erps
    FROM placed
    WHERE place <= %(kept)s
    ON CONFLICT (run_id, kind, sku) DO NOTHING
"""


async def compare(tx: Transaction, page: Mapping[str, Any]) -> None:
    """Note how a page, column by column, differs from what is here before it is taken in."""
    await tx.execute(NOTED, {**page, "kept": KEPT})


GONE = """
    INSERT INTO products.erp_sync_drifts (run_id, kind, sku, product_id)
    SELECT %(run_id)s, 'gone', p.sku, p.id
    FROM products.products AS p
    WHERE p.id = ANY (%(product_ids)s)
    ORDER BY p.sku
    LIMIT %(kept)s
"""

OVERSOLD = """
    INSERT INTO products.erp_sync_drifts (run_id, kind, sku, product_id, ours, erps)
    SELECT %(run_id)s, 'oversold', p.sku, p.id, i.reserved, i.on_hand
    FROM products.inventory AS i
    JOIN products.products AS p ON p.id = i.product_id
    WHERE i.reserved > i.on_hand
    ORDER BY p.sku
    LIMIT %(kept)s
"""

OUTDATED = """
    DELETE FROM products.erp_sync_drifts
    WHERE run_id NOT IN (
        SELECT id
        FROM products.erp_sync_runs
        ORDER BY started_at DESC, id DESC
        LIMIT %(runs)s
    )
"""


async def conclude(tx: Transaction, run_id: UUID, *, gone: Sequence[UUID]) -> None:
    """Note what the whole run shows, and forget what runs of long ago have shown."""
    parameters = {"run_id": run_id, "product_ids": list(gone), "kept": KEPT, "runs": RUNS_KEPT}
    await tx.execute(GONE, parameters)
    await tx.execute(OVERSOLD, parameters)
    await tx.execute(OUTDATED, parameters)


OF_RUN = """
    SELECT
        kind,
        sku,
        product_id,
        fields,
        ours,
        erps
    FROM products.erp_sync_drifts
    WHERE run_id = %(run_id)s
    ORDER BY kind, sku
    LIMIT 1000
"""


async def of_run(tx: Transaction, run_id: UUID) -> list[Drift]:
    """What the run found to differ by kind and article number, up to KEPT of each kind."""
    async with tx.cursor(row_factory=class_row(Drift)) as cursor:
        return await (await cursor.execute(OF_RUN, {"run_id": run_id})).fetchall()


COUNTS = """
    SELECT
        run_id,
        kind,
        LEAST(count(*), %(shown)s)
    FROM products.erp_sync_drifts
    WHERE run_id = ANY (%(run_ids)s)
    GROUP BY run_id, kind
    ORDER BY run_id, kind
    LIMIT 1000
"""


async def counts(
    tx: Transaction, run_ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[DriftKind, int]]:
    """How many differences of each kind the runs have found, up to SHOWN."""
    parameters = {"run_ids": list(run_ids), "shown": SHOWN}
    found: dict[UUID, dict[DriftKind, int]] = {}
    async with tx.cursor(row_factory=tuple_row) as cursor:
        for run_id, kind, count in await (await cursor.execute(COUNTS, parameters)).fetchall():
            found.setdefault(run_id, {})[kind] = count
    return found
