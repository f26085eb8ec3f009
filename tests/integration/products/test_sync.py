"""The ERP sync in a real PostgreSQL, with an ERP that lists what the test says."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from psycopg.rows import dict_row
from uuid_utils.compat import uuid7

from blueprints.products.models import ErpPage, ErpProduct, SyncRun, cache_key
from blueprints.products.stock import StockService
from blueprints.products.sync import SyncService
from shared.db import Database
from shared.problem import NotFound, PartnerUnavailable
from tests.integration.products.warehouse import Orders, Warehouse

ASSAM = ErpProduct(
    sku="TEA-ASSAM",
    name="Assam",
    description="Malty",
    category_code="tea",
    category_name="Tea",
    net_price=899,
    currency="EUR",
    tax_class="reduced",
    weight_g=250,
    active=True,
    on_hand=20,
)
KETTLE = ErpProduct(
    sku="KETTLE-1",
    name="Kettle",
    description="",
    category_code="kitchen",
    category_name="Kitchen",
    net_price=3999,
    currency="EUR",
    tax_class="standard",
    weight_g=1200,
    active=True,
    on_hand=5,
)


class Erp:
    """Lists its products one page each."""

    def __init__(self) -> None:
        self.pages: list[Sequence[ErpProduct]] = []
        self.rejected: Sequence[str] = ()
        self.fault: Exception | None = None

    async def page(self, number: int) -> ErpPage:
        if self.fault is not None:
            raise self.fault
        return ErpPage(self.pages[number - 1], self.rejected, number < len(self.pages))


class Cache:
    """Remembers what it was told to forget."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    async def delete(self, *keys: str) -> None:
        self.forgotten.extend(keys)


class Orchestrations:
    """Instances by id, as the durable client tells of them."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str, Any]] = []
        self.statuses: dict[str, str] = {}
        self.fault: Exception | None = None

    async def start_new(self, name: str, instance_id: str, client_input: Any) -> str:
        if self.fault is not None:
            raise self.fault
        self.started.append((name, instance_id, client_input))
        self.statuses[instance_id] = "Running"
        return instance_id

    async def get_status(self, instance_id: str) -> Any:
        return SimpleNamespace(runtime_status=self.statuses.get(instance_id))


@pytest.fixture
def erp() -> Erp:
    return Erp()


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def orchestrations() -> Orchestrations:
    return Orchestrations()


@pytest.fixture
async def sync(database: Database, erp: Erp, cache: Cache) -> SyncService:
    """Over an empty catalogue without runs."""
    async with database.transaction() as tx:
        await tx.execute(
            """
            TRUNCATE
                products.erp_sync_drifts, products.erp_sync_seen, products.erp_sync_pages,
                products.erp_sync_runs,
                products.stock_movements, products.reservations, products.inventory,
                products.products, products.product_categories
            """
        )
    return SyncService(database, erp, cache)


async def run_through(
    sync: SyncService, orchestrations: Orchestrations, *pages: Sequence[ErpProduct]
) -> SyncRun:
    """What the orchestration does when nothing fails."""
    run = await sync.start(orchestrations, "employee")
    for number in range(1, len(pages) + 1):
        assert await sync.pull(run.id, number) is (number < len(pages))
    await sync.finish(run.id)
    return await sync.get(run.id)


def counts(run: SyncRun) -> tuple[int, int, int, int, int]:
    return run.seen, run.created, run.changed, run.stock_changed, run.deactivated


async def listed(database: Database) -> dict[str, dict[str, Any]]:
    async with database.reading() as tx, tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            """
            SELECT
                p.id, p.sku, p.name, p.category_code, p.net_price, p.tax_class, p.active, p.version,
                p.updated_at, i.on_hand, i.reserved
            FROM products.products AS p
            JOIN products.inventory AS i ON i.product_id = p.id
            ORDER BY p.sku
            """
        )
        return {row["sku"]: row for row in await cursor.fetchall()}


async def test_a_run_takes_over_products_categories_and_stock(
    sync: SyncService,
    erp: Erp,
    orchestrations: Orchestrations,
    database: Database,
    warehouse: Warehouse,
) -> None:
    erp.pages = [[ASSAM], [KETTLE]]

    run = await run_through(sync, orchestrations, *erp.pages)

    assert (run.status, run.pages, run.failure) == ("succeeded", 2, None)
    assert counts(run) == (2, 2, 0, 2, 0)
    found = await listed(database)
    assert [
        (
            row["sku"],
            row["name"],
            row["category_code"],
            row["net_price"],
            row["tax_class"],
            row["active"],
            row["version"],
            row["on_hand"],
        )
        for row in found.values()
    ] == [
        ("KETTLE-1", "Kettle", "kitchen", 3999, "standard", True, 1, 5),
        ("TEA-ASSAM", "Assam", "tea", 899, "reduced", True, 1, 20),
    ]
    await warehouse.check_books()


async def test_a_run_that_finds_nothing_new_writes_nothing(
    sync: SyncService, erp: Erp, cache: Cache, orchestrations: Orchestrations, database: Database
) -> None:
    erp.pages = [[ASSAM, KETTLE]]
    await run_through(sync, orchestrations, *erp.pages)
    before = await listed(database)
    cache.forgotten.clear()

    run = await run_through(sync, orchestrations, *erp.pages)

    assert counts(run) == (2, 0, 0, 0, 0)
    assert await listed(database) == before
    assert cache.forgotten == []


async def test_a_page_pulled_twice_counts_once(
    sync: SyncService, erp: Erp, orchestrations: Orchestrations, warehouse: Warehouse
) -> None:
    erp.pages = [[ASSAM, KETTLE]]
    run = await sync.start(orchestrations, "schedule")

    await sync.pull(run.id, 1)
    await sync.pull(run.id, 1)
    await sync.finish(run.id)
    await sync.finish(run.id)

    ended = await sync.get(run.id)
    assert (ended.pages, *counts(ended)) == (1, 2, 2, 0, 2, 0)
    await warehouse.check_books()


async def test_the_same_page_pulled_at_the_same_time_is_taken_in_once(
    sync: SyncService, erp: Erp, orchestrations: Orchestrations, warehouse: Warehouse
) -> None:
    erp.pages = [[ASSAM, KETTLE]]
    run = await sync.start(orchestrations, "schedule")

    assert await asyncio.gather(*(sync.pull(run.id, 1) for _ in range(5))) == [False] * 5

    assert counts(await sync.get(run.id)) == (2, 2, 0, 2, 0)
    await warehouse.check_books()


async def test_a_changed_product_gets_a_new_version_and_leaves_the_cache(
    sync: SyncService, erp: Erp, cache: Cache, orchestrations: Orchestrations, database: Database
) -> None:
    erp.pages = [[ASSAM, KETTLE]]
    await run_through(sync, orchestrations, *erp.pages)
    cache.forgotten.clear()
    erp.pages = [[ASSAM.model_copy(update={"net_price": 999}), KETTLE]]

    run = await run_through(sync, orchestrations, *erp.pages)

    found = await listed(database)
    assert counts(run) == (2, 0, 1, 0, 0)
    assert (found["TEA-ASSAM"]["net_price"], found["TEA-ASSAM"]["version"]) == (999, 2)
    assert found["KETTLE-1"]["version"] == 1
    assert cache.forgotten == [cache_key(found["TEA-ASSAM"]["id"])]


async def test_a_product_that_the_erp_no_longer_lists_goes_off_sale_and_may_come_back(
    sync: SyncService, erp: Erp, cache: Cache, orchestrations: Orchestrations, database: Database
) -> None:
    erp.pages = [[ASSAM, KETTLE]]
    await run_through(sync, orchestrations, *erp.pages)
    cache.forgotten.clear()

    erp.pages = [[ASSAM]]
    gone = await run_through(sync, orchestrations, *erp.pages)

    found = await listed(database)
    assert counts(gone) == (1, 0, 0, 0, 1)
    assert (found["KETTLE-1"]["active"], found["TEA-ASSAM"]["active"]) == (False, True)
    assert cache.forgotten == [cache_key(found["KETTLE-1"]["id"])]

    erp.pages = [[ASSAM, KETTLE]]
    back = await run_through(sync, orchestrations, *erp.pages)

    assert counts(back) == (2, 0, 1, 0, 0)
    assert (await listed(database))["KETTLE-1"]["active"] is True


async def test_an_erp_that_lists_nothing_takes_nothing_off_sale(
    sync: SyncService, erp: Erp, orchestrations: Orchestrations, database: Database
) -> None:
    erp.pages = [[ASSAM]]
    await run_through(sync, orchestrations, *erp.pages)
    erp.pages = [[]]
    run = await sync.start(orchestrations, "schedule")
    assert await sync.pull(run.id, 1) is False

    assert await sync.finish(run.id) == {"refused": "empty_catalogue"}

    assert (await listed(database))["TEA-ASSAM"]["active"] is True
    ended = await sync.get(run.id)
    assert (ended.status, ended.failure) == ("failed", "the ERP lists no products")


async def test_a_product_that_makes_no_sense_is_counted_and_stays_as_it_was(
    sync: SyncService, erp: Erp, orchestrations: Orchestrations, database: Database
) -> None:
    erp.pages = [[ASSAM, KETTLE]]
    await run_through(sync, orchestrations, *erp.pages)
    erp.pages, erp.rejected = [[ASSAM]], ["KETTLE-1"]

    run = await run_through(sync, orchestrations, *erp.pages)

    assert (run.rejected, *counts(run)) == (1, 2, 0, 0, 0, 0)
    assert (await listed(database))["KETTLE-1"]["active"] is True


async def test_reserved_stock_is_left_alone_and_too_little_stock_is_told(
    *,
    sync: SyncService,
    erp: Erp,
    orchestrations: Orchestrations,
    database: Database,
    warehouse: Warehouse,
    stock: StockService,
    orders: Orders,
) -> None:
    erp.pages = [[ASSAM]]
    await run_through(sync, orchestrations, *erp.pages)
    assam: UUID = (await listed(database))["TEA-ASSAM"]["id"]
    await stock.reserve(orders.place((assam, 8)))
    erp.pages = [[ASSAM.model_copy(update={"on_hand": 6})]]

    run = await run_through(sync, orchestrations, *erp.pages)

    assert (run.stock_changed, run.oversold) == (1, 1)
    assert await warehouse.counters(assam) == (6, 8)
    assert await stock.reserve(orders.place((assam, 1))) == {"refused": "out_of_stock"}
    await warehouse.check_books()


async def test_goods_that_left_do_not_come_back_with_a_count_known_already(
    *,
    sync: SyncService,
    erp: Erp,
    orchestrations: Orchestrations,
    database: Database,
    warehouse: Warehouse,
    stock: StockService,
    orders: Orders,
) -> None:
    erp.pages = [[ASSAM]]
    await run_through(sync, orchestrations, *erp.pages)
    assam: UUID = (await listed(database))["TEA-ASSAM"]["id"]
    order = orders.place((assam, 8))
    await stock.reserve(order)
    await stock.commit(order)
    await stock.fulfil(order)

    erp.pages = [[ASSAM.model_copy(update={"name": "Assam Second Flush"})]]
    await run_through(sync, orchestrations, *erp.pages)
    assert await warehouse.counters(assam) == (12, 0)

    erp.pages = [[ASSAM.model_copy(update={"on_hand": 11})]]
    await run_through(sync, orchestrations, *erp.pages)
    assert await warehouse.counters(assam) == (11, 0)
    await warehouse.check_books()


async def test_one_run_goes_on_at_a_time(sync: SyncService, orchestrations: Orchestrations) -> None:
    runs = await asyncio.gather(
        *(sync.start(orchestrations, "employee") for _ in range(5)),
        sync.start(orchestrations, "schedule"),
    )

    assert len({run.id for run in runs}) == 1
    assert [run.id for run in (await sync.latest()).items] == [runs[0].id]
    name, instance_id, subject = orchestrations.started[0]
    assert (name, instance_id, subject["run_id"]) == (
        "sync_catalogue",
        str(runs[0].id),
        str(runs[0].id),
    )


async def test_a_run_whose_starter_died_is_started_by_the_next(
    sync: SyncService, orchestrations: Orchestrations
) -> None:
    orchestrations.fault = RuntimeError("the durable back end is away")
    with pytest.raises(RuntimeError, match="away"):
        await sync.start(orchestrations, "employee")
    orchestrations.fault = None

    run = await sync.start(orchestrations, "schedule")

    assert run.started_by == "employee"
    assert [instance for _, instance, _ in orchestrations.started] == [str(run.id)]


async def test_a_run_that_is_under_way_is_not_started_again(
    sync: SyncService, orchestrations: Orchestrations
) -> None:
    first = await sync.start(orchestrations, "employee")
    second = await sync.start(orchestrations, "employee")

    assert second.id == first.id
    assert len(orchestrations.started) == 1


async def test_the_next_run_is_a_new_one(
    sync: SyncService, erp: Erp, orchestrations: Orchestrations
) -> None:
    erp.pages = [[ASSAM]]
    first = await run_through(sync, orchestrations, *erp.pages)
    second = await run_through(sync, orchestrations, *erp.pages)

    assert [run.id for run in (await sync.latest()).items] == [second.id, first.id]


async def test_a_run_tells_the_fault_it_met_and_goes_on_when_it_is_over(
    sync: SyncService, erp: Erp, orchestrations: Orchestrations
) -> None:
    erp.pages, erp.fault = [[ASSAM]], PartnerUnavailable("the ERP answered with status 503")
    run = await sync.start(orchestrations, "schedule")
    with pytest.raises(PartnerUnavailable):
        await sync.pull(run.id, 1)
    hampered = await sync.get(run.id)
    assert (hampered.status, hampered.failure) == ("running", "the ERP answered with status 503")

    erp.fault = None
    await sync.pull(run.id, 1)
    await sync.finish(run.id)

    ended = await sync.get(run.id)
    assert (ended.status, ended.failure, ended.created) == ("succeeded", None, 1)


async def test_a_run_that_gives_up_says_which_fault_stopped_it(
    sync: SyncService, erp: Erp, orchestrations: Orchestrations
) -> None:
    erp.fault = PartnerUnavailable("the ERP did not answer: ReadTimeout")
    run = await sync.start(orchestrations, "schedule")
    with pytest.raises(PartnerUnavailable):
        await sync.pull(run.id, 1)

    await sync.fail(run.id, "page 1: Activity failed")
    await sync.fail(run.id, "again")

    ended = await sync.get(run.id)
    assert (ended.status, ended.failure) == ("failed", "the ERP did not answer: ReadTimeout")
    assert ended.finished_at is not None


async def test_a_run_that_ended_takes_in_no_page(
    sync: SyncService, erp: Erp, orchestrations: Orchestrations, database: Database
) -> None:
    erp.pages = [[ASSAM], [KETTLE]]
    run = await sync.start(orchestrations, "schedule")
    await sync.fail(run.id, "given up")

    assert await sync.pull(run.id, 1) is False
    await sync.finish(run.id)

    assert (await sync.get(run.id)).status == "failed"
    assert await listed(database) == {}


async def test_a_run_that_nobody_knows_is_not_found(sync: SyncService) -> None:
    with pytest.raises(NotFound):
        await sync.get(uuid7())
