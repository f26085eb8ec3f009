"""The managed suppression list: addresses that bounced, and until when mail to them is dropped.

Source: https://learn.microsoft.com/azure/communication-services/concepts/email/sender-reputation-managed-suppression-list
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from localcloud.partners.store import Store

_DAY_S: Final = 24 * 3600.0
LEASES_S: Final[Sequence[float]] = (_DAY_S, 2 * _DAY_S, 4 * _DAY_S, 7 * _DAY_S, 14 * _DAY_S)
"""The first after a bounce; each further mail within a lease begins the next longer one."""

SCHEMA = """
    CREATE TABLE IF NOT EXISTS suppressions (
        address TEXT PRIMARY KEY,
        until REAL NOT NULL,
        lease INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
"""
OF_ADDRESS = """
    SELECT until, lease
    FROM suppressions
    WHERE address = :address
"""
PUT = """
    INSERT INTO suppressions (address, until, lease)
    VALUES (:address, :until, :lease)
    ON CONFLICT (address) DO UPDATE SET until = excluded.until, lease = excluded.lease
"""
NOW_LISTED = """
    SELECT address, until
    FROM suppressions
    WHERE until > :now
    ORDER BY address
    LIMIT 1000
"""
REMOVE = """
    DELETE FROM suppressions
    WHERE :address IS NULL OR address = :address
"""


def add(tx: sqlite3.Connection, address: str, now: float) -> None:
    """Put an address that bounced on the list, for the shortest time."""
    tx.execute(PUT, {"address": address.lower(), "until": now + LEASES_S[0], "lease": 0})


def hit(tx: sqlite3.Connection, address: str, now: float) -> bool:
    """Whether the address is listed; if so, this mail to it keeps it on the list for longer."""
    row = tx.execute(OF_ADDRESS, {"address": address.lower()}).fetchone()
    if row is None or row["until"] <= now:
        return False
    lease = min(row["lease"] + 1, len(LEASES_S) - 1)
    tx.execute(PUT, {"address": address.lower(), "until": now + LEASES_S[lease], "lease": lease})
    return True


def listed(store: Store, now: float) -> list[tuple[str, float]]:
    """The addresses on the list, at most a thousand, and until when."""
    return [(row["address"], row["until"]) for row in store.rows(NOW_LISTED, {"now": now})]


def remove(store: Store, address: str | None) -> int:
    """Take one address off the list, or all for None. How many there were."""
    with store.transaction() as tx:
        chosen = None if address is None else address.lower()
        return tx.execute(REMOVE, {"address": chosen}).rowcount
