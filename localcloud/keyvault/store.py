"""Secrets in SQLite: every change is on the disk before it is answered."""

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcloud.keyvault import errors
from localcloud.keyvault.records import RECOVERABLE_DAYS, Change, Deleted, NewVersion, Version

FILE = "secrets.sqlite3"
_BUSY_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS secrets (
    key     TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    deleted INTEGER,
    purged  INTEGER
);
CREATE TABLE IF NOT EXISTS versions (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    key          TEXT NOT NULL REFERENCES secrets ON DELETE CASCADE,
    version      TEXT NOT NULL,
    value        TEXT NOT NULL,
    content_type TEXT,
    tags         TEXT,
    enabled      INTEGER NOT NULL,
    nbf          INTEGER,
    exp          INTEGER,
    created      INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    UNIQUE (key, version)
);
"""
_VERSION = """
    SELECT s.name, v.version, v.value, v.content_type, v.tags, v.enabled, v.nbf, v.exp, v.created,
        v.updated, v.position
    FROM versions v
    JOIN secrets s ON s.key = v.key
"""
_IS_LATEST = " v.position = (SELECT max(w.position) FROM versions w WHERE w.key = v.key)"
_ALIVE = _VERSION + " WHERE s.deleted IS NULL AND "
_ONE = _ALIVE + "s.key = ? AND v.version = ?"
_LATEST_OF_ONE = _ALIVE + "s.key = ? AND" + _IS_LATEST
_LATEST_OF_ALL = _ALIVE + "s.key > ? AND" + _IS_LATEST + " ORDER BY s.key LIMIT ?"
_ALL_OF_ONE = _ALIVE + "s.key = ? AND v.position > ? ORDER BY v.position LIMIT ?"
_LATEST_OF_DELETED = _VERSION + " WHERE s.deleted IS NOT NULL AND s.key = ? AND" + _IS_LATEST
_DELETED = """
    SELECT key, deleted, purged
    FROM secrets
    WHERE purged > ? AND key = ?
"""
_ALL_DELETED = """
    SELECT key, deleted, purged
    FROM secrets
    WHERE purged > ? AND key > ?
    ORDER BY key
    LIMIT ?
"""
_KNOWN = "SELECT deleted FROM secrets WHERE key = ?"
_INSERT = """
    INSERT INTO versions
        (key, version, value, content_type, tags, enabled, nbf, exp, created, updated)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE = """
    UPDATE versions
    SET content_type = coalesce(?, content_type), tags = coalesce(?, tags),
        enabled = coalesce(?, enabled), nbf = coalesce(?, nbf), exp = coalesce(?, exp), updated = ?
    WHERE key = ? AND version = ?
"""


class SecretStore:
    """The secrets of one vault; names compare without regard to case.

    Several processes may have it open. Methods raise errors.VaultError.
    """

    def __init__(self, state: Path, *, clock: Callable[[], float] = time.time) -> None:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = state / FILE
        file.touch(mode=0o600)
        self._clock = clock
        self._database = sqlite3.connect(file, timeout=_BUSY_S, autocommit=True)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA foreign_keys = ON")
        self._database.execute("PRAGMA secure_delete = ON")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def set(self, name: str, new: NewVersion) -> Version:
        """Make a new version the latest."""
        now, version = int(self._clock()), secrets.token_hex(16)
        with self._writing() as database:
            self._forget(now)
            self._claim(name)
            database.execute(
                _INSERT,
                (
                    name.casefold(),
                    version,
                    new.value,
                    new.content_type,
                    _json(new.tags),
                    new.attributes.enabled is not False,
                    new.attributes.nbf,
                    new.attributes.exp,
                    now,
                    now,
                ),
            )
            return self._get(name, version)

    def get(self, name: str, version: str | None = None) -> Version:
        """That version, or the latest."""
        return self._get(name, version)

    def change(self, name: str, version: str | None, change: Change) -> Version:
        """Change properties of that version, or of the latest."""
        with self._writing() as database:
            found = self._get(name, version)
            attributes = change.attributes
            database.execute(
                _UPDATE,
                (
                    change.content_type,
                    _json(change.tags),
                    attributes.enabled,
                    attributes.nbf,
                    attributes.exp,
                    int(self._clock()),
                    name.casefold(),
                    found.version,
                ),
            )
            return self._get(name, found.version)

    def versions(self, name: str, *, after: int, limit: int) -> list[tuple[int, Version]]:
        """Up to `limit` versions of a secret with their places, in the order they were made."""
        self._get(name, None)
        rows = self._database.execute(_ALL_OF_ONE, (name.casefold(), after, limit))
        return [(row["position"], _version(row)) for row in rows]

    def latest(self, *, after: str, limit: int) -> list[Version]:
        """The latest version of up to `limit` secrets behind `after`, by name."""
        rows = self._database.execute(_LATEST_OF_ALL, (after.casefold(), limit))
        return [_version(row) for row in rows]

    def knows(self, name: str) -> bool:
        """Whether there is such a secret, deleted ones included."""
        row = self._database.execute(_KNOWN, (name.casefold(),)).fetchone()
        return row is not None

    def delete(self, name: str) -> Deleted:
        """Take a secret away; it can be recovered for RECOVERABLE_DAYS."""
        now = int(self._clock())
        with self._writing() as database:
            self._get(name, None)
            database.execute(
                "UPDATE secrets SET deleted = ?, purged = ? WHERE key = ?",
                (now, now + RECOVERABLE_DAYS * 86400, name.casefold()),
            )
            return self.deleted(name)

    def deleted(self, name: str) -> Deleted:
        """A deleted secret."""
        now = int(self._clock())
        row = self._database.execute(_DELETED, (now, name.casefold())).fetchone()
        if row is None:
            raise errors.not_found(name, deleted=True)
        return self._deleted(row)

    def all_deleted(self, *, after: str, limit: int) -> list[Deleted]:
        """Up to `limit` deleted secrets behind `after`, by name."""
        now = int(self._clock())
        rows = self._database.execute(_ALL_DELETED, (now, after.casefold(), limit)).fetchall()
        return [self._deleted(row) for row in rows]

    def recover(self, name: str) -> Version:
        """Bring a deleted secret back; its latest version."""
        with self._writing() as database:
            self.deleted(name)
            database.execute(
                "UPDATE secrets SET deleted = NULL, purged = NULL WHERE key = ?",
                (name.casefold(),),
            )
            return self._get(name, None)

    def purge(self, name: str) -> None:
        """Forget a deleted secret for good."""
        with self._writing() as database:
            self.deleted(name)
            database.execute("DELETE FROM secrets WHERE key = ?", (name.casefold(),))

    def restore(self, versions: Sequence[Version]) -> Version:
        """Bring back a secret with all its versions; the latest. Its name must be free."""
        name = versions[0].name
        with self._writing() as database:
            self._forget(int(self._clock()))
            if self._claim(name):
                raise errors.exists(name)
            database.executemany(
                _INSERT,
                [
                    (
                        name.casefold(),
                        kept.version,
                        kept.value,
                        kept.content_type,
                        _json(kept.tags),
                        kept.enabled,
                        kept.nbf,
                        kept.exp,
                        kept.created,
                        kept.updated,
                    )
                    for kept in versions
                ],
            )
            return self._get(name, None)

    def _get(self, name: str, version: str | None) -> Version:
        key = name.casefold()
        if version is None:
            row = self._database.execute(_LATEST_OF_ONE, (key,)).fetchone()
        else:
            row = self._database.execute(_ONE, (key, version)).fetchone()
        if row is None:
            raise errors.not_found(name if version is None else f"{name}/{version}")
        return _version(row)

    def _deleted(self, row: sqlite3.Row) -> Deleted:
        latest = self._database.execute(_LATEST_OF_DELETED, (row["key"],)).fetchone()
        return Deleted(latest=_version(latest), deleted=row["deleted"], purged=row["purged"])

    def _claim(self, name: str) -> bool:
        """Take the name; whether there was such a secret. VaultError when it is deleted."""
        row = self._database.execute(_KNOWN, (name.casefold(),)).fetchone()
        if row is None:
            self._database.execute(
                "INSERT INTO secrets (key, name) VALUES (?, ?)", (name.casefold(), name)
            )
        elif row["deleted"] is not None:
            raise errors.deleted_but_recoverable(name)
        return row is not None

    def _forget(self, now: int) -> None:
        """Purge what was deleted so long ago that it cannot be recovered any more."""
        self._database.execute("DELETE FROM secrets WHERE purged <= ?", (now,))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def _version(row: sqlite3.Row) -> Version:
    facts: dict[str, Any] = dict(row)
    tags = facts.pop("tags")
    return Version(**facts, tags=json.loads(tags) if tags is not None else None)


def _json(tags: dict[str, str] | None) -> str | None:
    return None if tags is None else json.dumps(tags)
