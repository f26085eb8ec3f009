"""What the identity provider keeps: one SQLite file, for its owner only."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS keys (
        kid TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        pem BLOB NOT NULL,
        signs_from REAL NOT NULL,
        published_until REAL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS client_secrets (
        client_id TEXT NOT NULL,
        secret TEXT NOT NULL,
        PRIMARY KEY (client_id, secret)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS people (
        oid TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        username TEXT NOT NULL,
        password TEXT NOT NULL,
        registered_at REAL NOT NULL,
        UNIQUE (tenant, username)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS sessions (
        sid TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        oid TEXT NOT NULL,
        auth_time INTEGER NOT NULL,
        cookie BLOB NOT NULL UNIQUE,
        expires_at REAL NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS codes (
        code BLOB PRIMARY KEY,
        grant_id TEXT NOT NULL UNIQUE,
        redirect_uri TEXT NOT NULL,
        challenge TEXT NOT NULL,
        nonce TEXT,
        redeemed INTEGER NOT NULL DEFAULT 0,
        expires_at REAL NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS refresh_tokens (
        token BLOB PRIMARY KEY,
        grant_id TEXT NOT NULL,
        used INTEGER NOT NULL DEFAULT 0,
        expires_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS refresh_tokens_of_a_grant ON refresh_tokens (grant_id);
    CREATE TABLE IF NOT EXISTS grants (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        client_id TEXT NOT NULL,
        oid TEXT NOT NULL,
        sid TEXT NOT NULL,
        auth_time INTEGER NOT NULL,
        scope TEXT NOT NULL,
        expires_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS grants_of_a_session ON grants (sid);
"""
_EXPIRED: Final = (
    "DELETE FROM sessions WHERE expires_at <= :now",
    "DELETE FROM codes WHERE expires_at <= :now",
    "DELETE FROM refresh_tokens WHERE expires_at <= :now",
    "DELETE FROM grants WHERE expires_at <= :now",
)


class Store:
    """The file. Everything here is short and blocking: one process, one connection, one writer.

    A transaction is with the operating system before `transaction()` ends, so what is answered
    afterwards survives a kill of the process.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the file in `folder`, made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "identity.db"
        # SQLite would make it readable for everybody; the files beside it take its mode over.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(path, autocommit=True)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block, or nothing of it when it raises."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def rows(self, query: str, **parameters: object) -> list[sqlite3.Row]:
        """The answer to one query."""
        return self._connection.execute(query, parameters).fetchall()

    def row(self, query: str, **parameters: object) -> sqlite3.Row | None:
        """The first row of the answer, if there is one."""
        found: sqlite3.Row | None = self._connection.execute(query, parameters).fetchone()
        return found

    def forget_expired(self, now: float) -> None:
        """Delete what nobody can use any more."""
        with self.transaction() as tx:
            for statement in _EXPIRED:
                tx.execute(statement, {"now": now})

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._connection.close()
