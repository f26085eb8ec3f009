"""The inbox against a real PostgreSQL, with messages as the worker hands them over."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from shared import db, telemetry
from shared.db import Database, Transaction
from shared.inbox import Event, Inbox, Rejected, _Delivery
from tests.integration.shared.deliveries import PLACED, envelope, message

CONSUMER = "orders-saga"


class Handler:
    """Keeps what it is given; raises `fault` first if there is one."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.events: list[Event] = []
        self.correlation_ids: list[str | None] = []

    async def __call__(self, event: Event) -> None:
        if self.fault is not None:
            raise self.fault
        self.events.append(event)
        self.correlation_ids.append(telemetry.correlation_id())


@pytest.fixture
def inbox(database: Database) -> Inbox:
    return Inbox(database, first_pause_s=0.0)


@pytest.fixture(autouse=True)
async def empty_tables(database: Database) -> AsyncIterator[None]:
    yield
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE messaging.inbox, messaging.rejections")


async def rejections(database: Database) -> list[tuple[Any, ...]]:
    """(consumer, message id, event id, reason, delivery count, resolved), oldest first."""
    async with database.reading() as tx:
        rows = await tx.execute(
            """
            SELECT consumer, message_id, event_id, reason, delivery_count, resolved_at IS NOT NULL
            FROM messaging.rejections
            ORDER BY id
            """
        )
        return await rows.fetchall()


@pytest.mark.parametrize("done_before", [False, True])
async def test_a_failure_is_resolved_though_its_delivery_was_never_counted(
    done_before: bool, inbox: Inbox, database: Database
) -> None:
    """The broker may die before it hears of the failure; the message then seems to be new."""
    body, handler = envelope(), Handler()
    if done_before:
        await inbox.receive(message(body), consumer=CONSUMER, types={PLACED: handler})
        await inbox._record(_Delivery(message(body), CONSUMER, body), "fault: X", event_id=None)
    else:
        broken = Handler(ConnectionError("gone"))
        with pytest.raises(ConnectionError):
            await inbox.receive(message(body), consumer=CONSUMER, types={PLACED: broken})
    assert [resolved for *_, resolved in await rejections(database)] == [False]

    await inbox.receive(message(body), consumer=CONSUMER, types={PLACED: handler})

    assert [resolved for *_, resolved in await rejections(database)] == [True]
    assert len(handler.events) == 1


async def test_an_event_reaches_the_handler_of_its_type(inbox: Inbox) -> None:
    placed, cancelled = Handler(), Handler()
    order, event_id = uuid7(), str(uuid7())
    body = envelope(subject=str(order), id=event_id)
    types = {PLACED: placed, "order.cancelled.v1": cancelled}
    await inbox.receive(message(body), consumer=CONSUMER, types=types)
    (event,) = placed.events
    assert (event.id, event.subject, event.type, event.data) == (event_id, order, PLACED, {"n": 1})
    assert event.time.isoformat() == "2026-01-02T03:04:05+00:00"
    assert event.correlation_id == "c-1"
    assert placed.correlation_ids == ["c-1"]
    assert cancelled.events == []


async def test_an_event_delivered_again_is_not_handled_again(
    inbox: Inbox, database: Database
) -> None:
    handler, body = Handler(), envelope()
    for _ in range(3):
        await inbox.receive(message(body), consumer=CONSUMER, types={PLACED: handler})
    assert len(handler.events) == 1
    assert await rejections(database) == []


async def test_each_consumer_has_an_inbox_of_its_own(inbox: Inbox) -> None:
    handler, body = Handler(), envelope()
    await inbox.receive(message(body), consumer="one", types={PLACED: handler})
    await inbox.receive(message(body), consumer="other", types={PLACED: handler})
    assert len(handler.events) == 2


async def test_a_replay_to_one_consumer_is_handled(inbox: Inbox) -> None:
    handler, event_id = Handler(), str(uuid7())
    for replayed in (event_id, f"{event_id}:r1", f"{event_id}:r1", f"{event_id}:r2"):
        body = envelope(id=replayed)
        await inbox.receive(message(body), consumer=CONSUMER, types={PLACED: handler})
    assert [event.id for event in handler.events] == [event_id, f"{event_id}:r1", f"{event_id}:r2"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed: json_invalid"),
        (b"\xff", "malformed: json_invalid"),
        (b"[1]", "malformed: model_type"),
        (envelope(id=None), "malformed: id missing"),
        (envelope(id="alice@clients.example"), "malformed: id string_pattern_mismatch"),
        (envelope(subject="alice"), "malformed: subject uuid_parsing"),
        (envelope(data=None), "malformed: data missing"),
        (envelope(data="alice"), "malformed: data dict_type"),
        (envelope(specversion="0.3"), "malformed: specversion literal_error"),
        (
            envelope(time="soon", source=None),
            "malformed: source missing; time datetime_from_date_parsing",
        ),
        (envelope(type="a\0b"), "malformed: type string_pattern_mismatch"),
    ],
)
async def test_a_message_that_makes_no_sense_is_recorded_and_abandoned(
    inbox: Inbox, database: Database, body: bytes, reason: str
) -> None:
    handler = Handler()
    for delivery in (1, 2):
        received = message(body, delivery_count=delivery)
        with pytest.raises(Rejected):
            await inbox.receive(received, consumer=CONSUMER, types={PLACED: handler})
    assert await rejections(database) == [(CONSUMER, "m-1", None, reason, 2, False)]
    assert handler.events == []


async def test_an_event_of_a_type_that_the_consumer_does_not_know_is_refused(
    inbox: Inbox, database: Database
) -> None:
    event_id = str(uuid7())
    body = envelope(id=event_id, type="order.lost.v1")
    with pytest.raises(Rejected):
        await inbox.receive(message(body), consumer=CONSUMER, types={PLACED: Handler()})
    reason = "unknown type: order.lost.v1"
    assert await rejections(database) == [(CONSUMER, "m-1", event_id, reason, 1, False)]


async def test_a_message_without_an_id_is_known_by_its_sequence_number(
    inbox: Inbox, database: Database
) -> None:
    for body in (b"one", b"other"):
        with pytest.raises(Rejected):
            await inbox.receive(message(body, message_id=None), consumer=CONSUMER, types={})
    recorded = [row[1] for row in await rejections(database)]
    assert recorded == ["sequence:7", "sequence:7"]


async def test_a_handler_may_refuse_for_good(inbox: Inbox, database: Database) -> None:
    event_id = str(uuid7())
    body = envelope(id=event_id)
    handler = Handler(Rejected("order_unknown"))
    with pytest.raises(Rejected, match="order_unknown"):
        await inbox.receive(message(body), consumer=CONSUMER, types={PLACED: handler})
    assert await rejections(database) == [(CONSUMER, "m-1", event_id, "order_unknown", 1, False)]


async def test_a_fault_is_recorded_until_a_later_delivery_succeeds(
    inbox: Inbox, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    event_id = str(uuid7())
    body = envelope(id=event_id)
    handler = Handler(psycopg.errors.DeadlockDetected("alice@clients.example"))
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(psycopg.errors.DeadlockDetected),
    ):
        await inbox.receive(message(body), consumer=CONSUMER, types={PLACED: handler})
    row = (CONSUMER, "m-1", event_id, "fault: DeadlockDetected 40P01", 1)
    assert await rejections(database) == [(*row, False)]
    assert "alice" not in caplog.text

    handler.fault = None
    again = message(body, delivery_count=2)
    await inbox.receive(again, consumer=CONSUMER, types={PLACED: handler})
    assert await rejections(database) == [(*row, True)]
    assert len(handler.events) == 1


async def test_faults_are_paused_after_longer_and_longer(database: Database) -> None:
    patient = Inbox(database, first_pause_s=0.02)
    handler, body = Handler(OSError()), envelope()
    pauses = []
    for delivery in (1, 3):
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011 - it has no message to match
            await patient.receive(
                message(body, delivery_count=delivery), consumer=CONSUMER, types={PLACED: handler}
            )
        pauses.append(time.monotonic() - started)
    assert pauses[0] >= 0.02
    assert pauses[1] >= 0.08
    assert [patient._pause_s(count) for count in (1, 2, 5, 10, 2000)] == [
        0.02,
        0.04,
        0.32,
        10.0,
        10.0,
    ]


async def test_a_database_that_is_away_does_not_hide_why_a_message_was_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(db, "WAIT_FOR_CONNECTION_S", 0.1)
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    inbox = Inbox(away, first_pause_s=0.0)
    with pytest.raises(Rejected, match="malformed: json_invalid"):
        await inbox.receive(message(b"{"), consumer=CONSUMER, types={})
    await away.close()


async def test_an_effect_in_the_transaction_happens_once(inbox: Inbox, database: Database) -> None:
    """Ten deliveries at once: the effect's row and the inbox row stand or fall together."""
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE effects (event_id text)")
    body = envelope()

    async def effect(event: Event, tx: Transaction) -> None:
        await tx.execute("INSERT INTO effects (event_id) VALUES (%s)", (event.id,))

    async def receive() -> None:
        await inbox.receive_in_transaction(message(body), consumer=CONSUMER, types={PLACED: effect})

    await asyncio.gather(*(receive() for _ in range(10)))
    async with database.reading() as tx:
        row = await (await tx.execute("SELECT count(*) FROM effects")).fetchone()
    assert row == (1,)


async def test_an_effect_that_fails_leaves_the_event_to_be_handled(inbox: Inbox) -> None:
    body, handled = envelope(), []

    async def fail(_event: Event, _tx: Transaction) -> None:
        raise LookupError

    async def succeed(event: Event, _tx: Transaction) -> None:
        handled.append(UUID(event.id))

    with pytest.raises(LookupError):
        await inbox.receive_in_transaction(message(body), consumer=CONSUMER, types={PLACED: fail})
    await inbox.receive_in_transaction(message(body), consumer=CONSUMER, types={PLACED: succeed})
    await inbox.receive_in_transaction(message(body), consumer=CONSUMER, types={PLACED: succeed})
    assert len(handled) == 1
