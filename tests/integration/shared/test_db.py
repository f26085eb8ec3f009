"""The way to PostgreSQL, against a real one."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from shared import db
from shared.db import Database

THING = UUID("0195a0a0-0000-7000-8000-000000000001")


@pytest.fixture(scope="module", autouse=True)
async def things(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE things (id uuid PRIMARY KEY, facts jsonb, at timestamptz)")


@pytest.fixture(autouse=True)
async def no_things(database: Database) -> AsyncIterator[None]:
    yield
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE things")


async def count(database: Database) -> int:
    async with database.reading() as tx:
        row = await (await tx.execute("SELECT count(*) FROM things")).fetchone()
        assert row is not None
        number: int = row[0]
        return number


async def test_a_transaction_commits_on_leaving(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO things (id) VALUES (%s)", (THING,))
        assert await count(database) == 0
    assert await count(database) == 1


async def test_a_statement_commits_by_itself(database: Database) -> None:
    async with database.statement() as tx:
        await tx.execute("INSERT INTO things (id) VALUES (%s)", (THING,))
        assert await count(database) == 1


async def test_a_statement_that_takes_too_long_has_no_effect(database_url: str) -> None:
    hasty = Database(database_url, statement_timeout_s=0.05)
    with pytest.raises(psycopg.errors.QueryCanceled):
        async with hasty.statement() as tx:
            await tx.execute("INSERT INTO things (id) SELECT %s FROM pg_sleep(60)", (THING,))
    assert await count(hasty) == 0
    await hasty.close()


async def test_an_exception_rolls_everything_back(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO things (id) VALUES (%s)", (THING,))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await count(database) == 0


async def test_a_savepoint_undoes_only_what_is_inside(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO things (id) VALUES (%s)", (THING,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with tx.transaction():
                await tx.execute("INSERT INTO things (id) VALUES (%s)", (THING,))
    assert await count(database) == 1


async def test_a_cancelled_transaction_rolls_back_and_frees_its_connection(
    database_url: str,
) -> None:
    small = Database(database_url, max_size=1)
    started = asyncio.Event()

    async def sleep() -> None:
        async with small.transaction() as tx:
            await tx.execute("INSERT INTO things (id) VALUES (%s)", (THING,))
            started.set()
            await tx.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(sleep())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(small) == 0
    await small.close()


async def test_values_come_back_as_they_went_in(database: Database) -> None:
    facts = {"name": "Käse", "tags": ["a"], "n": 1}
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO things (id, facts, at) VALUES (%s, %s, '2026-01-02 03:04:05+05')",
            (THING, facts),
        )
    async with database.reading() as tx:
        row = await (await tx.execute("SELECT id, facts, at FROM things")).fetchone()
    assert row is not None
    assert row[:2] == (THING, facts)
    assert row[2].isoformat() == "2026-01-01T22:04:05+00:00"


async def test_times_are_read_in_utc_whatever_the_server_prefers(database_url: str) -> None:
    elsewhere = Database(f"{database_url}?options=-c%20TimeZone%3DAsia/Tokyo")
    async with elsewhere.reading() as tx:
        row = await (await tx.execute("SELECT '2026-01-02 00:00+00'::timestamptz")).fetchone()
    assert row is not None
    assert row[0].isoformat() == "2026-01-02T00:00:00+00:00"
    await elsewhere.close()


@pytest.mark.parametrize("prepare", [True, False])
async def test_statements_are_prepared_only_where_that_is_set(
    database_url: str, prepare: bool
) -> None:
    pooled = Database(database_url, max_size=1, prepare=prepare)
    for number in range(10):
        async with pooled.transaction() as tx:
            await tx.execute("SELECT %s::int + 1", (number,))
    async with pooled.reading() as tx:
        row = await (await tx.execute("SELECT count(*) FROM pg_prepared_statements")).fetchone()
    assert row == (1 if prepare else 0,)
    await pooled.close()


async def test_a_statement_that_takes_too_long_is_stopped(database_url: str) -> None:
    hasty = Database(database_url, statement_timeout_s=0.05)
    with pytest.raises(psycopg.errors.QueryCanceled):
        async with hasty.transaction() as tx:
            await tx.execute("SELECT pg_sleep(60)")
    with pytest.raises(psycopg.errors.QueryCanceled):
        async with hasty.reading() as tx:
            await tx.execute("SELECT pg_sleep(60)")
    async with hasty.reading() as tx:
        assert await (await tx.execute("SELECT 1")).fetchone() == (1,)
    await hasty.close()


async def test_nothing_of_a_transaction_s_limits_stays_with_the_session(
    database_url: str,
) -> None:
    pooled = Database(database_url, max_size=1)
    async with pooled.transaction() as tx:
        row = await (await tx.execute("SELECT current_setting('statement_timeout')")).fetchone()
        assert row == ("10s",)
    async with pooled.reading() as tx:
        row = await (await tx.execute("SELECT current_setting('statement_timeout')")).fetchone()
        assert row == ("0",)
    await pooled.close()


async def test_waiting_for_a_connection_ends(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "WAIT_FOR_CONNECTION_S", 0.05)
    small = Database(database_url, max_size=1)
    async with small.reading():
        with pytest.raises(PoolTimeout) as waited:
            async with small.reading():
                pass
    assert isinstance(waited.value, db.UNAVAILABLE)
    await small.close()


async def test_a_server_that_only_reads_is_unavailable(database_url: str) -> None:
    pooled = Database(database_url, max_size=1)

    async def write() -> None:
        async with pooled.transaction() as tx:
            await tx.execute("SET LOCAL transaction_read_only = on")
            await tx.execute("CREATE TABLE nothing ()")

    with pytest.raises(db.UNAVAILABLE):
        await write()
    await pooled.close()


async def test_a_lost_connection_is_one_failure_and_then_forgotten(database_url: str) -> None:
    pooled = Database(database_url, max_size=1)
    with pytest.raises(db.UNAVAILABLE):
        async with pooled.transaction() as tx:
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    async with pooled.reading() as tx:
        assert await (await tx.execute("SELECT 1")).fetchone() == (1,)
    await pooled.close()


async def test_connections_that_the_server_ended_meanwhile_are_replaced(
    database: Database, database_url: str
) -> None:
    pooled = Database(database_url, max_size=2)
    async with pooled.reading() as one, pooled.reading() as other:
        pids = [one.info.backend_pid, other.info.backend_pid]
    async with database.reading() as tx:
        await tx.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) AS pid", (pids,))
    for _ in range(3):
        async with pooled.reading() as tx:
            assert await (await tx.execute("SELECT 1")).fetchone() == (1,)
    await pooled.close()


async def test_many_first_users_share_one_pool(database_url: str) -> None:
    pooled = Database(database_url, max_size=2)

    async def ask() -> int:
        async with pooled.reading() as tx:
            return tx.info.backend_pid

    pids = await asyncio.gather(*(ask() for _ in range(30)))
    assert len(set(pids)) <= 2
    await pooled.close()


def test_a_database_follows_the_loop_that_uses_it(database_url: str) -> None:
    pooled = Database(database_url)

    async def ask() -> None:
        async with pooled.reading() as tx:
            assert await (await tx.execute("SELECT 1")).fetchone() == (1,)
        await pooled.close()

    asyncio.run(ask())
    asyncio.run(ask())


async def test_a_pipelined_transaction_commits_on_leaving(database: Database) -> None:
    async with database.pipelined() as tx:
        inserted = await tx.execute("INSERT INTO things (id) VALUES (%s) RETURNING id", (THING,))
        assert await count(database) == 0
    assert await count(database) == 1
    assert await inserted.fetchone() == (THING,)


async def test_a_pipelined_transaction_is_nothing_after_an_exception(database: Database) -> None:
    async def fail() -> None:
        async with database.pipelined() as tx:
            await tx.execute("INSERT INTO things (id) VALUES (%s)", (THING,))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await count(database) == 0


async def test_a_fault_in_a_pipelined_transaction_undoes_all_of_it(database: Database) -> None:
    async def insert(*ids: UUID) -> None:
        async with database.pipelined() as tx:
            for thing in ids:
                await tx.execute("INSERT INTO things (id) VALUES (%s)", (thing,))

    with pytest.raises(psycopg.errors.UniqueViolation):
        await insert(THING, THING, UUID(int=2))
    assert await count(database) == 0


async def test_a_fault_at_the_commit_of_a_pipelined_transaction_is_raised(
    database: Database,
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "CREATE TABLE late (id uuid PRIMARY KEY, of uuid REFERENCES late"
            " DEFERRABLE INITIALLY DEFERRED)"
        )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        async with database.pipelined() as tx:
            await tx.execute("INSERT INTO late VALUES (%s, %s)", (THING, UUID(int=2)))
    async with database.pipelined() as tx:
        left = await tx.execute("SELECT count(*) FROM late")
    assert await left.fetchone() == (0,)


async def test_a_pipelined_statement_that_takes_too_long_is_stopped(database_url: str) -> None:
    hasty = Database(database_url, statement_timeout_s=0.1)
    with pytest.raises(psycopg.errors.QueryCanceled):
        async with hasty.pipelined() as tx:
            await tx.execute("SELECT pg_sleep(5)")
    async with hasty.pipelined() as tx:
        one = await tx.execute("SELECT 1")
    assert await one.fetchone() == (1,)
    await hasty.close()


async def test_pipelined_questions_are_answered_in_any_order(database: Database) -> None:
    async with database.reading(pipelined=True) as tx:
        one, two = await tx.execute("SELECT 1"), await tx.execute("SELECT 2")
        assert (await two.fetchone(), await one.fetchone()) == ((2,), (1,))
