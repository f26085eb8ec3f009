"""Connections to the task hub's database, and single statements through them."""

from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg_pool import AsyncConnectionPool

CHECK_CLIENT = "-c client_connection_check_interval=500"
"""PostgreSQL option: a statement of a dead host must not take effect once its row lock is free."""


class Database:
    """The task hub's database. `host` is the number under which this process holds leases."""

    def __init__(
        self, dsn: str, *, max_connections: int, lease_s: float, task_lease_s: float
    ) -> None:
        self.host = 0
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

    async def rows(self, query: LiteralString, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of one statement, in a transaction of its own."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, params)
            return await cursor.fetchall()

    async def value(self, query: LiteralString, params: Mapping[str, Any]) -> Any:
        """The first column of the first row."""
        return (await self.rows(query, params))[0][0]
