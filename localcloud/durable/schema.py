"""Creates and renews the schema `durable`."""

import hashlib
from pathlib import Path

from psycopg import AsyncConnection

SCHEMA = sorted(Path(__file__).with_name("sql").glob("*.sql"))
LOCK_CLASS = 20036
"""First half of the advisory lock that a host holds while it lives; the second is its number."""


class WrongHub(Exception):
    """The database belongs to another task hub."""


HUB = """
    INSERT INTO durable.hub (name)
    VALUES (%(hub)s)
    ON CONFLICT (one) DO UPDATE SET one = true
    RETURNING name, digest
"""
SEAL = "UPDATE durable.hub SET digest = %(digest)s"


async def install(dsn: str, hub: str) -> None:
    """Create or renew the schema; does nothing when it is this version already.

    Raises WrongHub when the database holds another hub's instances.
    """
    schema = "\n".join(part.read_text() for part in SCHEMA)
    digest = hashlib.sha256(schema.encode()).hexdigest()
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK_CLASS])
        await connection.execute("SET LOCAL client_min_messages = warning")
        exists = await connection.execute("SELECT to_regclass('durable.hub') IS NOT NULL")
        row = await exists.fetchone()
        assert row is not None
        if not row[0]:
            await connection.execute(schema.encode())
        owner = await (await connection.execute(HUB, {"hub": hub})).fetchone()
        assert owner is not None
        if owner[0] != hub:
            raise WrongHub(f"the database belongs to task hub '{owner[0]}', not '{hub}'")
        if owner[1] != digest:
            if row[0]:
                await connection.execute(schema.encode())
            await connection.execute(SEAL, {"digest": digest})
