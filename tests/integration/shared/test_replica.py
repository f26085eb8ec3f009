"""Which database a read goes to: two databases that say who they are play primary and replica."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
import pytest

from shared.db import Database
from shared.replica import AFTER_WRITE_S, REST_S, ReadSide
from tests.integration.conftest import Postgres

ALICE, BRUNO = UUID(int=1), UUID(int=2)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Marks:
    """Marks in memory, which may be away."""

    held: dict[str, float] = field(default_factory=dict)
    away: bool = False
    asked: int = 0

    async def mark(self, key: str, ttl_s: float) -> bool:
        if not self.away:
            self.held[key] = ttl_s
        return not self.away

    async def marked(self, key: str) -> bool | None:
        self.asked += 1
        return None if self.away else key in self.held


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
async def replica(postgres: Postgres) -> AsyncIterator[Database]:
    opened = Database(postgres.create("a_replica", "template0"))
    yield opened
    await opened.close()
    postgres.drop("a_replica")


@pytest.fixture
def reads(database: Database, replica: Database, marks: Marks, clock: Clock) -> ReadSide:
    return ReadSide(database, replica, marks, clock=clock)


async def side(reads: ReadSide, caller_id: UUID) -> str:
    async with reads.reading(caller_id) as tx:
        row = await (await tx.execute("SELECT current_database()")).fetchone()
    assert row is not None
    return "replica" if row[0] == "a_replica" else "primary"


async def test_reads_go_to_the_replica(reads: ReadSide) -> None:
    assert await side(reads, ALICE) == "replica"


async def test_who_has_just_written_reads_from_the_primary_and_nobody_else(
    reads: ReadSide, marks: Marks
) -> None:
    await reads.wrote(ALICE)

    assert (await side(reads, ALICE), await side(reads, BRUNO)) == ("primary", "replica")
    assert list(marks.held.values()) == [AFTER_WRITE_S]


async def test_another_process_knows_who_has_written(
    reads: ReadSide, database: Database, replica: Database, marks: Marks
) -> None:
    await ReadSide(database, replica, marks).wrote(ALICE)

    assert await side(reads, ALICE) == "primary"


async def test_without_marks_everybody_reads_from_the_primary_until_writes_are_old(
    reads: ReadSide, marks: Marks, clock: Clock
) -> None:
    marks.away = True
    assert await side(reads, ALICE) == "primary"

    marks.away = False
    assert await side(reads, ALICE) == "primary"
    clock.now += AFTER_WRITE_S
    assert await side(reads, ALICE) == "replica"


async def test_a_write_that_could_not_be_marked_is_not_forgotten(
    reads: ReadSide, marks: Marks, clock: Clock
) -> None:
    marks.away = True
    await reads.wrote(ALICE)
    marks.away = False

    assert await side(reads, ALICE) == "primary"
    clock.now += AFTER_WRITE_S
    assert await side(reads, ALICE) == "replica"


async def test_without_a_replica_everybody_reads_from_the_primary(database: Database) -> None:
    reads = ReadSide(database)

    await reads.wrote(ALICE)

    assert (await side(reads, ALICE), await side(reads, BRUNO)) == ("primary", "primary")


async def test_a_replica_that_is_away_is_left_alone_for_a_while(
    database: Database, postgres: Postgres, marks: Marks, clock: Clock
) -> None:
    gone = Database(postgres.url("nowhere"), max_size=1)
    reads = ReadSide(database, gone, marks, clock=clock)

    assert await side(reads, ALICE) == "primary"
    asked = marks.asked
    assert await side(reads, ALICE) == "primary"
    assert marks.asked == asked, "the replica was tried again at once"
    await gone.close()


async def test_a_replica_that_is_lost_during_a_query_is_left_alone_for_a_while(
    reads: ReadSide, clock: Clock
) -> None:
    with pytest.raises(psycopg.OperationalError):
        async with reads.reading(ALICE) as tx:
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert await side(reads, ALICE) == "primary"
    clock.now += REST_S
    assert await side(reads, ALICE) == "replica"
