"""Asks the database about itself."""

from collections.abc import Collection

from shared.db import Transaction

MISSING_SCHEMAS = """
    SELECT wanted
    FROM unnest(%(wanted)s::text[]) AS wanted
    WHERE NOT EXISTS (
        SELECT true
        FROM pg_catalog.pg_namespace
        WHERE nspname = wanted
    )
    ORDER BY wanted
    LIMIT 100
"""


async def missing_schemas(tx: Transaction, wanted: Collection[str]) -> list[str]:
    """Those of `wanted` that no migration has made, by name."""
    missing = await tx.execute(MISSING_SCHEMAS, {"wanted": list(wanted)})
    return [row[0] for row in await missing.fetchall()]
