"""What a run of the ERP sync reports to differ, in a real PostgreSQL."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from blueprints.products import drift_repository
from blueprints.products.models import Drift, ErpProduct, SyncReport
from blueprints.products.stock import StockService
from blueprints.products.sync import SyncService
from shared.db import Database
from tests.integration.products.test_sync import ASSAM, KETTLE, Cache, Erp, Orchestrations
from tests.integration.products.warehouse import Orders, Warehouse


@pytest.fixture
async def sync(database: Database) -> SyncService:
    """Over a catalogue that holds ASSAM and KETTLE as the ERP lists them."""
    async with database.transaction() as tx:
        await tx.execute(
            """
            TRUNCATE
                products.stock_movements, products.reservations, products.inventory,
                products.products, products.product_categories, products.erp_sync_runs CASCADE
            """
        )
    service = SyncService(database, Erp(), Cache())
    assert (await report(service, [ASSAM, KETTLE])).drifts == []
    return service


async def report(
    sync: SyncService, *pages: Sequence[ErpProduct], rejected: Sequence[str] = ()
) -> SyncReport:
    """The report of a run over these pages."""
    sync._erp = erp = Erp()
    erp.pages, erp.rejected = list(pages), rejected
    run = await sync.start(Orchestrations(), "employee")
    for number in range(1, len(pages) + 1):
        await sync.pull(run.id, number)
    await sync.finish(run.id)
    return await sync.get(run.id)


async def ids(database: Database) -> dict[str, UUID]:
    async with database.reading() as tx:
        rows = await tx.execute("SELECT sku, id FROM products.products")
        return {row[0]: row[1] for row in await rows.fetchall()}


def drift(kind: Any, sku: str, product_id: UUID | None, **facts: Any) -> Drift:
    nothing = dict.fromkeys(("fields", "ours", "erps"))
    return Drift(kind=kind, sku=sku, product_id=product_id, **nothing | facts)


async def test_nothing_differs_when_nothing_changed(sync: SyncService) -> None:
    run = await report(sync, [ASSAM], [KETTLE])

    assert (run.drifts, run.drifted, run.more) == ([], {}, [])


async def test_new_prices_counts_and_products_that_are_gone_are_named(
    sync: SyncService, database: Database
) -> None:
    dearer = ASSAM.model_copy(update={"net_price": 999, "on_hand": 25})

    run = await report(sync, [dearer])

    known = await ids(database)
    assert run.drifts == [
        drift("gone", "KETTLE-1", known["KETTLE-1"]),
        drift("price", "TEA-ASSAM", known["TEA-ASSAM"], ours=899, erps=999),
        drift("recounted", "TEA-ASSAM", known["TEA-ASSAM"], ours=20, erps=25),
    ]
    assert run.drifted == {"gone": 1, "price": 1, "recounted": 1}
    assert (await sync.latest()).items[0].drifted == run.drifted


async def test_goods_that_left_without_the_erp_hearing_of_it_diverge(
    sync: SyncService,
    database: Database,
    warehouse: Warehouse,
    stock: StockService,
    orders: Orders,
) -> None:
    assam = (await ids(database))["TEA-ASSAM"]
    order = orders.place((assam, 3))
    await stock.reserve(order)
    await stock.commit(order)
    await stock.fulfil(order)

    run = await report(sync, [ASSAM, KETTLE])

    assert run.drifts == [drift("diverged", "TEA-ASSAM", assam, ours=17, erps=20)]
    assert await warehouse.counters(assam) == (17, 0)


async def test_counts_below_what_is_reserved_are_named(
    sync: SyncService, database: Database, stock: StockService, orders: Orders
) -> None:
    assam = (await ids(database))["TEA-ASSAM"]
    await stock.reserve(orders.place((assam, 15)))

    run = await report(sync, [ASSAM.model_copy(update={"on_hand": 10}), KETTLE])

    assert run.drifts == [
        drift("oversold", "TEA-ASSAM", assam, ours=15, erps=10),
        drift("recounted", "TEA-ASSAM", assam, ours=20, erps=10),
    ]
    assert run.oversold == 1


async def test_pinned_texts_own_numbers_and_useless_data_are_named(
    sync: SyncService, database: Database, warehouse: Warehouse
) -> None:
    mug = await warehouse.product(1, sku="MUG-1")
    async with database.transaction() as tx:
        await tx.execute("UPDATE products.products SET origin = 'own' WHERE id = %s", (mug,))
        await tx.execute(
            "UPDATE products.products SET pinned = ARRAY['description', 'name'], name = 'Mine'"
            " WHERE sku = 'TEA-ASSAM'"
        )
    taken = KETTLE.model_copy(update={"sku": "MUG-1"})

    run = await report(sync, [ASSAM, KETTLE, taken], rejected=["ODD-1"])

    known = await ids(database)
    assert run.drifts == [
        drift("pinned", "TEA-ASSAM", known["TEA-ASSAM"], fields=["name"]),
        drift("rejected", "ODD-1", None),
        drift("sku_taken", "MUG-1", mug),
    ]


async def test_a_page_pulled_twice_reports_once(sync: SyncService) -> None:
    erp = Erp()
    sync._erp = erp
    erp.pages = [[ASSAM.model_copy(update={"net_price": 1}), KETTLE]]
    run = await sync.start(Orchestrations(), "employee")

    await sync.pull(run.id, 1)
    await sync.pull(run.id, 1)

    assert [(d.kind, d.ours, d.erps) for d in (await sync.get(run.id)).drifts] == [
        ("price", 899, 1)
    ]


async def test_a_report_is_bounded_and_says_so(
    sync: SyncService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_repository, "SHOWN", 2)
    monkeypatch.setattr(drift_repository, "KEPT", 3)
    many = [ASSAM.model_copy(update={"sku": f"TEA-{number}"}) for number in range(6)]
    await report(sync, [ASSAM, KETTLE, *many])
    dearer = [product.model_copy(update={"net_price": 1}) for product in many]

    run = await report(sync, [ASSAM, *dearer[:2]], dearer[2:4], dearer[4:])

    assert [(d.kind, d.sku) for d in run.drifts] == [
        ("gone", "KETTLE-1"),
        ("price", "TEA-0"),
        ("price", "TEA-1"),
    ]
    assert (run.drifted, run.more) == ({"gone": 1, "price": 2}, ["price"])
    assert (await sync.latest()).items[0].drifted == run.drifted


async def test_reports_of_long_ago_are_forgotten(
    sync: SyncService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_repository, "RUNS_KEPT", 2)
    runs = [
        await report(sync, [ASSAM.model_copy(update={"net_price": price}), KETTLE])
        for price in (1, 2, 3)
    ]

    kept = [len((await sync.get(run.id)).drifts) for run in runs]

    assert kept == [0, 1, 1]
