"""A host's presence in the database: its number, the lock that proves it lives, notifications."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import AsyncConnection

from localcloud.durable.schema import LOCK_CLASS

_log = logging.getLogger(__name__)

_RECONNECT_S = 0.5

ENTER = """
    WITH entered AS (
        SELECT nextval('durable.host_numbers')::integer AS host
    )
    SELECT host, pg_advisory_lock(%(class)s, host)
    FROM entered
"""
ANNOUNCE = "INSERT INTO durable.hosts (host) VALUES (%(host)s) ON CONFLICT (host) DO NOTHING"


class Presence:
    """One connection that lives as long as the host.

    The server frees its advisory lock the moment the process dies, which voids the host's leases.
    A lost connection costs the host its number: it enters again under a new one.
    """

    def __init__(
        self, dsn: str, *, entered: Callable[[int], None], notified: Callable[[str, int], None]
    ) -> None:
        """`entered` learns the host's number, `notified` the sort of work and its sender."""
        self._dsn, self._entered, self._notified = dsn, entered, notified
        self._connection: AsyncConnection[Any] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        """Connect and begin to listen. psycopg.OperationalError when the database is away."""
        self._connection = await self._connect()
        self._listening = asyncio.create_task(self._listen())

    async def leave(self) -> None:
        """Disconnect; leases that are still held become void."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if self._connection is not None:
            await self._connection.close()

    async def _connect(self) -> AsyncConnection[Any]:
        connection = await AsyncConnection.connect(self._dsn, autocommit=True)
        async with contextlib.AsyncExitStack() as unfinished:
            # Left open half-way, by a fault or a host that stops, it would hold a lock for nobody.
            unfinished.push_async_callback(connection.close)
            row = await (await connection.execute(ENTER, {"class": LOCK_CLASS})).fetchone()
            assert row is not None
            await connection.execute(ANNOUNCE, {"host": row[0]})
            await connection.execute("LISTEN durable")
            unfinished.pop_all()
        self._entered(row[0])
        return connection

    async def _listen(self) -> None:
        while True:
            try:
                if self._connection is None:
                    self._connection = await self._connect()
                async for notification in self._connection.notifies():
                    sort, _, host = notification.payload.partition(" ")
                    self._notified(sort, int(host))
            except psycopg.Error as problem:
                _log.warning("lost the connection that proves this host lives: %s", problem)
            if self._connection is not None:
                await self._connection.close()
                self._connection = None
            await asyncio.sleep(_RECONNECT_S)
