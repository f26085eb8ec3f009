"""What waits for a person is gathered once, into one digest a day or a week."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import pytest

from blueprints.notifications import preferences_repository
from blueprints.notifications.api_models import UpdatePreferences
from shared.auth import Caller
from shared.db import Database
from tests.integration.notifications.told import Told, happened

EIGHT = datetime(2026, 11, 25, 7, 0, tzinfo=UTC)
"""The Wednesday's 8:00 in Berlin."""
DAY = timedelta(days=1)


@pytest.fixture
def told(database: Database) -> Told:
    return Told(database)


async def subscriber(told: Told, rhythm: Literal["daily", "weekly"] = "daily") -> UUID:
    """A customer who wants a digest at eight."""
    customer_id = told.customer()
    caller = Caller("client", customer_id)
    update = UpdatePreferences(time_zone="Europe/Berlin", digest=rhythm)
    await told.preferring.update(caller, 0, update)
    return customer_id


async def happens(told: Told, customer_id: UUID, times: int = 1) -> None:
    for _ in range(times):
        await told.hear(happened("order.shipped.v1", told.neighbours.order(customer_id)))


async def gathered(told: Told, customer_id: UUID) -> list[tuple[Any, ...]]:
    """(digest id, due at) of the person's mails, in the order in which they were written."""
    return await told.rows(
        """
        SELECT d.digest_id, d.due_at
        FROM notifications.deliveries AS d
        JOIN notifications.notifications AS n ON n.id = d.notification_id
        WHERE d.recipient_id = %(customer_id)s AND d.channel = 'email'
        ORDER BY n.position
        """,
        customer_id=customer_id,
    )


async def test_nothing_is_gathered_before_it_is_due(told: Told) -> None:
    customer_id = await subscriber(told)
    await happens(told, customer_id)
    told.now = EIGHT - timedelta(seconds=1)

    assert await told.digesting.gather() == 0
    assert await gathered(told, customer_id) == [(None, EIGHT)]


async def test_each_person_gets_one_digest_of_all_that_is_due(told: Told) -> None:
    first, second = await subscriber(told), await subscriber(told)
    await happens(told, first, 3)
    await happens(told, second, 2)
    told.now = EIGHT

    await told.digesting.gather()

    of_first = {digest for digest, _ in await gathered(told, first)}
    of_second = {digest for digest, _ in await gathered(told, second)}
    assert (len(of_first), len(of_second)) == (1, 1)
    assert None not in of_first | of_second
    assert of_first != of_second
    assert await told.digesting.gather() == 0


async def test_gathering_at_once_in_many_processes_makes_one_digest(told: Told) -> None:
    customer_id = await subscriber(told)
    await happens(told, customer_id, 5)
    told.now = EIGHT
    await asyncio.gather(*(told.digesting.gather() for _ in range(6)))

    assert len({digest for digest, _ in await gathered(told, customer_id)}) == 1


async def test_a_crash_while_gathering_leaves_it_to_the_next_run(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer_id = await subscriber(told)
    await happens(told, customer_id, 2)
    told.now = EIGHT
    gather = preferences_repository.gather

    async def gather_and_die(*args: Any, **names: Any) -> int:
        await gather(*args, **names)
        raise ConnectionError("the host is gone")

    monkeypatch.setattr(preferences_repository, "gather", gather_and_die)
    with pytest.raises(ConnectionError):
        await told.digesting.gather()
    assert await gathered(told, customer_id) == [(None, EIGHT)] * 2

    monkeypatch.undo()
    await told.digesting.gather()

    assert len({digest for digest, _ in await gathered(told, customer_id)} - {None}) == 1


async def test_what_turns_up_late_waits_for_the_next_digest(told: Told) -> None:
    customer_id = await subscriber(told)
    await happens(told, customer_id)
    told.now = EIGHT
    await told.digesting.gather()
    # Its delivery was planned a moment before eight and committed a moment after.
    told.now = EIGHT - timedelta(milliseconds=1)
    await happens(told, customer_id)
    told.now = EIGHT + timedelta(minutes=1)

    await told.digesting.gather()

    (first, _), late = await gathered(told, customer_id)
    assert late == (None, EIGHT + DAY)
    told.now = EIGHT + DAY
    await told.digesting.gather()
    (_, _), (second, _) = await gathered(told, customer_id)
    assert second not in {None, first}


async def test_after_days_of_silence_everything_is_one_digest(told: Told) -> None:
    customer_id = await subscriber(told)
    for _ in range(3):
        await happens(told, customer_id)
        told.later(days=1)
    assert [due for _, due in await gathered(told, customer_id)] == [
        EIGHT,
        EIGHT + DAY,
        EIGHT + 2 * DAY,
    ]

    await told.digesting.gather()

    assert len({digest for digest, _ in await gathered(told, customer_id)}) == 1


async def test_who_gives_up_his_digest_still_gets_what_waits(told: Told) -> None:
    customer_id = await subscriber(told, "weekly")
    await happens(told, customer_id)
    off = UpdatePreferences(time_zone="Europe/Berlin", digest="off")
    await told.preferring.update(Caller("client", customer_id), 1, off)
    told.now = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)

    await told.digesting.gather()

    ((digest, due),) = await gathered(told, customer_id)
    assert digest is not None
    assert due == told.now


async def test_what_is_not_wanted_any_more_is_in_no_digest(told: Told) -> None:
    customer_id = await subscriber(told)
    await happens(told, customer_id)
    off = UpdatePreferences(
        time_zone="Europe/Berlin", digest="daily", wanted={"order_shipped": {"email": False}}
    )
    await told.preferring.update(Caller("client", customer_id), 1, off)
    told.now = EIGHT

    await told.digesting.gather()

    assert await gathered(told, customer_id) == [(None, EIGHT)]
    assert [s for _, c, s, *_ in await told.deliveries(customer_id) if c == "email"] == ["skipped"]
