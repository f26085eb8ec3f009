"""Keeps messages in SQLite: everything that was acknowledged survives the death of the process."""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from localcloud.servicebus.changes import (
    ALL_COUNTERS,
    ALL_ENTITIES,
    ALL_MESSAGE_IDS,
    ALL_MESSAGES,
    ALL_SESSIONS,
    Change,
    Insert,
    PutEntity,
    RememberId,
    SetSessionState,
    Stored,
    statements,
)
from localcloud.servicebus.errors import INTERNAL_ERROR, RESOURCE_LIMIT, AmqpError
from localcloud.servicebus.schema import MIGRATIONS, SCHEMA_VERSION

log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x53425553
PAGE_BYTES: Final = 4096
MAX_BATCH: Final = 2_000
"""Transactions of callers that one commit may carry; it bounds how long the first of them waits."""

_LOCK_WAIT_S: Final = 1.0
_WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024


class StoreUnusable(Exception):
    """The state folder cannot be served: locked, corrupt, foreign, or from a newer version."""


type Done = Callable[[AmqpError | None], None]
"""Called in the event loop once the changes are on disk, or with the reason why they are not."""


class _Transaction(NamedTuple):
    changes: Sequence[Change]
    done: Done
    size: int


class Store:
    """One writer thread with group commit: all that arrives during a commit shares the next one.

    Raises StoreUnusable, saying why and what to do, when the file cannot be opened.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._inbox: queue.SimpleQueue[_Transaction | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._full = False
        self.backlog_bytes = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _open(path, max_bytes)
        except sqlite3.Error as error:
            raise StoreUnusable(_explain(path, error)) from error
        except OSError as error:
            raise StoreUnusable(f"{path}: {error}") from error

    def load(self) -> Stored:
        """Everything that is stored. Raises StoreUnusable."""
        try:
            return Stored(
                [Insert(*row) for row in self._db.execute(ALL_MESSAGES)],
                dict(self._db.execute(ALL_COUNTERS).fetchall()),
                [SetSessionState(*row) for row in self._db.execute(ALL_SESSIONS)],
                [RememberId(*row) for row in self._db.execute(ALL_MESSAGE_IDS)],
                [PutEntity(*row) for row in self._db.execute(ALL_ENTITIES)],
            )
        except sqlite3.Error as error:
            raise StoreUnusable(_explain(self._path, error)) from error

    def start(self) -> None:
        """Begin to write; `done` callbacks will run in the current event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    def submit(self, changes: Sequence[Change], done: Done) -> None:
        """Write `changes` together, after everything submitted before; then call `done`."""
        size = sum(len(change.content) for change in changes if isinstance(change, Insert))
        self.backlog_bytes += size
        self._inbox.put(_Transaction(changes, done, size))

    async def write(self, changes: Sequence[Change]) -> None:
        """Write `changes` together. Raises AmqpError when that fails."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(failure: AmqpError | None) -> None:
            if written.cancelled():
                return
            if failure is None:
                written.set_result(None)
            else:
                written.set_exception(failure)

        self.submit(changes, done)
        await written

    async def close(self) -> None:
        """Write what was submitted, then let go of the file."""
        if self._thread is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join)
        self._db.close()

    def _write(self) -> None:
        running = True
        while running:
            batch: list[_Transaction] = []
            taken = self._inbox.get()
            with contextlib.suppress(queue.Empty):
                while taken is not None:
                    batch.append(taken)
                    if len(batch) == MAX_BATCH:
                        break
                    taken = self._inbox.get_nowait()
            running = taken is not None
            self._report(batch, self._commit(batch))

    def _commit(self, batch: list[_Transaction]) -> list[AmqpError | None]:
        """The outcome for each transaction: a batch that fails is tried again piece by piece."""
        failure = self._try(batch)
        if failure is not None and len(batch) > 1:
            return [self._try([transaction]) for transaction in batch]
        return [failure] * len(batch)

    def _try(self, batch: list[_Transaction]) -> AmqpError | None:
        changes = [change for transaction in batch for change in transaction.changes]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for statement, rows in statements(changes):
                if rows:
                    self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                self._note_full(full=True)
                return AmqpError(RESOURCE_LIMIT, "The store of the broker is full.")
            log.exception("the store could not write")
            return AmqpError(INTERNAL_ERROR, f"The store of the broker failed: {error}.")
        self._note_full(full=False)
        return None

    def _note_full(self, *, full: bool) -> None:
        """Log that the store is full once, not once for each message that is refused."""
        if full and not self._full:
            log.warning("the store is full: sends are refused until messages are completed")
        self._full = full

    def _report(self, batch: list[_Transaction], failures: list[AmqpError | None]) -> None:
        def in_loop() -> None:
            for transaction, failure in zip(batch, failures, strict=True):
                self.backlog_bytes -= transaction.size
                try:
                    transaction.done(failure)
                except Exception:
                    # One caller's mistake must not keep the others from hearing.
                    log.exception("a caller failed to take note of what was stored")

        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(in_loop)


def _open(path: Path, max_bytes: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db, path, max_bytes)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, max_bytes: int) -> None:
    # EXCLUSIVE: two brokers on one file would deliver every message twice.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    db.execute("BEGIN IMMEDIATE")
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if tables == 0:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreUnusable(f"{path} is a database, but not the store of this broker")
    if version > SCHEMA_VERSION:
        raise StoreUnusable(
            f"{path} was written by a newer version (schema {version}, this one reads "
            f"{SCHEMA_VERSION}): update the local cloud, or move the file away"
        )
    for migration in MIGRATIONS[version:]:
        for statement in filter(str.strip, migration.split(";")):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.commit()
    flaw = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if flaw != "ok":
        raise StoreUnusable(_corrupt(path, flaw))
    db.execute(f"PRAGMA max_page_count = {max(max_bytes // PAGE_BYTES, 1)}")


def _explain(path: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path} is in use by another broker"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _corrupt(path, str(error))
    return f"{path}: {error}"


def _corrupt(path: Path, detail: str) -> str:
    return f"{path} is damaged ({detail}): restore it, or move it away to start empty"
