"""A full disk of the database: refused to whoever asks, and every saga goes on afterwards."""

import contextlib
import uuid
from collections.abc import AsyncIterator

import psycopg

from tests.chaos.settings import PATIENT
from tests.rig.disk import full_disk
from tests.rig.invariants import assert_all_is_well
from tests.rig.platform import Platform, eventually
from tests.rig.postgres import contents


async def placed_again(platform: Platform, product: str, key: str) -> str:
    """The id of the order that the key places in the end."""
    found: list[str] = []

    async def answered() -> bool:
        answer = await platform.shop.try_place(platform.bruno, {product: 1}, key=key)
        if answer.status_code == 201:
            found.append(answer.json()["id"])
        return bool(found)

    await eventually(answered, "an order placed after all")
    return found[0]


async def assert_confirmed(platform: Platform, *order_ids: str) -> None:
    for order_id in order_ids:
        order = await platform.shop.settled(platform.carla, order_id)
        assert order["status"] == "confirmed"
    await assert_all_is_well(platform)


async def test_a_database_that_dies_of_its_full_disk_costs_only_time(platform: Platform) -> None:
    """What it cannot log it cannot survive; it is started anew when there is space."""
    await platform.configure(PATIENT)
    product, key = platform.product(), str(uuid.uuid4())
    async with platform.payment.barrier("authorize", "after_effect") as authorised:
        under_way = await platform.shop.place(platform.alice, {platform.product(): 1})
        await authorised.reached()
        with full_disk(platform.cloud, "postgres"):
            refused = await platform.shop.try_place(platform.bruno, {product: 1}, key=key)

    async def connected() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            await platform.reconnect()
            return True
        return False

    await eventually(connected, "the database started again")
    order_id = await placed_again(platform, product, key)

    # Another process of the server may meet the full disk first: then the request waits for the one
    # that is started anew, and is no less an order for that.
    assert refused.status_code in {201, 503}, refused.text
    if refused.status_code == 201:
        assert refused.json()["id"] == order_id
    await assert_confirmed(platform, under_way["id"], order_id)


@contextlib.asynccontextmanager
async def read_only(platform: Platform) -> AsyncIterator[None]:
    """The server writes nothing, which is what Azure's does when its storage is nearly full.

    https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-limits#storage
    """
    server = await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=platform.cloud.ports["postgres"],
        user="postgres",
        password=platform.cloud.state.secrets().postgres,
        dbname="postgres",
        autocommit=True,
    )
    async with server:
        try:
            await server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await server.execute("SELECT pg_reload_conf()")
            yield
        finally:
            await server.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await server.execute("SELECT pg_reload_conf()")


def told_by_the_host(platform: Platform) -> str:
    return platform.cloud.state.log_file("functions").read_text()


async def test_a_database_that_only_reads_refuses_and_costs_only_time(platform: Platform) -> None:
    await platform.configure(PATIENT)
    product, key = platform.product(), str(uuid.uuid4())
    async with platform.payment.barrier("authorize", "after_effect") as authorised:
        under_way = await platform.shop.place(platform.alice, {platform.product(): 1})
        await authorised.reached()
        await platform.everybody_told()
        before = await contents(platform.db)
        async with read_only(platform):
            told = len(told_by_the_host(platform))
            await authorised.release()

            async def failed() -> bool:
                now = told_by_the_host(platform)[told:]
                return "Executed 'Functions.authorise_payment' (Failed" in now

            await eventually(failed, "a step that failed")
            refused = await platform.shop.try_place(platform.bruno, {product: 1}, key=key)
            assert await contents(platform.db) == before
    order_id = await placed_again(platform, product, key)

    assert refused.status_code == 503, refused.text
    await assert_confirmed(platform, under_way["id"], order_id)
    # That the first one failed was kept in mind until it could be written down.
    assert await platform.attempts(under_way["id"], "authorise_payment") == 2
