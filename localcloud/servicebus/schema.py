"""The tables of the store, and what turns those of an older version into them."""

from typing import Final

SCHEMA_VERSION: Final = 3

SCHEMA_1: Final = """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        queue TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        enqueued_sequence INTEGER NOT NULL,
        enqueued_at_ms INTEGER NOT NULL,
        expires_at_ms INTEGER,
        delivery_count INTEGER NOT NULL,
        content BLOB NOT NULL
    ) STRICT;
    CREATE TABLE counters (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
"""
SCHEMA_2: Final = """
    ALTER TABLE messages ADD COLUMN due_at_ms INTEGER;
    ALTER TABLE messages ADD COLUMN deferred INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE sessions (
        queue TEXT NOT NULL,
        session TEXT NOT NULL,
        state BLOB,
        PRIMARY KEY (queue, session)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE message_ids (
        entity TEXT NOT NULL,
        message_id TEXT NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (entity, message_id)
    ) STRICT, WITHOUT ROWID;
"""
SCHEMA_3: Final = """
    CREATE TABLE entities (
        path TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        declared TEXT,
        entry TEXT,
        created_at_ms INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
"""
MIGRATIONS: Final = (SCHEMA_1, SCHEMA_2, SCHEMA_3)
"""What turns each version of the schema into the next; an empty file has version 0."""
