"""The memory of Event Grid: one SQLite file, written in groups."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from localcloud.eventgrid.schema import FORGET_ORPHANS, SCHEMA

Work = Callable[[sqlite3.Connection], None]


class Store:
    """One process, one connection. Work of the same moment shares a transaction.

    A transaction is with the operating system before the future of its work is done, so what is
    acknowledged afterwards survives a kill of the process; only a power cut may take back the last
    moments.
    """

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.DatabaseError when the file is damaged."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, autocommit=True)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)
        self._connection.execute(FORGET_ORPHANS)
        self._waiting: list[tuple[Work, asyncio.Future[None]]] = []

    def write(self, work: Work) -> asyncio.Future[None]:
        """Do the work in the next transaction; the future is done once it is committed.

        It fails with sqlite3.Error when nothing was written.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._commit)
        self._waiting.append((work, done))
        return done

    def write_now(self, work: Work) -> None:
        """Do the work in a transaction of its own. Raises sqlite3.Error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            work(self._connection)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def rows(self, query: str, parameters: Mapping[str, Any]) -> list[sqlite3.Row]:
        return self._connection.execute(query, parameters).fetchall()

    def row(self, query: str, parameters: Mapping[str, Any]) -> sqlite3.Row:
        """The one row of a query that always has one."""
        found: sqlite3.Row = self._connection.execute(query, parameters).fetchone()
        return found

    def close(self) -> None:
        """Write what waits, then let go of the file."""
        self._commit()
        self._connection.close()

    def _commit(self) -> None:
        group, self._waiting = self._waiting, []
        if not group:
            return

        def all_of_it(connection: sqlite3.Connection) -> None:
            for work, _ in group:
                work(connection)

        try:
            self.write_now(all_of_it)
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
            return
        for _, done in group:
            if not done.done():
                done.set_result(None)
