"""All SQL about runs of the ERP sync: how they begin, where they stand, how they end."""

from uuid import UUID

from psycopg.rows import class_row, scalar_row
from uuid_utils.compat import uuid7

from blueprints.products.models import Starter, SyncRun
from shared.db import Transaction

BEGUN = """
    INSERT INTO products.erp_sync_runs (id, status, started_by)
    VALUES (%(run_id)s, 'running', %(started_by)s)
    ON CONFLICT ((true)) WHERE status = 'running' DO NOTHING
"""

RUNNING = """
    SELECT
        id, status, started_by, started_at, finished_at, pages, seen, created, changed,
        stock_changed, rejected, deactivated, oversold, failure
    FROM products.erp_sync_runs
    WHERE status = 'running'
"""


async def begin(tx: Transaction, started_by: Starter) -> SyncRun | None:
    """The run now going on: a new one, or the one that was; None if that one ended just now."""
    await tx.execute(BEGUN, {"run_id": uuid7(), "started_by": started_by})
    async with tx.cursor(row_factory=class_row(SyncRun)) as cursor:
        return await (await cursor.execute(RUNNING)).fetchone()


RUN_BY_ID = """
    SELECT
        id, status, started_by, started_at, finished_at, pages, seen, created, changed,
        stock_changed, rejected, deactivated, oversold, failure
    FROM products.erp_sync_runs
    WHERE id = %(run_id)s
"""


async def run(tx: Transaction, run_id: UUID) -> SyncRun | None:
    """The run with this id."""
    async with tx.cursor(row_factory=class_row(SyncRun)) as cursor:
        return await (await cursor.execute(RUN_BY_ID, {"run_id": run_id})).fetchone()


LATEST = """
    SELECT
        id, status, started_by, started_at, finished_at, pages, seen, created, changed,
        stock_changed, rejected, deactivated, oversold, failure
    FROM products.erp_sync_runs
    ORDER BY started_at DESC, id DESC
    LIMIT %(limit)s
"""


async def latest(tx: Transaction, *, limit: int) -> list[SyncRun]:
    """The last runs, newest first."""
    async with tx.cursor(row_factory=class_row(SyncRun)) as cursor:
        return await (await cursor.execute(LATEST, {"limit": limit})).fetchall()


GOING_ON = """
    SELECT status = 'running'
    FROM products.erp_sync_runs
    WHERE id = %(run_id)s
    FOR NO KEY UPDATE
"""


async def is_running(tx: Transaction, run_id: UUID) -> bool:
    """Whether the run goes on; it cannot end before the transaction does."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        return bool(await (await cursor.execute(GOING_ON, {"run_id": run_id})).fetchone())


FORGOTTEN = """
    DELETE FROM products.erp_sync_seen
    WHERE run_id = %(run_id)s
"""

SUCCEEDED = """
    UPDATE products.erp_sync_runs
    SET status = 'succeeded',
        finished_at = now(),
        failure = NULL,
        deactivated = %(deactivated)s,
        oversold = (
            SELECT count(*)
            FROM products.inventory
            WHERE reserved > on_hand
        )
    WHERE id = %(run_id)s
"""


async def succeed(tx: Transaction, run_id: UUID, *, deactivated: int) -> None:
    """End the run well, with the number of products it took off sale."""
    await tx.execute(SUCCEEDED, {"run_id": run_id, "deactivated": deactivated})
    await tx.execute(FORGOTTEN, {"run_id": run_id})


FAULT = """
    UPDATE products.erp_sync_runs
    SET failure = %(failure)s
    WHERE id = %(run_id)s
        AND status = 'running'
"""


async def note_fault(tx: Transaction, run_id: UUID, failure: str) -> None:
    """Say why the run does not get on; it may still try again."""
    await tx.execute(FAULT, {"run_id": run_id, "failure": failure})


FAILED = """
    UPDATE products.erp_sync_runs
    SET status = 'failed',
        finished_at = now(),
        failure = COALESCE(failure, %(failure)s)
    WHERE id = %(run_id)s
        AND status = 'running'
"""


async def fail(tx: Transaction, run_id: UUID, failure: str) -> None:
    """End the run, by default for the reason given; what its pages brought stays."""
    await tx.execute(FAILED, {"run_id": run_id, "failure": failure})
    await tx.execute(FORGOTTEN, {"run_id": run_id})
