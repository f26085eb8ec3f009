"""Whatever is changed behind the application's back is found, and named."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import TupleRow

from blueprints.audit import chain
from blueprints.audit.anchoring import Anchoring
from blueprints.audit.entries_repository import add, ask_head
from blueprints.audit.forgetting import Forgetting
from blueprints.audit.models import Entry, Verification
from blueprints.audit.seals import Signer
from blueprints.audit.trail import Trail
from blueprints.audit.verifying import Verifying
from shared.db import Database
from tests.integration.audit.conftest import (
    KEY,
    Shelf,
    about,
    admit,
    as_application,
    entry,
    tampering,
)
from tests.integration.conftest import Postgres

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")

type Session = psycopg.Connection[TupleRow]
type Tampering = Callable[[Session], None]
type Found = list[tuple[str, int | None, int | None]]

COLUMNS = """
    seq, recorded_at, occurred_at, ledger, origin, action, actor_kind, actor_id, subject_kind,
    subject_id, order_id, person_id, event_id, operation, fields, correlation_id, commitment
"""


def noon(days_ago: int) -> datetime:
    return datetime.now(UTC).replace(hour=12) - timedelta(days=days_ago)


def story() -> list[Entry]:
    """Twelve entries: of orders, and every third one of an employee who reads about Alice."""
    told = [about(ALICE) if n % 3 == 0 else entry(f"order.n{n}.v1") for n in range(1, 13)]
    told[9] = replace(told[9], payload=None)
    return told


async def write(database: Database, entries: Sequence[Entry], at: datetime) -> None:
    """Chain entries as at another time."""
    async with database.transaction() as tx:
        head, _ = await (await ask_head(tx))()
        await add(tx, chain.linked(head, entries, at))


@pytest.fixture
async def told(app: Database, shelf: Shelf) -> None:
    """The story on two days, both anchored: entries 1 to 6, and 7 to 12."""
    await write(app, story()[:6], noon(2))
    await write(app, story()[6:], noon(1))
    await Anchoring(app, shelf, Signer(KEY)).anchor()


def named(outcome: Verification) -> Found:
    assert outcome.ok == (not outcome.findings)
    return [(one.kind, one.seq, one.through) for one in outcome.findings]


def statement(text: str, *parameters: object) -> Tampering:
    def tamper(owner: Session) -> None:
        assert owner.execute(text.encode(), parameters).rowcount > 0

    return tamper


def swapped(owner: Session) -> None:
    """Two rows change places, each with its hashes."""
    owner.execute("UPDATE audit.audit_logs SET seq = -1 WHERE seq = 4")
    owner.execute("UPDATE audit.audit_logs SET seq = 4 WHERE seq = 5")
    owner.execute("UPDATE audit.audit_logs SET seq = 5 WHERE seq = -1")


def own_hash(owner: Session, seq: int) -> None:
    """Give a row the hash that its content has now."""
    select = (
        f"COPY (SELECT {COLUMNS} FROM audit.entries WHERE seq = {seq})"  # noqa: S608
        " TO STDOUT (FORMAT BINARY)"
    )
    with owner.cursor().copy(select.encode()) as copy:
        row = b"".join(bytes(block) for block in copy)
    encoded = row[19 + 2 : -2]
    previous = owner.execute("SELECT previous_hash FROM audit.entries WHERE seq = %s", (seq,))
    held = previous.fetchone()
    assert held is not None
    fresh = chain.entry_hash(held[0], encoded)
    owner.execute("UPDATE audit.audit_logs SET entry_hash = %s WHERE seq = %s", (fresh, seq))


def rehashed(owner: Session) -> None:
    owner.execute("UPDATE audit.audit_logs SET action = 'order.forged.v1' WHERE seq = 5")
    own_hash(owner, 5)


COPIED = f"""
    INSERT INTO audit.audit_logs ({COLUMNS}, previous_hash, entry_hash)
    SELECT %s, recorded_at + %s {COLUMNS.strip().removeprefix("seq, recorded_at")},
        previous_hash, entry_hash
    FROM audit.audit_logs
    WHERE seq = %s
"""  # noqa: S608
MICROSECOND = timedelta(microseconds=1)


def inserted(owner: Session) -> None:
    """Another entry beside number 8, well-formed and chained to number 7."""
    owner.execute(COPIED.encode(), (8, MICROSECOND, 8))
    changed = "UPDATE audit.audit_logs SET action = 'order.forged.v1' WHERE seq = 8 AND action = %s"
    owner.execute(
        changed.encode() + b" AND recorded_at = (SELECT MAX(recorded_at) FROM audit.audit_logs)",
        ("order.n8.v1",),
    )


def appended(owner: Session) -> None:
    """An entry behind the end that the head does not know, chained to the last one."""
    owner.execute(COPIED.encode(), (13, MICROSECOND, 11))
    owner.execute(
        "UPDATE audit.audit_logs SET commitment = NULL, previous_hash ="
        " (SELECT entry_hash FROM audit.gdpr_audit_trail WHERE seq = 12) WHERE seq = 13"
    )
    own_hash(owner, 13)


def cut(owner: Session) -> None:
    """The last three entries are gone and the head says that there never were more."""
    owner.execute("DELETE FROM audit.audit_logs WHERE seq > 9")
    owner.execute("DELETE FROM audit.gdpr_audit_trail WHERE seq > 9")
    owner.execute("DELETE FROM audit.details WHERE seq > 9")
    owner.execute(
        "UPDATE audit.chain_head AS h SET seq = e.seq, entry_hash = e.entry_hash"
        " FROM audit.gdpr_audit_trail AS e WHERE e.seq = 9"
    )


CHANGED = "UPDATE audit.audit_logs SET action = 'order.forged.v1' WHERE seq = 5"
MOVED = "UPDATE audit.audit_logs SET recorded_at = recorded_at - interval '1 hour' WHERE seq = 8"
DETAIL = "INSERT INTO audit.details (seq, salt, payload) VALUES (10, %s, '{}')"
HEAD = "UPDATE audit.chain_head SET entry_hash = %s"
HASH = "UPDATE audit.audit_logs SET entry_hash = %s WHERE seq = 5"
LINK = "UPDATE audit.audit_logs SET previous_hash = %s WHERE seq = 5"
READER = "UPDATE audit.gdpr_audit_trail SET actor_id = gen_random_uuid() WHERE seq = 6"

TAMPERINGS: dict[str, tuple[Tampering, Found]] = {
    "a field is changed": (statement(CHANGED), [("altered", 5, None)]),
    "who read of whom is changed": (statement(READER), [("altered", 6, None)]),
    "details are changed": (
        statement("UPDATE audit.details SET payload = '{}' WHERE seq = 7"),
        [("details-altered", 7, None)],
    ),
    "a salt is changed": (
        statement("UPDATE audit.details SET salt = %s WHERE seq = 7", bytes(32)),
        [("details-altered", 7, None)],
    ),
    "details are deleted": (
        statement("DELETE FROM audit.details WHERE seq = 6"),
        [("details-missing", 6, None)],
    ),
    "details are added": (statement(DETAIL, bytes(32)), [("details-added", 10, None)]),
    "a row is deleted in the middle": (
        statement("DELETE FROM audit.audit_logs WHERE seq = 8"),
        [("missing", 8, 8)],
    ),
    "the first rows are deleted": (
        statement("DELETE FROM audit.audit_logs WHERE seq < 3"),
        [("missing", 1, 2)],
    ),
    "the last row is deleted": (
        statement("DELETE FROM audit.gdpr_audit_trail WHERE seq = 12"),
        [("missing", 12, 12)],
    ),
    "the end is cut off and the head moved back": (cut, [("missing", 10, 12)]),
    "a row is duplicated": (
        statement(COPIED, 8, MICROSECOND, 8),
        [("altered", 8, None), ("duplicated", 8, None)],
    ),
    "a row is inserted": (
        inserted,
        [("altered", 8, None), ("duplicated", 8, None)],
    ),
    "a row is added behind the end": (appended, [("beyond-head", 13, 13)]),
    "two rows are swapped": (
        swapped,
        [
            ("altered", 4, None),
            ("details-altered", 4, None),
            ("altered", 5, None),
            ("details-altered", 5, None),
            ("replaced", 5, None),
        ],
    ),
    "a field is changed and the row hashed again": (rehashed, [("replaced", 5, None)]),
    "a hash is overwritten": (
        statement(HASH, bytes(32)),
        [("altered", 5, None), ("replaced", 5, None)],
    ),
    "a link is overwritten": (statement(LINK, bytes(32)), [("altered", 5, None)]),
    "a time is moved": (statement(MOVED), [("altered", 8, None), ("disordered", 8, None)]),
    "the head is changed": (statement(HEAD, bytes(32)), [("head-mismatch", 12, None)]),
}


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("tampering_with", TAMPERINGS)
async def test_it_is_found_and_named_when(
    tampering_with: str, fresh_url: str, verifying: Verifying
) -> None:
    tamper, expected = TAMPERINGS[tampering_with]
    with tampering(fresh_url) as owner:
        tamper(owner)

    assert named(await verifying.part(1, None)) == expected


@pytest.mark.usefixtures("told")
async def test_what_nobody_touched_is_in_order(verifying: Verifying) -> None:
    outcome = await verifying.part(1, None)

    assert outcome == Verification(
        ok=True,
        from_seq=1,
        to_seq=12,
        head_seq=12,
        verified=12,
        erased=0,
        anchors=2,
        findings=[],
        more_findings=0,
        next_from=None,
    )


@pytest.mark.usefixtures("told")
async def test_a_tail_written_anew_is_found_by_the_anchors(
    fresh_url: str, app: Database, verifying: Verifying
) -> None:
    with tampering(fresh_url) as owner:
        for table in ("audit_logs", "gdpr_audit_trail", "details"):
            owner.execute(f"DELETE FROM audit.{table} WHERE seq >= 5".encode())  # noqa: S608
        owner.execute(
            "UPDATE audit.chain_head AS h SET seq = e.seq, entry_hash = e.entry_hash,"
            " recorded_at = e.recorded_at FROM audit.audit_logs AS e WHERE e.seq = 4"
        )
    await write(app, [entry("order.forged.v1"), story()[5]], noon(2))
    await write(app, story()[6:], noon(1))

    assert named(await verifying.part(1, None)) == [
        ("rewritten", 6, None),
        ("rewritten", 12, None),
    ]


async def test_a_partition_that_is_taken_away_is_missed(postgres: Postgres, shelf: Shelf) -> None:
    url = postgres.create("audit_detached", postgres.template)
    admit(url)
    database = Database(as_application(url))
    await write(database, story(), noon(1))
    with tampering(url) as owner:
        held = owner.execute("SELECT tableoid::regclass::text FROM audit.audit_logs LIMIT 1")
        row = held.fetchone()
        assert row is not None
        owner.execute(f"ALTER TABLE audit.audit_logs DETACH PARTITION {row[0]}".encode())

    outcome = await Verifying(database, shelf, [Signer(KEY).public_key]).part(1, None)
    await database.close()
    postgres.drop("audit_detached")

    assert named(outcome) == [
        ("missing", 1, 2),
        ("missing", 4, 5),
        ("missing", 7, 8),
        ("missing", 10, 11),
    ]


@pytest.mark.usefixtures("told")
async def test_erasing_a_person_leaves_the_chain_whole(app: Database, verifying: Verifying) -> None:
    assert await Forgetting(app).erase(ALICE) == 4

    outcome = await verifying.part(1, None)
    assert (named(outcome), outcome.verified, outcome.erased) == ([], 13, 4)


@pytest.mark.usefixtures("told")
async def test_an_erasure_excuses_nothing_that_came_after_it(
    app: Database, trail: Trail, fresh_url: str, verifying: Verifying
) -> None:
    await Forgetting(app).erase(ALICE)
    await trail.record([about(ALICE)])
    with tampering(fresh_url) as owner:
        owner.execute("DELETE FROM audit.details WHERE seq = 14")

    assert named(await verifying.part(1, None)) == [("details-missing", 14, None)]


@pytest.mark.usefixtures("told")
async def test_a_part_is_checked_against_what_comes_before_it(
    fresh_url: str, verifying: Verifying
) -> None:
    with tampering(fresh_url) as owner:
        rehashed(owner)
        statement(CHANGED.replace("5", "8"))(owner)

    assert named(await verifying.part(6, 7)) == [("replaced", 5, None)]
    assert named(await verifying.part(7, 7)) == []
    part = await verifying.part(8, 10)
    assert (named(part), part.verified, part.next_from) == ([("altered", 8, None)], 3, 11)


@pytest.mark.usefixtures("told")
async def test_by_default_the_day_of_the_newest_anchor_and_what_followed_is_checked(
    trail: Trail, verifying: Verifying
) -> None:
    await trail.record([entry()])

    part = await verifying.part(None, None)

    assert (part.from_seq, part.to_seq, part.verified, part.ok) == (7, 13, 7, True)


@pytest.mark.usefixtures("told")
async def test_nothing_behind_the_end_is_checked(verifying: Verifying) -> None:
    part = await verifying.part(500, None)

    assert (part.verified, part.ok, part.next_from) == (0, True, None)


async def test_untouched_50_000_entries_pass(
    trail: Trail, app: Database, verifying: Verifying
) -> None:
    batch = [about(ALICE)] + [entry(payload=None) for _ in range(9)]
    batch = batch * 100
    for _ in range(50):
        await trail.record(batch)
    assert await Forgetting(app).erase(ALICE) == 5_000

    seen = [verification async for verification in verifying.progress(1)]

    assert [(v.to_seq, v.verified, v.next_from) for v in seen] == [
        (20_000, 20_000, 20_001),
        (40_000, 40_000, 40_001),
        (50_001, 50_001, None),
    ]
    assert (seen[-1].ok, seen[-1].erased) == (True, 5_000)
