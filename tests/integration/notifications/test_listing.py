"""What readers see: their own and their audiences', unread and read, and what they missed."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from blueprints.notifications.api_models import NotificationPage, NotificationQuery
from blueprints.notifications.models import Audience, Notification
from shared.auth import ADMIN, CUSTOMER_SERVICE, ORDER_MANAGER, Caller
from shared.db import Database, Transaction
from shared.http import encode_cursor
from shared.problem import InvalidCursor, NotFound
from tests.integration.notifications.told import TUESDAY_NOON, Told

EVERYTHING = NotificationQuery(limit=100)


@pytest.fixture
def told(database: Database) -> Told:
    return Told(database)


def client(person_id: UUID | None = None) -> Caller:
    return Caller("client", person_id or uuid4(), scopes=frozenset({"notifications.readwrite"}))


def employee(*roles: str) -> Caller:
    return Caller("employee", uuid4(), frozenset(roles))


async def tell(
    told: Told,
    tx: Transaction,
    reader: UUID | Audience,
    number: str = "SO-1",
    order_id: UUID | None = None,
) -> UUID:
    notification = Notification(
        id=uuid7(),
        type="order_delivered",
        recipient_id=reader if isinstance(reader, UUID) else None,
        audience=None if isinstance(reader, UUID) else reader,
        order_id=order_id,
        facts={"number": number},
        message=None,
        template_version=1,
        occurred_at=TUESDAY_NOON,
    )
    await told.announcing.tell(tx, notification, event_id=str(notification.id))
    return notification.id


async def telling(told: Told, reader: UUID | Audience, number: str = "SO-1") -> UUID:
    async with told.database.transaction() as tx:
        return await tell(told, tx, reader, number)


def ids(page: NotificationPage) -> list[UUID]:
    return [item.id for item in page.items]


async def test_readers_see_their_own_newest_first_in_their_language(told: Told) -> None:
    alice, bruno = client(told.customer("fr")), client(told.customer())
    first = await telling(told, alice.id, "SO-2026-000001")
    second = await telling(told, alice.id, "SO-2026-000002")
    await telling(told, bruno.id)

    page = await told.service.list(alice, NotificationQuery())

    assert ids(page) == [second, first]
    assert (page.items[1].title, page.items[1].text) == (
        "Commande livrée",
        "Votre commande SO-2026-000001 a été livrée.",
    )
    assert (page.items[0].at, page.items[0].read_at) == (TUESDAY_NOON, None)
    assert (page.next_cursor, page.more) == (None, False)
    assert (page.unread_count, page.unread_more) == (2, False)
    german = await told.service.list(alice, NotificationQuery(language="de", limit=1))
    assert german.items[0].title == "Bestellung zugestellt"


async def test_an_audience_is_told_to_those_who_belong_to_it(told: Told) -> None:
    audiences: Sequence[Audience] = (
        *("clients", "employees", "role:customer-service", "role:order-manager", "role:admin"),
    )
    for audience in audiences:
        await telling(told, audience)
    before: dict[str, Any] = {}
    for name, reader in {
        "client": client(),
        "carla": employee(CUSTOMER_SERVICE),
        "oscar": employee(ORDER_MANAGER),
        "both": employee(ORDER_MANAGER, ADMIN),
    }.items():
        page = await told.service.list(reader, EVERYTHING)
        before[name] = {item.audience for item in page.items}

    assert before == {
        "client": {"clients"},
        "carla": {"employees", "role:customer-service"},
        "oscar": {"employees", "role:order-manager"},
        "both": {"employees", "role:order-manager", "role:admin"},
    }


async def test_a_cursor_leads_through_all_of_them_once(told: Told) -> None:
    alice = client(told.customer())
    await told.service.read_all(alice, (await told.service.list(alice, EVERYTHING)).latest)
    seen_before = set(ids(await told.service.list(alice, EVERYTHING)))
    written = [await telling(told, alice.id if n % 3 else "clients") for n in range(7)]

    found: list[UUID] = []
    query = NotificationQuery(unread=True, limit=3)
    while True:
        page = await told.service.list(alice, query)
        found += ids(page)
        if page.next_cursor is None:
            break
        query = NotificationQuery(unread=True, limit=3, cursor=page.next_cursor)

    assert found == list(reversed(written))
    assert not seen_before & set(found)


async def test_reading_one_keeps_the_first_time_and_counts_down(told: Told) -> None:
    alice = client(told.customer())
    one, other = await telling(told, alice.id), await telling(told, alice.id)

    first = await told.service.read(alice, one, None)
    again = await told.service.read(alice, one, None)

    assert first.read_at is not None
    assert again == first
    page = await told.service.list(alice, NotificationQuery(unread=True))
    assert [i for i in ids(page) if i in {one, other}] == [other]


async def test_each_reader_of_an_audience_reads_for_himself(told: Told) -> None:
    oscar, olga = employee(ORDER_MANAGER), employee(ORDER_MANAGER)
    one = await telling(told, "role:order-manager")

    assert (await told.service.read(oscar, one, None)).read_at is not None

    seen = {
        name: next(i for i in (await told.service.list(who, EVERYTHING)).items if i.id == one)
        for name, who in (("oscar", oscar), ("olga", olga))
    }
    assert (seen["oscar"].read_at is not None, seen["olga"].read_at) == (True, None)


async def test_somebody_elses_notification_is_not_there(told: Told) -> None:
    alice, bruno = client(told.customer()), client(told.customer())
    hers, managers = await telling(told, alice.id), await telling(told, "role:order-manager")

    for reader, one in (
        (bruno, hers),
        (employee(ADMIN), hers),
        (alice, managers),
        (employee(CUSTOMER_SERVICE), managers),
        (alice, uuid4()),
    ):
        with pytest.raises(NotFound):
            await told.service.read(reader, one, None)

    ((read_at, reads),) = await told.rows(
        """
        SELECT
            (SELECT read_at FROM notifications.notifications WHERE id = %(hers)s),
            (SELECT count(*) FROM notifications.reads WHERE notification_id = %(managers)s)
        """,
        hers=hers,
        managers=managers,
    )
    assert (read_at, reads) == (None, 0)


async def test_reading_all_leaves_unread_what_came_after_the_list(told: Told) -> None:
    alice = client(told.customer())
    await telling(told, alice.id)
    await telling(told, "clients")
    latest = (await told.service.list(alice, EVERYTHING)).latest
    late, late_to_all = await telling(told, alice.id), await telling(told, "clients")

    assert await told.service.read_all(alice, latest) >= 2
    assert await told.service.read_all(alice, latest) == 0

    page = await told.service.list(alice, NotificationQuery(unread=True))
    assert ids(page) == [late_to_all, late]
    assert page.unread_count == 2


async def test_counting_the_unread_stops_at_99(told: Told) -> None:
    alice = client(told.customer())
    async with told.database.transaction() as tx:
        for _ in range(120):
            await tell(told, tx, alice.id)

    page = await told.service.list(alice, NotificationQuery(limit=1))

    assert (page.unread_count, page.unread_more) == (99, True)


async def test_of_what_everybody_was_told_only_the_newest_hundred_count_as_unread(
    told: Told,
) -> None:
    alice = client(told.customer())
    async with told.database.transaction() as tx:
        for _ in range(150):
            await tell(told, tx, "clients")
    newest = await told.service.list(alice, NotificationQuery(limit=100))
    assert (newest.unread_count, newest.unread_more) == (99, True)
    for item in newest.items:
        await told.service.read(alice, item.id, None)

    page = await told.service.list(alice, NotificationQuery(limit=1))

    assert (page.unread_count, page.unread_more) == (0, False)


async def test_who_comes_back_is_told_what_he_missed_oldest_first(told: Told) -> None:
    alice = client(told.customer())
    await telling(told, alice.id)
    latest = (await told.service.list(alice, EVERYTHING)).latest
    missed = [await telling(told, "clients" if n % 2 else alice.id) for n in range(5)]

    first = await told.service.list(alice, NotificationQuery(since=latest, limit=3))
    second = await told.service.list(alice, NotificationQuery(since=first.latest, limit=3))
    third = await told.service.list(alice, NotificationQuery(since=second.latest, limit=3))

    assert ids(first) + ids(second) == missed
    assert ids(third) == []
    assert [first.more, second.more, third.more] == [True, False, False]
    assert third.latest == second.latest
    assert first.next_cursor is None


async def test_a_token_never_passes_by_what_commits_late(told: Told) -> None:
    """Positions are given before the commit: without the lock per reader one could be missed."""
    alice = client(told.customer())
    latest = (await told.service.list(alice, EVERYTHING)).latest
    # A transaction that has its position and lingers; another to the same reader comes after it.
    async with told.database.transaction() as tx:
        slow = await tell(told, tx, alice.id, "SO-slow")
        fast = asyncio.create_task(telling(told, alice.id, "SO-fast"))
        other = await telling(told, "clients", "SO-other")
        page = await told.service.list(alice, NotificationQuery(since=latest, limit=100))
        assert ids(page) == [other]
        assert not fast.done()

    quick = await fast
    rest = await told.service.list(alice, NotificationQuery(since=page.latest, limit=100))

    assert ids(rest) == [slow, quick]


async def test_catching_up_while_many_are_told_at_once_misses_none_and_repeats_none(
    told: Told,
) -> None:
    oscar = employee(ORDER_MANAGER)
    latest = (await told.service.list(oscar, EVERYTHING)).latest
    readers: Sequence[UUID | Audience] = (oscar.id, "employees", "role:order-manager")
    choose = random.Random(7)  # noqa: S311 - the same every time
    plan = [(choose.choice(readers), choose.random() / 50) for _ in range(90)]
    told_ids: set[UUID] = set()

    async def lingering(reader: UUID | Audience, linger_s: float) -> None:
        async with told.database.transaction() as tx:
            one = await tell(told, tx, reader)
            await asyncio.sleep(linger_s)
        told_ids.add(one)

    async def workers() -> None:
        waiting = asyncio.Semaphore(6)

        async def limited(reader: UUID | Audience, linger_s: float) -> None:
            async with waiting:
                await lingering(reader, linger_s)

        await asyncio.gather(*(limited(*one) for one in plan))

    work = asyncio.create_task(workers())
    seen: list[UUID] = []
    while True:
        finished = work.done()
        page = await told.service.list(oscar, NotificationQuery(since=latest, limit=100))
        latest = page.latest
        seen += ids(page)
        if finished and not page.more:
            break
    await work

    assert len(seen) == 90
    assert set(seen) == told_ids


async def test_a_role_that_is_new_to_somebody_starts_at_its_beginning(told: Told) -> None:
    oscar = employee(ORDER_MANAGER)
    latest = (await told.service.list(oscar, EVERYTHING)).latest
    one = await telling(told, "role:admin")
    promoted = Caller("employee", oscar.id, frozenset({ORDER_MANAGER, ADMIN}))

    page = await told.service.list(promoted, NotificationQuery(since=latest, limit=100))

    assert one in ids(page)


@pytest.mark.parametrize(
    "query",
    [
        NotificationQuery(cursor="garbage"),
        NotificationQuery(cursor=encode_cursor(position="-1")),
        NotificationQuery(cursor=encode_cursor(position="9" * 30)),
        NotificationQuery(cursor=encode_cursor(seen="own=1")),
        NotificationQuery(since=encode_cursor(position="1")),
        NotificationQuery(since=encode_cursor(seen="own=x")),
        NotificationQuery(since=encode_cursor(seen="own=²")),
        NotificationQuery(since=encode_cursor(seen="")),
    ],
)
async def test_what_no_list_gave_out_is_no_cursor(query: NotificationQuery, told: Told) -> None:
    with pytest.raises(InvalidCursor):
        await told.service.list(client(), query)


async def test_one_that_has_no_words_does_not_hide_the_others(told: Told) -> None:
    alice = client(told.customer())
    broken, fine = await telling(told, alice.id), await telling(told, alice.id)
    async with told.database.transaction() as tx:
        await tx.execute(
            "UPDATE notifications.notifications SET facts = '{}' WHERE id = %s", [broken]
        )

    page = await told.service.list(alice, NotificationQuery(limit=2))

    assert ids(page) == [fine, broken]
    assert (page.items[1].title, page.items[1].text) == ("an order has arrived", "")


async def test_the_history_of_an_order_says_what_became_of_telling_its_customer(
    told: Told,
) -> None:
    order_id, customer_id = told.neighbours.order(), told.customer()
    async with told.database.transaction() as tx:
        one = await tell(told, tx, customer_id, order_id=order_id)
    async with told.database.transaction() as tx:
        await tell(told, tx, "role:order-manager", order_id=order_id)
        await tx.execute(
            """
            UPDATE notifications.deliveries
            SET status = 'delivered', updated_at = '2026-11-24T11:00:01Z'
            WHERE notification_id = %s
            """,
            [one],
        )

    (entry,) = await told.service.history(order_id)

    assert (entry.type, entry.channel, entry.status) == ("order_delivered", "in_app", "delivered")
    assert entry.at.isoformat() == "2026-11-24T11:00:01+00:00"
