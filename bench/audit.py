"""The audit trail alone: durable entries a second, and how long a million take to verify."""

import asyncio
import json
import struct
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from bench.durable_turns import server
from bench.load import closed_loop
from blueprints.audit import chain
from blueprints.audit.models import Entry, Head, Link
from blueprints.audit.trail import Trail, payload
from blueprints.audit.verifying import Verifying
from localcloud.cloud import ROOT
from localcloud.migrate import migrate
from shared.db import Database

ENTRIES = 1_000_000
PER_COPY = 50_000
EVENTS_PER_ORDER = 6
CONCURRENT = 16
"""How many messages of a queue the Functions host has in hand at a time (host.json)."""

_HEADER, _TRAILER = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"
_NUMBER, _LENGTH = struct.Struct(">q"), struct.Struct(">i")
_LINK_COLUMNS, _DETAIL_COLUMNS = struct.pack(">h", 19), struct.pack(">h", 4)


class NoAnchors:
    """A trail that has not been anchored yet."""

    async def days(self) -> list[date]:
        """None."""
        return []

    async def read(self, days: list[date]) -> list[bytes]:
        """None."""
        del days
        return []


def event() -> Entry:
    """What a usual event of an order becomes."""
    order_id = uuid7()
    return Entry(
        origin="event",
        action="order.confirmed.v1",
        actor_kind="platform",
        actor_id=None,
        subject_kind="order",
        subject_id=order_id,
        occurred_at=datetime.now(UTC),
        order_id=order_id,
        event_id=str(uuid7()),
        correlation_id=str(uuid7()),
        payload=payload({"data": {"order_id": str(order_id)}, "source": "/order-platform/order"}),
    )


async def recorded(database: Database, seconds: float) -> dict[str, Any]:
    """Entries a second, one by one, as the trigger hands them over."""
    trail = Trail(database)

    async def record(number: int) -> bool:
        del number
        await trail.record([event()])
        return True

    row = (await closed_loop(record, clients=CONCURRENT, seconds=seconds)).as_json()
    return row | {"orders_per_second": round(row["per_second"] / EVENTS_PER_ORDER, 1)}


def load(url: str, count: int) -> None:
    """Chain `count` more entries, a part at a time, in PostgreSQL's own binary format."""
    with psycopg.connect(url) as owner:
        row = owner.execute("SELECT seq, entry_hash, recorded_at FROM audit.chain_head").fetchone()
        assert row is not None
        head = Head(*row)
        for _ in range(0, count, PER_COPY):
            links = chain.linked(head, (event() for _ in range(PER_COPY)), datetime.now(UTC))
            with owner.cursor().copy("COPY audit.audit_logs FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(_HEADER + b"".join(map(_link, links)) + _TRAILER)
            with owner.cursor().copy("COPY audit.details FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(_HEADER + b"".join(map(_detail, links)) + _TRAILER)
            head = Head(links[-1].seq, links[-1].entry_hash, links[-1].recorded_at)
        owner.execute(
            "UPDATE audit.chain_head SET seq = %s, entry_hash = %s, recorded_at = %s",
            (head.seq, head.entry_hash, head.recorded_at),
        )
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE audit.audit_logs, audit.details")


async def verified(database: Database) -> dict[str, Any]:
    """Seconds to check the whole chain, and how many entries that are."""
    began, cpu = time.perf_counter(), time.process_time()
    async for verification in Verifying(database, NoAnchors(), []).progress(1):
        outcome = verification
    took = time.perf_counter() - began
    assert outcome.ok, outcome.findings
    return {
        "entries": outcome.verified,
        "seconds": round(took, 1),
        "per_second": round(outcome.verified / took),
        "cpu_us": round(1e6 * (time.process_time() - cpu) / outcome.verified, 1),
    }


async def _measured(seconds: float) -> dict[str, Any]:
    async with server() as url:
        await asyncio.to_thread(migrate, url, ROOT / "migrations")
        database = Database(url, statement_timeout_s=300)
        rate = await recorded(database, seconds)
        await asyncio.to_thread(load, url, ENTRIES)
        check = await verified(database)
        await database.close()
    return {"records": rate, "verifies": check}


def measure(seconds: float) -> dict[str, Any]:
    """Recording for `seconds` and verifying a million entries, on a database with fsync."""
    return asyncio.run(_measured(seconds))


def _link(link: Link) -> bytes:
    encoded = chain.encode(
        link.entry,
        seq=link.seq,
        recorded_at=link.recorded_at,
        occurred_at=link.occurred_at,
        commitment=link.commitment,
    )
    return _LINK_COLUMNS + encoded + _fields((link.previous_hash, link.entry_hash))


def _detail(link: Link) -> bytes:
    assert link.salt is not None
    assert link.entry.payload is not None
    person: UUID | None = link.entry.person_id
    values = (
        _NUMBER.pack(link.seq),
        None if person is None else person.bytes,
        link.salt,
        link.entry.payload.encode(),
    )
    return _DETAIL_COLUMNS + _fields(values)


def _fields(values: Iterable[bytes | None]) -> bytes:
    return b"".join(
        _LENGTH.pack(-1) if value is None else _LENGTH.pack(len(value)) + value for value in values
    )


if __name__ == "__main__":
    print(json.dumps(measure(8.0), indent=2))
