"""The outbox against a real PostgreSQL, with a broker that remembers."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from shared import outbox, telemetry
from shared.db import Database
from shared.outbox import Dispatcher, Outgoing
from shared.outbox.dispatcher import AGGREGATES_WAITING, PACE_S

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Broker:
    """Takes events; `gate` cleared holds every send, `fault` makes every send fail."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[Outgoing]]] = []
        self.fault: Exception | None = None
        self.broken_topic: str | None = None
        self.attempts = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self.closed = False

    async def send(self, topic: str, events: Sequence[Outgoing]) -> None:
        self.attempts += 1
        self.reached.set()
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        if topic == self.broken_topic:
            raise LookupError
        self.batches.append((topic, list(events)))

    async def close(self) -> None:
        self.closed = True

    @property
    def events(self) -> list[Outgoing]:
        return [event for _, events in self.batches for event in events]

    def ids(self, aggregate_id: UUID | None = None) -> list[UUID]:
        return [e.event_id for e in self.events if aggregate_id in {None, e.aggregate_id}]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def dispatcher(database: Database, broker: Broker) -> Dispatcher:
    return Dispatcher(database, broker)


@pytest.fixture(autouse=True)
async def empty_outbox(database: Database) -> AsyncIterator[None]:
    yield
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE messaging.outbox, messaging.publications RESTART IDENTITY")


async def happen(database: Database, aggregate_id: UUID, topic: str = "order-events") -> UUID:
    """Something happens to an aggregate, in a transaction of its own."""
    async with database.transaction() as tx:
        return await outbox.append(
            tx, topic=topic, type_="order.placed.v1", aggregate_id=aggregate_id, data={"n": 1}
        )


async def dispatched(dispatcher: Dispatcher, *aggregate_ids: UUID) -> None:
    """Dispatch, and wait until that is over."""
    await dispatcher.dispatch(*aggregate_ids)
    await dispatcher.settled()


async def unsent(database: Database) -> int:
    async with database.reading() as tx:
        statement = "SELECT count(*) FROM messaging.outbox WHERE sent_at IS NULL"
        row = await (await tx.execute(statement)).fetchone()
        assert row is not None
        number: int = row[0]
        return number


async def test_an_event_is_a_cloud_event(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    order = uuid7()
    with telemetry.correlation("c-1", TRACE):
        event_id = await happen(database, order)
    await dispatched(dispatcher, order)

    (event,) = broker.events
    assert event == Outgoing(
        position=1,
        event_id=event_id,
        topic="order-events",
        type="order.placed.v1",
        aggregate_id=order,
        envelope=event.envelope,
        correlation_id="c-1",
    )
    envelope = json.loads(event.envelope)
    assert envelope.pop("time").endswith("Z")
    assert envelope == {
        "specversion": "1.0",
        "id": str(event_id),
        "source": "/order-platform/order",
        "type": "order.placed.v1",
        "subject": str(order),
        "datacontenttype": "application/json",
        "correlationid": "c-1",
        "traceparent": TRACE,
        "data": {"n": 1},
    }
    assert await unsent(database) == 0


async def test_an_event_of_a_change_that_rolled_back_is_never_sent(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    order = uuid7()

    async def fail() -> None:
        async with database.transaction() as tx:
            await outbox.append(
                tx, topic="order-events", type_="order.placed.v1", aggregate_id=order, data={}
            )
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    await dispatched(dispatcher, order)
    assert await dispatcher.relay() == 0
    assert broker.batches == []


async def test_an_event_that_carries_a_document_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match=r"an event of type order\.placed\.v1 has \d+ bytes"):
        async with database.transaction() as tx:
            await outbox.append(
                tx,
                topic="order-events",
                type_="order.placed.v1",
                aggregate_id=uuid7(),
                data={"document": "x" * 70_000},
            )


async def test_an_aggregates_events_go_out_oldest_first_whatever_their_topics(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    order = uuid7()
    first = await happen(database, order)
    payment = await happen(database, order, topic="payment-events")
    second = await happen(database, order)
    await dispatched(dispatcher, order)
    sent = [(topic, [event.event_id for event in events]) for topic, events in broker.batches]
    assert sent == [
        ("order-events", [first]),
        ("payment-events", [payment]),
        ("order-events", [second]),
    ]


async def test_concurrent_invocations_share_a_batch(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    orders = [uuid7() for _ in range(20)]
    for order in orders:
        await happen(database, order)
    await asyncio.gather(*(dispatched(dispatcher, order) for order in orders))
    assert [len(events) for _, events in broker.batches] == [20]


async def test_an_invocation_that_comes_during_a_send_is_in_the_next_batch(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    order, other = uuid7(), uuid7()
    first = await happen(database, order)
    broker.gate.clear()
    await dispatcher.dispatch(order)
    await broker.reached.wait()
    second, third = await happen(database, order), await happen(database, other)
    await dispatcher.dispatch(order, other)
    broker.gate.set()
    await dispatcher.settled()
    sent = [[event.event_id for event in events] for _, events in broker.batches]
    assert sent == [[first], [second, third]]


async def test_an_invocation_does_not_wait_for_the_broker(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    order = uuid7()
    event_id = await happen(database, order)
    broker.gate.clear()
    async with asyncio.timeout(0.05):
        await dispatcher.dispatch(order)
        await dispatcher.dispatch(uuid7())
    assert broker.batches == []
    await broker.reached.wait()
    broker.gate.set()
    await dispatcher.close()
    assert (broker.ids(), broker.closed) == ([event_id], True)


async def test_batches_keep_their_distance(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    started = asyncio.get_running_loop().time()
    for _ in range(3):
        order = uuid7()
        await happen(database, order)
        await dispatched(dispatcher, order)
    assert asyncio.get_running_loop().time() - started >= 2 * PACE_S
    assert len(broker.batches) == 3


async def test_a_process_keeps_only_so_much_in_mind(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    order, late = uuid7(), uuid7()
    first, last = await happen(database, order), await happen(database, late)
    broker.gate.clear()
    await dispatcher.dispatch(order)
    await broker.reached.wait()
    await dispatcher.dispatch(*(uuid7() for _ in range(AGGREGATES_WAITING)))
    await dispatcher.dispatch(late)
    broker.gate.set()
    await dispatcher.settled()
    assert broker.ids() == [first]
    assert await dispatcher.relay() == 1
    assert broker.ids() == [first, last]


async def test_the_relay_leaves_young_events_to_whoever_committed_them(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    old, young = await happen(database, uuid7()), await happen(database, uuid7())
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE messaging.outbox SET created_at = now() - interval '61 seconds'"
            " WHERE event_id = %s",
            (old,),
        )

    assert await dispatcher.relay(older_than_s=60.0) == 1
    assert broker.ids() == [old]
    assert await dispatcher.relay() == 1
    assert broker.ids() == [old, young]


async def test_a_broker_that_is_down_delays_nobody_twice_and_is_logged_once(
    database: Database, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    dispatcher = Dispatcher(database, broker, clock=lambda: now)
    broker.fault = ConnectionError("amqp://secret@broker")
    order = uuid7()
    event_id = await happen(database, order)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            await dispatched(dispatcher, order)
        now += 3.0
        await dispatched(dispatcher, order)
        assert broker.attempts == 2
        broker.fault = None
        now += 3.0
        await dispatched(dispatcher, order)
    assert broker.ids() == [event_id]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith(
        "events for Service Bus wait for the relay: builtins.ConnectionError | "
    )
    assert messages[1] == "events are sent to Service Bus again"
    assert "secret" not in caplog.text


async def test_a_topic_that_fails_does_not_hold_up_the_others(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    order = uuid7()
    await happen(database, order, topic="missing-topic")
    event_id = await happen(database, order)
    broker.broken_topic = "missing-topic"
    with pytest.raises(LookupError):
        await dispatcher.relay()
    assert broker.ids() == [event_id]
    assert await unsent(database) == 1


async def test_keeping_an_aggregates_order_takes_as_few_batches_as_can_be(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    mine, other = uuid7(), uuid7()
    topics = ["order-events", "payment-events", "payment-events", "order-events"]
    happened = []
    for topic in topics:
        happened.append(await happen(database, mine, topic))
        await happen(database, other)
    assert await dispatcher.relay() == 8
    assert broker.ids(mine) == happened
    sizes = [(topic, len(events)) for topic, events in broker.batches]
    assert sizes == [("order-events", 5), ("payment-events", 2), ("order-events", 1)]


async def test_what_is_left_over_is_relayed(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    order = uuid7()
    broker.fault = ConnectionError()
    ids = [await happen(database, order) for _ in range(3)]
    await dispatched(dispatcher, order)
    with pytest.raises(ConnectionError):
        await dispatcher.relay()
    assert await unsent(database) == 3
    broker.fault = None
    assert await dispatcher.relay() == 3
    assert broker.ids() == ids
    assert await dispatcher.relay() == 0


async def test_a_backlog_is_relayed_in_bounded_batches(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO messaging.outbox
                (event_id, topic, type, aggregate_id, envelope, correlation_id)
            SELECT gen_random_uuid(), 'order-events', 'order.placed.v1',
                md5((n %% 300)::text)::uuid, '{}', 'c-1'
            FROM generate_series(1, %(events)s) AS n
            """,
            {"events": 1000},
        )
    assert await dispatcher.relay(limit=600) == 768
    assert await dispatcher.relay() == 232
    assert [len(events) for _, events in broker.batches] == [256, 256, 256, 232]
    for_each: dict[UUID, list[int]] = {}
    for event in broker.events:
        for_each.setdefault(event.aggregate_id, []).append(event.position)
    assert all(positions == sorted(positions) for positions in for_each.values())
    assert len(for_each) == 300


async def test_a_process_killed_between_sending_and_marking_sends_again_under_the_same_id(
    database: Database, broker: Broker
) -> None:
    order = uuid7()
    event_id = await happen(database, order)

    class Killed(BaseException):
        pass

    class DyingBroker(Broker):
        async def send(self, topic: str, events: Sequence[Outgoing]) -> None:
            await broker.send(topic, events)
            raise Killed

    with pytest.raises(Killed):
        await Dispatcher(database, DyingBroker()).relay()
    assert await Dispatcher(database, broker).relay() == 1
    assert broker.ids() == [event_id, event_id]


async def test_while_one_process_sends_an_aggregate_another_leaves_it_alone(
    database: Database, broker: Broker
) -> None:
    order, other = uuid7(), uuid7()
    first = await happen(database, order)
    broker.gate.clear()
    one = Dispatcher(database, broker)
    await one.dispatch(order)
    await broker.reached.wait()

    second, third = await happen(database, order), await happen(database, other)
    quick = Broker()
    assert await Dispatcher(database, quick).relay() == 1
    assert quick.ids() == [third]

    waiting = asyncio.create_task(dispatched(Dispatcher(database, quick), order))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert done == set()
    broker.gate.set()
    await asyncio.gather(one.settled(), waiting)
    assert broker.ids() == [first]
    assert quick.ids() == [third, second]


async def test_a_slow_broker_does_not_hold_up_changes(database: Database, broker: Broker) -> None:
    order = uuid7()
    await happen(database, order)
    broker.gate.clear()
    dispatcher = Dispatcher(database, broker)
    await dispatcher.dispatch(order)
    await broker.reached.wait()
    async with asyncio.timeout(2.0):
        await happen(database, order)
    broker.gate.set()
    await dispatcher.settled()


async def test_two_writers_of_an_aggregate_commit_in_the_order_of_their_positions(
    database: Database, dispatcher: Dispatcher, broker: Broker
) -> None:
    """Without the writers' lock the second could commit, and be sent, before the first."""
    order = uuid7()
    async with database.transaction() as tx:
        first = await outbox.append(
            tx, topic="order-events", type_="order.placed.v1", aggregate_id=order, data={}
        )
        second = asyncio.create_task(happen(database, order))
        done, _ = await asyncio.wait({second}, timeout=0.05)
        assert done == set()
    assert [first, await second] == await _positions(database, order)
    await dispatched(dispatcher, order)
    assert broker.ids() == [first, await second]


async def _positions(database: Database, aggregate_id: UUID) -> list[UUID]:
    async with database.reading() as tx:
        rows = await tx.execute(
            "SELECT event_id FROM messaging.outbox WHERE aggregate_id = %s ORDER BY position",
            (aggregate_id,),
        )
        return [row[0] for row in await rows.fetchall()]


async def test_two_processes_never_reorder_or_lose(database: Database) -> None:
    """Writers, two dispatchers and a relay at once; brokers that fail and dawdle at random."""
    chance = random.Random(20261124)  # noqa: S311 - repeatable, not secret
    arrived: list[Outgoing] = []

    class Flaky:
        async def send(self, _topic: str, events: Sequence[Outgoing]) -> None:
            await asyncio.sleep(chance.random() / 200)
            if chance.random() < 0.1:
                raise ConnectionError
            arrived.extend(events)
            if chance.random() < 0.1:
                raise ConnectionError  # sent, but not known to be

        async def close(self) -> None: ...

    clock = iter(range(10**9))  # every look at the clock is a second later: nobody rests for long
    processes = [Dispatcher(database, Flaky(), clock=lambda: float(next(clock))) for _ in range(2)]
    orders = [uuid7() for _ in range(8)]

    async def live(number: int) -> None:
        order = orders[number % len(orders)]
        for _ in range(15):
            await happen(database, order)
            await processes[number % 2].dispatch(order)

    await asyncio.gather(*(live(number) for number in range(8)))
    await asyncio.gather(*(process.settled() for process in processes))
    relay = Dispatcher(database, broker := Broker())
    await relay.relay()
    arrived.extend(broker.events)

    assert await unsent(database) == 0
    for order in orders:
        first_arrivals = list(dict.fromkeys(e.event_id for e in arrived if e.aggregate_id == order))
        assert first_arrivals == await _positions(database, order)
        assert len(first_arrivals) == 15


async def test_the_lag_is_the_age_of_the_oldest_unsent_event(
    database: Database, dispatcher: Dispatcher
) -> None:
    assert await dispatcher.lag_s() == 0.0
    order = uuid7()
    await happen(database, order)
    async with database.transaction() as tx:
        await tx.execute("UPDATE messaging.outbox SET created_at = now() - interval '1 hour'")
    await happen(database, uuid7())
    assert 3600.0 <= await dispatcher.lag_s() < 3660.0


async def test_only_events_sent_long_ago_are_pruned(database: Database) -> None:
    ids = [await happen(database, uuid7()) for _ in range(4)]
    async with database.transaction() as tx:
        for event_id, sent in zip(ids, ["8 days", "8 days", "6 days", None], strict=True):
            await tx.execute(
                "UPDATE messaging.outbox SET sent_at = now() - %s::interval WHERE event_id = %s",
                (sent, event_id),
            )
        await tx.execute("UPDATE messaging.publications SET published_at = now()")
    async with database.transaction() as tx:
        assert [await outbox.prune(tx, limit=1) for _ in range(3)] == [1, 1, 0]
    async with database.reading() as tx:
        kept = await tx.execute("SELECT event_id FROM messaging.outbox ORDER BY position")
        assert [row[0] for row in await kept.fetchall()] == ids[2:]
