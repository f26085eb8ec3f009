"""Events that Event Grid gets as well: on a way of their own, which holds up nothing else."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from shared import outbox
from shared.db import Database
from shared.outbox import EVENT_GRID, Dispatcher, Dispatchers, Outgoing


class Taker:
    """Takes events, unless `fault` is set."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, UUID]] = []
        self.fault: Exception | None = None
        self.closed = False

    async def send(self, topic: str, events: Sequence[Outgoing]) -> None:
        if self.fault is not None:
            raise self.fault
        self.taken += [(topic, event.event_id) for event in events]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
async def empty_outbox(database: Database) -> AsyncIterator[None]:
    yield
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE messaging.outbox, messaging.publications RESTART IDENTITY")


class Ways:
    """Both ways out, and who stands at their ends."""

    def __init__(self, database: Database) -> None:
        self.bus, self.grid = Taker(), Taker()
        self.to_bus = Dispatcher(database, self.bus)
        self.to_grid = Dispatcher(database, self.grid, channel=EVENT_GRID, pace_s=0.0)
        self.both = Dispatchers(self.to_bus, self.to_grid)

    async def dispatch(self, aggregate_id: UUID) -> None:
        await self.both.dispatch(aggregate_id)
        await self.to_bus.settled()
        await self.to_grid.settled()


@pytest.fixture
def ways(database: Database) -> Ways:
    return Ways(database)


async def happen(
    database: Database, aggregate_id: UUID, type_: str, topic: str = "order-events"
) -> UUID:
    async with database.transaction() as tx:
        return await outbox.append(tx, topic=topic, type_=type_, aggregate_id=aggregate_id, data={})


async def test_event_grid_gets_what_outside_consumers_may_know_and_nothing_else(
    database: Database, ways: Ways
) -> None:
    order = uuid7()
    placed = await happen(database, order, "order.placed.v1")
    authorised = await happen(database, order, "payment.authorised.v1", "payment-events")
    captured = await happen(database, order, "payment.captured.v1", "payment-events")
    await ways.dispatch(order)
    assert [event_id for _, event_id in ways.bus.taken] == [placed, authorised, captured]
    assert ways.grid.taken == [("platform-events", placed), ("platform-events", captured)]
    assert await ways.both.relay() == 0


async def test_an_event_grid_that_is_away_holds_up_no_message(
    database: Database, ways: Ways
) -> None:
    ways.grid.fault = ConnectionError()
    orders = [uuid7(), uuid7()]
    sent = []
    for order in orders:
        sent.append(await happen(database, order, "order.placed.v1"))
        await ways.dispatch(order)
    assert [event_id for _, event_id in ways.bus.taken] == sent
    assert await ways.to_bus.lag_s() == 0.0
    assert 0.0 < await ways.both.lag_s() < 60.0

    third = await happen(database, uuid7(), "order.placed.v1")
    with pytest.raises(ConnectionError):
        await ways.both.relay()
    assert ways.bus.taken[-1] == ("order-events", third)

    ways.grid.fault = None
    assert await ways.both.relay() == 3
    assert sorted(event_id for _, event_id in ways.grid.taken) == sorted([*sent, third])


async def test_an_event_is_kept_until_event_grid_has_it_too(database: Database, ways: Ways) -> None:
    event_id = await happen(database, uuid7(), "order.placed.v1")
    async with database.transaction() as tx:
        await tx.execute("UPDATE messaging.outbox SET sent_at = now() - interval '8 days'")
        assert await outbox.prune(tx, limit=10) == 0
    assert await ways.to_grid.relay() == 1
    assert ways.grid.taken == [("platform-events", event_id)]
    async with database.transaction() as tx:
        assert await outbox.prune(tx, limit=10) == 1
        left = await (await tx.execute("SELECT count(*) FROM messaging.publications")).fetchone()
    assert left == (0,)


async def test_closing_lets_go_of_both(ways: Ways) -> None:
    await ways.both.close()
    assert (ways.bus.closed, ways.grid.closed) == (True, True)
