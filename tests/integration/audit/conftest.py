"""The audit slice on a real database, where the application has only the rights it has in Azure."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import date
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from blueprints.audit.models import Entry
from blueprints.audit.seals import Signer
from blueprints.audit.trail import Trail, payload
from blueprints.audit.verifying import Verifying
from shared.db import Database

APPLICATION = "platform_app"
# PKCS #8 (RFC 8410 §7) of an Ed25519 key that is 32 times the byte 7.
KEY = "MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"
OTHER_KEY = "MC4CAQAwBQYDK2VwBCIEIAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"


class Shelf:
    """Anchors in memory."""

    def __init__(self) -> None:
        self.kept: dict[date, bytes] = {}

    async def days(self) -> list[date]:
        return sorted(self.kept)

    async def read(self, days: list[date]) -> list[bytes]:
        return [self.kept[day] for day in days]

    async def add(self, day: date, anchor: bytes) -> bytes:
        return self.kept.setdefault(day, anchor)


def as_application(url: str) -> str:
    """The address of the same database for the application's role."""
    parts = urlsplit(url)
    return f"postgresql://{APPLICATION}@127.0.0.1:{parts.port}{parts.path}"


def entry(action: str = "order.placed.v1", **changes: object) -> Entry:
    """A good entry."""
    good: dict[str, object] = {
        "origin": "event",
        "action": action,
        "actor_kind": "platform",
        "actor_id": None,
        "subject_kind": "order",
        "subject_id": uuid4(),
        "correlation_id": "c-1",
        "payload": payload({"data": {"n": 1}}),
    }
    return Entry(**(good | changes))  # type: ignore[arg-type]


def about(person_id: UUID, reason: str = "called about the parcel") -> Entry:
    """What an employee read of a person."""
    return entry(
        "personal_data.read",
        ledger="gdpr",
        origin="access",
        actor_kind="employee",
        actor_id=uuid4(),
        subject_kind="customer",
        subject_id=person_id,
        person_id=person_id,
        operation="get_customer",
        fields="email,name",
        payload=payload({"reason": reason}),
    )


@pytest.fixture(scope="module")
def admitted_url(database_url: str) -> str:
    """The module's database, open to the application's role."""
    admit(database_url)
    return database_url


@pytest.fixture
def fresh_url(admitted_url: str) -> str:
    """The module's database with an empty chain; the address is the owner's."""
    with tampering(admitted_url) as owner:
        for table in ("audit_logs", "gdpr_audit_trail", "details"):
            owner.execute(sql.SQL("DELETE FROM audit.{}").format(sql.Identifier(table)))
        owner.execute("DELETE FROM messaging.inbox")
        owner.execute(
            "UPDATE audit.chain_head SET seq = 0, entry_hash = %s, recorded_at = 'epoch'",
            (bytes(32),),
        )
    return admitted_url


@contextlib.contextmanager
def tampering(url: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """A superuser for whom no trigger fires; one transaction."""
    with psycopg.connect(url) as owner:
        owner.execute("SET LOCAL session_replication_role = replica")
        yield owner


def admit(url: str) -> None:
    """Make the application's role, once per server, and let it into this database."""
    with psycopg.connect(url, autocommit=True) as owner:
        known = owner.execute("SELECT FROM pg_roles WHERE rolname = %s", (APPLICATION,)).fetchone()
        if known is None:
            owner.execute("CREATE ROLE platform_app LOGIN")
        owner.execute("CALL audit.admit(%s)", (APPLICATION,))


@pytest.fixture
async def app(fresh_url: str) -> AsyncIterator[Database]:
    """The fresh database as the application sees it."""
    opened = Database(as_application(fresh_url))
    yield opened
    await opened.close()


@pytest.fixture
def trail(app: Database) -> Trail:
    return Trail(app)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def verifying(app: Database, shelf: Shelf) -> Verifying:
    return Verifying(app, shelf, [Signer(KEY).public_key])
