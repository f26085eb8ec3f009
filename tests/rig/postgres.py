"""Looking into the platform's database from a test, and holding row locks there."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[psycopg.AsyncConnection[dict[str, Any]]]:
    """An autocommit connection whose rows are dicts."""
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row)
    async with connection:
        yield connection


class RowLock:
    """A row held by the test: whoever wants to change it waits until the test lets go."""

    def __init__(self, url: str, statement: str, *parameters: Any) -> None:
        self._url, self._statement, self._parameters = url, statement, parameters
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def hold(self) -> None:
        """Take the lock. AssertionError if the statement finds no row."""
        self._connection = await psycopg.AsyncConnection.connect(self._url)
        cursor = await self._connection.execute(self._statement, self._parameters)
        # A lock on a table counts no rows.
        assert cursor.rowcount != 0, f"nothing to lock: {self._statement}"

    async def waited_for(self, within_s: float = 30) -> None:
        """Return once somebody waits for the row. AssertionError if nobody came in time."""
        assert self._connection is not None
        pid = self._connection.info.backend_pid
        deadline = time.monotonic() + within_s
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as watch:
            while True:
                cursor = await watch.execute(
                    "SELECT count(*) FROM pg_locks"
                    " WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))",
                    (pid,),
                )
                row = await cursor.fetchone()
                if row and row[0] > 0:
                    return
                assert time.monotonic() < deadline, f"nobody waits for: {self._statement}"
                await asyncio.sleep(0.02)

    async def end_waiters(self, within_s: float = 10) -> None:
        """End the sessions that wait for the row, and return once they are gone.

        A server process outlives its client: it would finish the statement of a killed host as soon
        as the row is free.
        """
        assert self._connection is not None
        pid = self._connection.info.backend_pid
        deadline = time.monotonic() + within_s
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as watch:
            while True:
                cursor = await watch.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks"
                    " WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))",
                    (pid,),
                )
                if cursor.rowcount == 0:
                    return
                assert time.monotonic() < deadline, "a waiting session does not end"
                await asyncio.sleep(0.02)

    async def let_go(self) -> None:
        """Give the row back, unchanged. Harmless when it is not held, or went with its server."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.OperationalError):
                await self._connection.rollback()
            await self._connection.close()
            self._connection = None

    async def __aenter__(self) -> Self:
        await self.hold()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.let_go()


TABLES = """
    SELECT schemaname || '.' || relname AS name
    FROM pg_stat_user_tables
    WHERE schemaname IN (
        'orders', 'products', 'customers', 'payments', 'notifications', 'messaging', 'sessions'
    )
    ORDER BY name
"""


async def contents(db: psycopg.AsyncConnection[dict[str, Any]]) -> dict[str, str]:
    """A digest of every product table, to see whether anything changed.

    Not of the audit trail: that grows when employees look at what they then fail to change.
    """
    names = [row["name"] for row in await (await db.execute(TABLES)).fetchall()]
    digests: dict[str, str] = {}
    for name in names:
        schema, table = name.split(".")
        query = psycopg.sql.SQL(
            "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS digest"
            " FROM {} t"
        ).format(psycopg.sql.Identifier(schema, table))
        row = await (await db.execute(query)).fetchone()
        assert row is not None
        digests[name] = row["digest"]
    return digests
