"""Entries get into the chain: all of them, once, in one order, whoever writes at the same time."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Never
from uuid import uuid4

import psycopg
import pytest

from blueprints.audit import chain, repository
from blueprints.audit.models import Entry, Head
from blueprints.audit.trail import OnBehalfTrail, Trail, of_event
from blueprints.audit.verifying import Verifying
from shared.db import Database
from shared.inbox import Event, Rejected
from tests.integration.audit.conftest import about, as_application, entry


async def rows(database: Database) -> list[tuple[int, str]]:
    async with database.reading() as tx:
        found = await tx.execute("SELECT seq, action FROM audit.entries ORDER BY seq")
        return [(row[0], row[1]) for row in await found.fetchall()]


async def test_what_is_recorded_is_there_when_record_returns(trail: Trail, app: Database) -> None:
    await trail.record([entry("one.v1"), entry("two.v1")])
    await trail.record([about(uuid4())])

    assert await rows(app) == [(1, "one.v1"), (2, "two.v1"), (3, "personal_data.read")]


async def test_callers_at_the_same_time_share_transactions(trail: Trail, app: Database) -> None:
    await asyncio.gather(*(trail.record([entry(), about(uuid4())]) for _ in range(100)))

    async with app.reading() as tx:
        counted = await tx.execute("SELECT count(DISTINCT xmin::text) FROM audit.audit_logs")
        row = await counted.fetchone()
    assert len(await rows(app)) == 200
    assert row == (1,)


async def test_two_processes_at_once_never_break_the_chain(
    fresh_url: str, verifying: Verifying
) -> None:
    databases = [Database(as_application(fresh_url)) for _ in range(3)]
    trails = [Trail(database) for database in databases]

    async def write(trail: Trail) -> None:
        for _ in range(40):
            await trail.record([entry(), about(uuid4())])

    await asyncio.gather(*(write(trail) for trail in trails for _ in range(4)))
    for database in databases:
        await database.close()

    outcome = await verifying.part(1, None)
    assert (outcome.findings, outcome.verified) == ([], 960)


async def test_an_order_in_a_customer_s_name_stands_on_that_customer_s_record(
    trail: Trail, app: Database
) -> None:
    employee_id, customer_id, order_id = uuid4(), uuid4(), uuid4()

    async with app.pipelined() as tx:
        await OnBehalfTrail(trail).ordered(
            tx,
            employee_id=employee_id,
            customer_id=customer_id,
            order_id=order_id,
            reason="phoned in",
        )

    async with app.reading() as tx:
        found = await tx.execute(
            "SELECT t.action, t.origin, t.actor_kind, t.actor_id, t.subject_id, t.person_id,"
            " d.payload FROM audit.gdpr_audit_trail AS t JOIN audit.details AS d ON d.seq = t.seq"
        )
        assert await found.fetchall() == [
            (
                *("order.placed_on_behalf", "manual", "employee"),
                *(employee_id, order_id, customer_id),
                '{"reason":"phoned in"}',
            )
        ]


async def test_an_event_is_recorded_once(trail: Trail, app: Database) -> None:
    event_id = str(uuid4())

    await asyncio.gather(*(trail.record([entry(event_id=event_id)]) for _ in range(5)))
    await trail.record([entry(event_id=event_id), entry("after.v1")])

    assert await rows(app) == [(1, "order.placed.v1"), (2, "after.v1")]


async def test_what_the_database_refuses_is_the_matter_of_one_caller(
    trail: Trail, app: Database
) -> None:
    outcomes = await asyncio.gather(
        trail.record([entry("first.v1")]),
        trail.record([entry("good.v1")]),
        trail.record([entry("NOT AN ACTION")]),
        trail.record([entry("fine.v1")]),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        type(None),
        psycopg.errors.CheckViolation,
        type(None),
    ]
    assert await rows(app) == [(1, "first.v1"), (2, "good.v1"), (3, "fine.v1")]


async def test_a_caller_who_gives_up_leaves_the_others_alone(trail: Trail, app: Database) -> None:
    first = asyncio.create_task(trail.record([entry("first.v1")]))
    gives_up = asyncio.create_task(trail.record([entry("second.v1")]))
    last = asyncio.create_task(trail.record([entry("third.v1")]))
    await asyncio.sleep(0)
    gives_up.cancel()
    await asyncio.gather(first, last)

    assert [action for _, action in await rows(app)] == ["first.v1", "second.v1", "third.v1"]


class Away(Database):
    """Answers nobody, and counts who asks."""

    asked = 0

    def pipelined(self) -> Never:
        self.asked += 1
        raise psycopg.OperationalError


async def test_a_database_that_is_away_is_asked_once_for_all_who_wait() -> None:
    away = Away("")
    trail = Trail(away)

    outcomes = await asyncio.gather(
        *(trail.record([entry()]) for _ in range(3)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [psycopg.OperationalError] * 3
    assert away.asked == 1


async def test_what_is_hashed_is_what_postgresql_sends(trail: Trail, app: Database) -> None:
    full = entry(
        actor_id=uuid4(),
        order_id=uuid4(),
        person_id=uuid4(),
        event_id="0195a0a0-0000-7000-8000-000000000001",
        operation="café",
        fields="email,name",
        occurred_at=datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC),
    )
    async with app.transaction() as tx:
        links = await trail.append(tx, [full, entry(payload=None)])
    async with app.transaction() as tx:
        sent = [row async for row in repository.sealed(tx, 1, 2)]

    for link, row in zip(links, sent, strict=True):
        encoded = chain.encode(
            link.entry,
            seq=link.seq,
            recorded_at=link.recorded_at,
            occurred_at=link.occurred_at,
            commitment=link.commitment,
        )
        assert row[2 : 2 + len(encoded)] == encoded
        assert chain.unsealed(row).seals


def test_time_never_runs_backwards_in_a_chain() -> None:
    later, earlier = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)

    (link,) = chain.linked(Head(7, bytes(32), later), [entry()], earlier)

    assert (link.seq, link.recorded_at, link.occurred_at) == (8, later, later)


def event(**changes: object) -> Event:
    good = {
        "specversion": "1.0",
        "id": "0195a0a0-0000-7000-8000-0000000000e1",
        "source": "/order-platform/payment",
        "type": "payment.captured.v1",
        "subject": "0195a0a0-0000-7000-8000-0000000000a1",
        "time": "2026-01-02T03:04:05Z",
        "data": {"order_id": "0195a0a0-0000-7000-8000-0000000000a1"},
        "correlationid": "c-9",
    }
    return Event.model_validate_json(json.dumps(good | changes))


def test_an_event_of_an_unknown_type_is_an_entry_too() -> None:
    made = of_event(event(type="moon.landed.v7", data={"anything": "\u0000"}))

    assert made == Entry(
        origin="event",
        action="moon.landed.v7",
        actor_kind="platform",
        actor_id=None,
        subject_kind="moon",
        subject_id=event().subject,
        occurred_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        event_id=event().id,
        correlation_id="c-9",
        payload='{"data":{"anything":"\\u0000"},"source":"/order-platform/payment"}',
    )


def test_a_replayed_event_is_the_same_event() -> None:
    assert of_event(event(id=f"{event().id}:r3")).event_id == event().id


def test_what_concerns_a_customer_s_rights_stands_with_the_customer() -> None:
    customer = uuid4()

    made = of_event(event(type="gdpr.request_received.v1", data={"customer_id": str(customer)}))

    assert (made.ledger, made.person_id) == ("gdpr", customer)


def test_an_event_out_of_the_calendar_is_refused() -> None:
    with pytest.raises(Rejected, match="malformed: time out of range"):
        of_event(event(time="0001-01-01T00:00:00Z"))
