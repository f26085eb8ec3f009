"""Connections to the task hub's database, and single statements through them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

AWAY: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # A standby after a failover, or a server that writes no more because its storage is full.
    psycopg.errors.ReadOnlySqlTransaction,
)
"""What a statement meets while the database cannot serve it; it may be able to a moment later."""

CHECK_CLIENT = "-c client_connection_check_interval=500"
"""PostgreSQL option: a statement of a dead host must not take effect once its row lock is free."""


class Database:
    """The task hub's database. `host` is the number under which this process holds leases."""

    def __init__(
        self, dsn: str, *, max_connections: int, lease_s: float, task_lease_s: float
    ) -> None:
        self.host = 0
        self._joined: ContextVar[AsyncConnection[Any] | None] = ContextVar("joined", default=None)
        self.lease_s, self.task_lease_s = lease_s, task_lease_s
        self._pool = AsyncConnectionPool(
            dsn,
            min_size=2,
            max_size=max_connections,
            open=False,
            name="durable",
            kwargs={"autocommit": True, "prepare_threshold": 0, "options": CHECK_CLIENT},
        )

    async def open(self) -> None:
        """Connect; psycopg_pool.PoolTimeout when the database does not answer in time."""
        await self._pool.open(wait=True, timeout=20)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """One transaction for all statements of this task until the end of the block."""
        async with self._pool.connection() as connection, connection.transaction():
            token = self._joined.set(connection)
            try:
                yield
            finally:
                self._joined.reset(token)

    async def rows(self, query: LiteralString, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of one statement, in a transaction of its own unless it is inside one."""
        joined = self._joined.get()
        if joined is not None:
            return await (await joined.execute(query, params)).fetchall()
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, params)
            return await cursor.fetchall()

    async def value(self, query: LiteralString, params: Mapping[str, Any]) -> Any:
        """The first column of the first row."""
        return (await self.rows(query, params))[0][0]
