"""Digests: many notifications in one mail, whole, once, and without what has been overtaken."""

import asyncio
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from blueprints.notifications.delivery_models import ProviderFault
from shared.db import Database
from tests.integration.notifications.conftest import Mailbox
from tests.integration.notifications.doubles import Person, Post
from tests.integration.notifications.outbound import Outbound


async def gathered(outbound: Outbound, to: Person, digest_id: UUID, count: int) -> list[UUID]:
    return [await outbound.tell(to, "order_confirmed", digest_id=digest_id) for _ in range(count)]


async def test_a_digest_is_one_mail_for_all_that_it_holds(
    outbound: Outbound, mailbox: Mailbox
) -> None:
    anna, digest_id = outbound.people.meet(), uuid7()
    told = await gathered(outbound, anna, digest_id, 3)

    assert await outbound.sending.send_due() == 3

    (mail,) = await mailbox.messages(anna.email)
    assert mail["id"] == str(digest_id)
    assert mail["text"].count("SO-2026-000123") >= 3
    for one in told:
        row = await outbound.delivery(one)
        assert (row["status"], row["provider_reference"]) == ("accepted", str(digest_id))
        assert await outbound.log(one) == [("accepted", None)]
        assert len(await outbound.events(one)) == 1


async def test_what_is_not_gathered_yet_is_left_alone(outbound: Outbound) -> None:
    anna = outbound.people.meet()
    (told,) = await gathered(outbound, anna, uuid7(), 1)
    async with outbound.database.transaction() as tx:
        await tx.execute("UPDATE notifications.deliveries SET digest_id = NULL")

    assert await outbound.sending.send_due() == 0
    assert await outbound.fate(told) == ("pending", None)


async def test_a_digest_leaves_out_what_has_been_overtaken_or_has_no_words(
    outbound: Outbound, mailbox: Mailbox
) -> None:
    anna, digest_id, order_id = outbound.people.meet(), uuid7(), uuid4()
    outbound.orders.statuses[order_id] = "cancelled"
    (good,) = await gathered(outbound, anna, digest_id, 1)
    overtaken = await outbound.tell(anna, "order_confirmed", order_id=order_id, digest_id=digest_id)
    broken = await outbound.tell(anna, "order_confirmed", facts={}, digest_id=digest_id)

    await outbound.sending.send_due()

    assert len(await mailbox.messages(anna.email)) == 1
    assert await outbound.fate(good) == ("accepted", None)
    assert await outbound.fate(overtaken) == ("skipped", "outdated")
    status, reason = await outbound.fate(broken)
    assert (status, str(reason).startswith("template: ")) == ("failed", True)


async def test_a_digest_of_which_nothing_is_left_is_not_sent(
    outbound: Outbound, mailbox: Mailbox
) -> None:
    anna, digest_id, order_id = outbound.people.meet(), uuid7(), uuid4()
    outbound.orders.statuses[order_id] = "cancelled"
    await outbound.tell(anna, "order_confirmed", order_id=order_id, digest_id=digest_id)

    await outbound.sending.send_due()

    assert await mailbox.messages(anna.email) == []


async def test_a_digest_that_meets_a_fault_is_tried_again_whole_and_as_the_same_mail(
    outbound: Outbound,
) -> None:
    anna, digest_id = outbound.people.meet(), uuid7()
    told = await gathered(outbound, anna, digest_id, 3)
    post = Post(faults=[ProviderFault("status 500", retry_after_s=0)])
    sending = outbound.process(email=post)

    await sending.send_due()
    for one in told:
        assert await outbound.log(one) == [("fault", "status 500")]
    await outbound.make_due(*told)
    await sending.send_due()

    assert post.keys == [digest_id, digest_id]
    for one in told:
        assert await outbound.fate(one) == ("accepted", None)


async def test_processes_at_a_time_never_part_a_digest(
    outbound: Outbound, database_url: str
) -> None:
    databases = [Database(database_url, max_size=4) for _ in range(3)]
    digests = [uuid7() for _ in range(20)]
    for digest_id in digests:
        await gathered(outbound, outbound.people.meet(), digest_id, 3)
    post = Post(takes_s=0.002)
    processes = [outbound.process(database=database, email=post) for database in databases]

    # Batches of two digests at a time, so that the processes meet.
    done = await asyncio.gather(*(one._send("email", 2) for one in processes for _ in range(8)))

    assert sum(done) == 60
    assert sorted(post.keys) == sorted(digests)
    for database in databases:
        await database.close()
