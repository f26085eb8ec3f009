"""The database itself keeps the audit trail from being changed, even by its owner."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from psycopg.types.json import Jsonb

from blueprints.audit.forgetting import Forgetting
from blueprints.audit.trail import Trail
from shared.db import Database
from tests.integration.audit.conftest import about, as_application, entry

ALICE = UUID("0195a0a0-0000-7000-8000-00000000a11c")
CHANGES = [
    "UPDATE audit.audit_logs SET action = 'order.forged.v1'",
    "DELETE FROM audit.audit_logs",
    "TRUNCATE audit.audit_logs",
    "UPDATE audit.gdpr_audit_trail SET actor_id = NULL",
    "DELETE FROM audit.gdpr_audit_trail",
    "TRUNCATE audit.gdpr_audit_trail",
    "UPDATE audit.details SET payload = '{}'",
    "DELETE FROM audit.details",
    "TRUNCATE audit.details",
    "UPDATE audit.chain_head SET seq = 0",
    "DELETE FROM audit.chain_head",
    "TRUNCATE audit.chain_head",
]
COUNTED = """
    SELECT
        (SELECT COUNT(*) FROM audit.audit_logs WHERE action = 'order.placed.v1'),
        (SELECT COUNT(*) FROM audit.gdpr_audit_trail WHERE actor_id IS NOT NULL),
        (SELECT COUNT(*) FROM audit.details WHERE payload <> '{}'),
        (SELECT seq FROM audit.chain_head)
"""


@pytest.fixture
async def two(trail: Trail) -> None:
    await trail.record([entry(), about(ALICE)])


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("who", ["application", "owner"])
@pytest.mark.parametrize("change", CHANGES)
def test_no_change_is_accepted(change: str, who: str, fresh_url: str) -> None:
    url = as_application(fresh_url) if who == "application" else fresh_url
    with psycopg.connect(url, autocommit=True) as session:
        with pytest.raises(InsufficientPrivilege):
            session.execute(change.encode())
        assert session.execute(COUNTED).fetchone() == (1, 1, 2, 2)


@pytest.mark.usefixtures("two")
def test_no_partition_is_emptied_past_its_table(fresh_url: str) -> None:
    with psycopg.connect(fresh_url, autocommit=True) as owner:
        partitions = owner.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent IN ('audit.audit_logs'::regclass, 'audit.gdpr_audit_trail'::regclass)"
        ).fetchall()
        assert len(partitions) >= 10
        for (partition,) in partitions:
            with pytest.raises(InsufficientPrivilege):
                owner.execute(f"TRUNCATE {partition}".encode())
        with psycopg.connect(as_application(fresh_url), autocommit=True) as application:
            for (partition,) in partitions:
                with pytest.raises(InsufficientPrivilege):
                    application.execute(f"SELECT FROM {partition}".encode())


@pytest.mark.usefixtures("two")
def test_details_are_not_erased_without_the_entry_that_says_so(fresh_url: str) -> None:
    lies = [
        {},
        {"person_id": str(uuid4()), "action": "audit.details_erased", "origin": "erasure"},
        {"person_id": str(ALICE), "action": "order.placed.v1", "origin": "event"},
        {"person_id": str(ALICE), "action": "audit.details_erased", "origin": "erasure", "seq": 9},
    ]
    with psycopg.connect(as_application(fresh_url), autocommit=True) as application:
        for lie in lies:
            with pytest.raises(InsufficientPrivilege):
                application.execute("SELECT audit.erase_details(%s, %s)", (ALICE, Jsonb(lie)))
        assert application.execute(COUNTED).fetchone() == (1, 1, 2, 2)


@pytest.mark.usefixtures("two")
async def test_erasing_takes_the_person_s_details_and_says_so(
    app: Database, trail: Trail, fresh_url: str
) -> None:
    other, request = uuid4(), uuid4()
    await trail.record([about(other)])

    erased = await Forgetting(app).erase(ALICE, request_id=request)

    with psycopg.connect(fresh_url) as owner:
        left = owner.execute("SELECT seq FROM audit.details ORDER BY seq").fetchall()
        told = owner.execute(
            "SELECT seq, action, subject_kind, subject_id, person_id FROM audit.gdpr_audit_trail"
            " WHERE origin = 'erasure'"
        ).fetchall()
    assert (erased, left) == (1, [(1,), (3,)])
    assert told == [(4, "audit.details_erased", "gdpr_request", request, ALICE)]
    assert await Forgetting(app).erase(ALICE) == 0


def test_partitions_are_made_ahead_once(fresh_url: str) -> None:
    with psycopg.connect(as_application(fresh_url), autocommit=True) as application:
        made = application.execute("SELECT audit.make_partitions(5)").fetchone()
        again = application.execute("SELECT audit.make_partitions(5)").fetchone()

    assert (made, again) == ((4,), (0,))  # the migration made this month and three more


def test_an_entry_of_a_month_without_a_partition_finds_a_place(fresh_url: str) -> None:
    with psycopg.connect(as_application(fresh_url)) as application:
        application.execute(
            """
            INSERT INTO audit.audit_logs (
                seq, recorded_at, occurred_at, ledger, origin, action, actor_kind, subject_kind,
                subject_id, correlation_id, previous_hash, entry_hash
            )
            VALUES (
                1, %(at)s, %(at)s, 'logs', 'event', 'order.placed.v1', 'platform', 'order', %(id)s,
                'c-1', %(hash)s, %(hash)s
            )
            """,
            {"at": datetime(2100, 1, 1, tzinfo=UTC), "id": uuid4(), "hash": bytes(32)},
        )
        held = application.execute("SELECT tableoid::regclass::text FROM audit.audit_logs")
        assert held.fetchone() == ("audit.audit_logs_default",)


def test_the_application_may_use_every_table_outside_of_the_audit_trail(fresh_url: str) -> None:
    with psycopg.connect(as_application(fresh_url)) as application:
        denied = application.execute(
            """
            SELECT c.oid::regclass::text
            FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v')
                AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'audit', 'public')
                AND NOT has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')
            """
        ).fetchall()
        with pytest.raises(InsufficientPrivilege):
            application.execute("CREATE TABLE orders.mine ()")

    assert denied == []
