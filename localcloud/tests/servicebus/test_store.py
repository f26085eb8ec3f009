"""What is on disk: group commit, quota, and files that cannot be served."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from localcloud.servicebus.changes import (
    Advance,
    Change,
    CountDelivery,
    Defer,
    Delete,
    ForgetIds,
    Insert,
    RememberId,
    SetSessionState,
    Stored,
)
from localcloud.servicebus.errors import AmqpError
from localcloud.servicebus.schema import SCHEMA_1
from localcloud.servicebus.store import APPLICATION_ID, Store, StoreUnusable

MIB = 1024 * 1024


def row(number: int, content: bytes = b"content") -> Insert:
    return Insert(number, "q", number, number, 1_000 + number, None, 0, content)


async def write(store: Store, changes: Sequence[Change]) -> AmqpError | None:
    """The outcome of one submission."""
    outcome: asyncio.Future[AmqpError | None] = asyncio.get_running_loop().create_future()
    store.submit(changes, outcome.set_result)
    return await outcome


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "s.db", 64 * MIB)
    assert store.load() == Stored([], {}, [], [], [])
    store.start()
    assert await write(store, [row(1), row(2), Advance("q", 2)]) is None
    assert await write(store, [Delete(1), CountDelivery(3, 2), Advance("q", 5)]) is None
    await store.close()
    reopened = Store(tmp_path / "new" / "s.db", 64 * MIB)
    assert reopened.load() == Stored([row(2)._replace(delivery_count=3)], {"q": 5}, [], [], [])
    await reopened.close()


async def test_the_last_of_several_changes_to_one_thing_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", 64 * MIB)
    store.start()
    changes: list[Change] = [
        row(1),
        Defer(1),
        SetSessionState("q", "a", b"1"),
        SetSessionState("q", "a", b"2"),
        SetSessionState("q", "b", b"3"),
        SetSessionState("q", "b", None),
        RememberId("q", "old", 5),
        RememberId("q", "young", 9),
        ForgetIds("q", 5),
    ]
    assert await write(store, changes) is None
    assert store.load() == Stored(
        [row(1)._replace(deferred=1)],
        {},
        [SetSessionState("q", "a", b"2")],
        [RememberId("q", "young", 9)],
        [],
    )
    await store.close()


async def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "s.db")
    db.executescript(SCHEMA_1)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    db.execute("INSERT INTO messages VALUES (1, 'q', 1, 1, 1001, NULL, 0, x'636f6e74656e74')")
    db.commit()
    db.close()
    for _ in range(2):
        store = Store(tmp_path / "s.db", 64 * MIB)
        assert store.load() == Stored([row(1)], {}, [], [], [])
        await store.close()


async def test_closing_writes_what_was_submitted(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", 64 * MIB)
    store.start()
    outcomes: list[AmqpError | None] = []
    for number in range(1, 101):
        store.submit([row(number)], outcomes.append)
    await store.close()
    reopened = Store(tmp_path / "s.db", 64 * MIB)
    assert len(reopened.load().messages) == 100
    await reopened.close()
    assert outcomes == [None] * 100


async def test_a_full_store_refuses_what_does_not_fit_and_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", MIB)
    store.start()
    half = b"x" * (MIB // 2)
    outcomes = await asyncio.gather(
        write(store, [row(1)]),
        write(store, [row(2, half)]),
        write(store, [row(3, half)]),
        write(store, [row(4)]),
    )
    conditions = [outcome and outcome.condition for outcome in outcomes]
    assert conditions == [None, None, "amqp:resource-limit-exceeded", None]
    assert await write(store, [Delete(2)]) is None
    assert await write(store, [row(3, half)]) is None
    assert store.backlog_bytes == 0
    assert [stored.id for stored in store_rows(store)] == [1, 3, 4]
    await store.close()


def store_rows(store: Store) -> list[Insert]:
    return store.load().messages


async def test_a_transaction_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", 64 * MIB)
    store.start()
    assert await write(store, [row(1)]) is None
    failure = await write(store, [Delete(1), row(2), row(2)])
    assert failure is not None
    assert failure.condition == "amqp:internal-error"
    assert store_rows(store) == [row(1)]
    await store.close()


def test_a_store_serves_one_broker(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", MIB)
    with pytest.raises(StoreUnusable, match="in use by another broker"):
        Store(tmp_path / "s.db", MIB)
    store._db.close()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"this is no database" * 500)
    with pytest.raises(StoreUnusable, match="is damaged"):
        Store(tmp_path / "s.db", MIB)


async def test_damage_inside_a_file_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", 64 * MIB)
    store.start()
    await write(store, [row(number, b"x" * 3_000) for number in range(1, 60)])
    await store.close()
    data = bytearray((tmp_path / "s.db").read_bytes())
    data[8_192 : len(data) - 4_096] = b"\xa5" * (len(data) - 12_288)
    (tmp_path / "s.db").write_bytes(data)
    with pytest.raises(StoreUnusable, match="is damaged"):
        Store(tmp_path / "s.db", 64 * MIB)


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s.db", MIB)._db.close()
    db = sqlite3.connect(tmp_path / "s.db")
    db.execute("PRAGMA user_version = 4")
    db.close()
    with pytest.raises(StoreUnusable, match=r"newer version \(schema 4, this one reads 3\)"):
        Store(tmp_path / "s.db", MIB)


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "s.db")
    db.execute("CREATE TABLE invoices (id INTEGER)")
    db.close()
    with pytest.raises(StoreUnusable, match="not the store of this broker"):
        Store(tmp_path / "s.db", MIB)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnusable, match="file"):
        Store(tmp_path / "file" / "s.db", MIB)
