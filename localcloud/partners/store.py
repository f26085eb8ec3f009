"""A partner's memory: one SQLite file, with the ledger and the answers kept under their keys."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]

SCHEMA = """
    CREATE TABLE IF NOT EXISTS ledger (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        operation TEXT NOT NULL,
        reference TEXT,
        facts TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS ledger_by_reference ON ledger (reference, seq);
    CREATE TABLE IF NOT EXISTS answers (
        key TEXT PRIMARY KEY,
        request TEXT NOT NULL,
        status INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
"""
APPEND = """
    INSERT INTO ledger (at, operation, reference, facts)
    VALUES (:at, :operation, :reference, :facts)
"""
ENTRIES = """
    SELECT seq, at, operation, reference, facts
    FROM ledger
    WHERE seq > :after
      AND (:reference IS NULL OR reference = :reference)
      AND (:operation IS NULL OR operation = :operation)
    ORDER BY seq
"""
ANSWER = """
    SELECT request, status, body
    FROM answers
    WHERE key = :key
"""
KEEP_ANSWER = """
    INSERT INTO answers (key, request, status, body)
    VALUES (:key, :request, :status, :body)
"""


class KeyReused(Exception):
    """An idempotency key came back with another request."""


@dataclass(frozen=True)
class Answer:
    """What a request came to; `fresh` when it was this request that took effect."""

    status: int
    body: JsonObject
    fresh: bool = True


def now() -> str:
    """The time as ISO 8601 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Store:
    """The file. Everything here is short and blocking: one process, one connection, one writer.

    A transaction is with the operating system before `transaction()` ends, so whatever is answered
    afterwards survives a kill of the process. Only a power cut may take back the last moments:
    waiting for the disk would more than double what a partner's answer costs on the machine that
    the platform under test has to share with it.
    """

    def __init__(self, path: Path, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, autocommit=True)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA + schema)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def rows(self, query: str, parameters: Mapping[str, Any]) -> list[sqlite3.Row]:
        return self._connection.execute(query, parameters).fetchall()

    def ledger(
        self, *, reference: str | None = None, operation: str | None = None, after: int = 0
    ) -> list[JsonObject]:
        """What took effect, oldest first."""
        selection = {"reference": reference, "operation": operation, "after": after}
        return [
            {
                "seq": row["seq"],
                "at": row["at"],
                "operation": row["operation"],
                "reference": row["reference"],
                **json.loads(row["facts"]),
            }
            for row in self.rows(ENTRIES, selection)
        ]

    def close(self) -> None:
        self._connection.close()


def record(tx: sqlite3.Connection, operation: str, reference: str | None, **facts: Any) -> None:
    """Enter an effect into the ledger, in the transaction that makes it."""
    tx.execute(
        APPEND,
        {
            "at": now(),
            "operation": operation,
            "reference": reference,
            "facts": json.dumps(facts),
        },
    )


def once(
    tx: sqlite3.Connection, key: str, request: str, effect: Callable[[], tuple[int, JsonObject]]
) -> Answer:
    """The answer kept under `key`, or else that of `effect`, which is kept.

    An effect that raises keeps nothing: a refusal changed nothing, so the same key may try again.
    Raises KeyReused when the key was used for another `request`.
    """
    kept = tx.execute(ANSWER, {"key": key}).fetchone()
    if kept is not None:
        if kept["request"] != request:
            raise KeyReused(key)
        return Answer(kept["status"], json.loads(kept["body"]), fresh=False)
    status, body = effect()
    tx.execute(
        KEEP_ANSWER,
        {"key": key, "request": request, "status": status, "body": json.dumps(body)},
    )
    return Answer(status, body)
