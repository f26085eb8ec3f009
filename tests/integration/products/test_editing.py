"""Products that employees make and change, in a real PostgreSQL, with the ERP sync beside them."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from blueprints.products.editing import Editing
from blueprints.products.models import (
    CreateProduct,
    ErpOwnedField,
    ErpPage,
    ErpProduct,
    NothingToPin,
    Product,
    SkuTaken,
    UnknownCategory,
    UpdateProduct,
    cache_key,
)
from blueprints.products.service import ProductService
from blueprints.products.stock import StockService
from blueprints.products.sync import SyncService
from shared.auth import ORDER_MANAGER, Caller
from shared.db import Database
from shared.idempotency import IdempotencyKey
from shared.problem import EtagMismatch, IdempotencyKeyReused, NotFound
from tests.integration.products.warehouse import Orders, Warehouse

OSCAR = Caller("employee", UUID(int=7), roles=frozenset({ORDER_MANAGER}))
MUG = CreateProduct(
    sku="MUG-1",
    name="Mug",
    description="Holds tea",
    category="kitchen",
    category_name="Kitchen",
    net_price=999,
    currency="EUR",
    tax_class="standard",
    weight_g=300,
    on_hand=12,
)
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


class Cache:
    """Holds what it is given until it is told to forget."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        return self.held.get(key)

    async def set(self, key: str, value: str, ttl_s: float) -> None:
        assert ttl_s > 0
        self.held[key] = value

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self.held.pop(key, None)


class Erp:
    """Lists what the test says, on one page."""

    def __init__(self) -> None:
        self.products: Sequence[ErpProduct] = [ASSAM]

    async def page(self, number: int) -> ErpPage:
        assert number == 1
        return ErpPage(self.products, (), has_more=False)


class Orchestrations:
    """Starts nothing: the test drives the run itself."""

    async def start_new(self, name: str, instance_id: str, client_input: Any) -> str:
        del name, client_input
        return instance_id

    async def get_status(self, instance_id: str) -> Any:
        del instance_id


class Shop:
    """The services of the catalogue over one database."""

    def __init__(self, database: Database) -> None:
        self.database, self.cache, self.erp = database, Cache(), Erp()
        self.editing = Editing(database, self.cache)
        self.products = ProductService(database, self.cache)
        self.sync = SyncService(database, self.erp, self.cache)

    async def create(self, request: CreateProduct = MUG, key: str | None = None) -> Product:
        name = key if key is not None else str(uuid7())
        print_of = request.model_dump_json()
        return await self.editing.create(
            OSCAR, request, IdempotencyKey(OSCAR.id, "create_product", name, print_of)
        )

    async def update(self, product: Product, **changes: Any) -> Product:
        """What an employee does who reads the product, changes it, and sends it back."""
        facts = product.model_dump(include=set(UpdateProduct.model_fields) - {"pinned"})
        request = UpdateProduct.model_validate(facts | changes)
        return await self.editing.update(OSCAR, product.id, product.version, request)

    async def synchronise(self, *products: ErpProduct) -> None:
        self.erp.products = products
        run = await self.sync.start(Orchestrations(), "employee")
        await self.sync.pull(run.id, 1)
        await self.sync.finish(run.id)

    async def by_sku(self, sku: str) -> Product:
        async with self.database.reading() as tx:
            found = await tx.execute("SELECT id FROM products.products WHERE sku = %s", (sku,))
            row = await found.fetchone()
        assert row is not None
        return await self.products.get(row[0])


@pytest.fixture
async def shop(database: Database) -> Shop:
    """Over an empty catalogue."""
    async with database.transaction() as tx:
        await tx.execute(
            """
            TRUNCATE
                products.stock_movements, products.reservations, products.inventory,
                products.products, products.product_categories, products.erp_sync_runs CASCADE
            """
        )
    return Shop(database)


async def test_a_new_product_is_the_shops_own_with_its_stock(
    shop: Shop, warehouse: Warehouse
) -> None:
    product = await shop.create()

    assert product.model_dump(exclude={"id", "updated_at"}) == {
        "sku": "MUG-1",
        "name": "Mug",
        "description": "Holds tea",
        "category": "kitchen",
        "net_price": 999,
        "currency": "EUR",
        "tax_class": "standard",
        "weight_g": 300,
        "available": 12,
        "active": True,
        "origin": "own",
        "pinned": [],
        "version": 1,
    }
    assert await shop.products.get(product.id) == product
    await warehouse.check_books()


async def test_a_new_product_can_be_reserved(
    shop: Shop, stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    product = await shop.create()

    assert await stock.reserve(orders.place((product.id, 12))) == {}
    assert await stock.reserve(orders.place((product.id, 1))) == {"refused": "out_of_stock"}
    await warehouse.check_books()


async def test_repeating_a_key_returns_the_product_as_it_was(shop: Shop) -> None:
    first = await shop.create(key="k1")
    await shop.update(first, net_price=1)

    assert await shop.create(key="k1") == first
    with pytest.raises(IdempotencyKeyReused):
        await shop.create(MUG.model_copy(update={"sku": "MUG-2"}), key="k1")


async def test_an_article_number_is_given_once(shop: Shop) -> None:
    first = await shop.create()

    with pytest.raises(SkuTaken) as refused:
        await shop.create()

    assert refused.value.document("c")["product_id"] == str(first.id)


async def test_two_who_take_an_article_number_at_once_get_one_product(shop: Shop) -> None:
    outcomes = await asyncio.gather(*(shop.create() for _ in range(4)), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "Product",
        "SkuTaken",
        "SkuTaken",
        "SkuTaken",
    ]


async def test_a_refused_product_may_be_sent_again_under_its_key(shop: Shop) -> None:
    nameless = MUG.model_copy(update={"category_name": None})
    with pytest.raises(UnknownCategory):
        await shop.create(nameless, key="k2")

    assert (await shop.create(MUG, key="k2")).category == "kitchen"


async def test_a_category_that_exists_keeps_its_name(shop: Shop) -> None:
    await shop.create()

    await shop.create(MUG.model_copy(update={"sku": "MUG-2", "category_name": "Küche"}))

    assert [(c.code, c.name) for c in (await shop.products.categories()).items] == [
        ("kitchen", "Kitchen")
    ]


async def test_everything_about_an_own_product_may_change(shop: Shop, warehouse: Warehouse) -> None:
    product = await shop.create()
    changes = {
        "name": "Cup",
        "description": "",
        "category": "tea",
        "category_name": "Tea",
        "net_price": 1099,
        "currency": "USD",
        "tax_class": "reduced",
        "weight_g": 1,
        "active": False,
        "on_hand": 3,
    }

    changed = await shop.update(product, **changes)

    expected = changes | {"version": 2, "available": 3, "sku": "MUG-1", "pinned": []}
    shown = {name: value for name, value in expected.items() if hasattr(changed, name)}
    assert changed.model_dump(include=set(shown)) == shown
    assert (await shop.update(changed, active=True)).active is True
    await warehouse.check_books()


async def test_a_count_leaves_what_is_reserved_alone(
    shop: Shop, stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    product = await shop.create()
    await stock.reserve(orders.place((product.id, 4)))

    changed = await shop.update(product, on_hand=10)

    assert changed.available == 6
    assert await warehouse.counters(product.id) == (10, 4)
    await warehouse.check_books()


async def test_a_change_needs_the_version_that_is_there(shop: Shop) -> None:
    product = await shop.create()
    changed = await shop.update(product, name="Cup")

    with pytest.raises(EtagMismatch):
        await shop.update(product, name="Jug")

    assert await shop.products.get(product.id) == changed


async def test_of_two_changes_at_once_one_wins(shop: Shop) -> None:
    product = await shop.create()

    outcomes = await asyncio.gather(
        shop.update(product, net_price=1),
        shop.update(product, net_price=2),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, EtagMismatch) for outcome in outcomes) == 1
    assert (await shop.products.get(product.id)).version == 2


async def test_a_product_that_nobody_knows_cannot_change(shop: Shop) -> None:
    product = await shop.create()

    with pytest.raises(NotFound):
        await shop.update(product.model_copy(update={"id": uuid7()}), name="Cup")


async def test_a_change_is_seen_at_once(shop: Shop) -> None:
    product = await shop.create()
    await shop.products.get(product.id)
    assert cache_key(product.id) in shop.cache.held

    await shop.update(product, name="Cup")

    assert (await shop.products.get(product.id)).name == "Cup"


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"net_price": 1}, ["net_price"]),
        ({"currency": "USD"}, ["currency"]),
        ({"tax_class": "zero"}, ["tax_class"]),
        ({"weight_g": 1}, ["weight_g"]),
        ({"category": "kitchen"}, ["category"]),
        ({"on_hand": 20}, ["on_hand"]),
        ({"net_price": 1, "on_hand": 1, "name": "Mine"}, ["net_price", "on_hand"]),
    ],
)
async def test_what_the_erp_decides_may_not_change(
    shop: Shop, change: dict[str, Any], fields: list[str]
) -> None:
    await shop.synchronise(ASSAM)
    before = await shop.by_sku("TEA-ASSAM")

    with pytest.raises(ErpOwnedField) as refused:
        await shop.update(before, **change)

    assert refused.value.document("c")["fields"] == fields
    assert await shop.by_sku("TEA-ASSAM") == before


async def test_a_text_that_was_changed_outlives_the_next_sync(shop: Shop) -> None:
    await shop.synchronise(ASSAM)
    assam = await shop.by_sku("TEA-ASSAM")

    changed = await shop.update(assam, name="Assam, second flush")
    await shop.synchronise(ASSAM.model_copy(update={"net_price": 999, "description": "Strong"}))

    product = await shop.by_sku("TEA-ASSAM")
    assert (changed.pinned, changed.origin) == (["name"], "erp")
    assert (product.name, product.description) == ("Assam, second flush", "Strong")
    assert (product.net_price, product.pinned, product.version) == (999, ["name"], 3)


async def test_a_sync_that_differs_in_pinned_texts_only_changes_nothing(shop: Shop) -> None:
    await shop.synchronise(ASSAM)
    assam = await shop.by_sku("TEA-ASSAM")
    changed = await shop.update(assam, name="Mine", description="Too")

    await shop.synchronise(ASSAM.model_copy(update={"name": "Other", "description": "Other"}))

    assert await shop.by_sku("TEA-ASSAM") == changed


async def test_a_text_that_is_pinned_no_more_is_the_erps_again_with_the_next_sync(
    shop: Shop,
) -> None:
    await shop.synchronise(ASSAM)
    pinned = await shop.update(await shop.by_sku("TEA-ASSAM"), name="Mine")

    freed = await shop.update(pinned, pinned=[])
    assert (freed.name, freed.pinned) == ("Mine", [])
    await shop.synchronise(ASSAM)

    assert (await shop.by_sku("TEA-ASSAM")).name == "Assam"


async def test_a_text_can_be_pinned_as_it_is(shop: Shop) -> None:
    await shop.synchronise(ASSAM)
    await shop.update(await shop.by_sku("TEA-ASSAM"), pinned=["description"])

    await shop.synchronise(ASSAM.model_copy(update={"description": "Worse"}))

    assert (await shop.by_sku("TEA-ASSAM")).description == "Malty"


async def test_a_product_of_the_erp_stays_off_sale_until_an_employee_says_otherwise(
    shop: Shop,
) -> None:
    await shop.synchronise(ASSAM)
    withheld = await shop.update(await shop.by_sku("TEA-ASSAM"), active=False)
    await shop.synchronise(ASSAM.model_copy(update={"net_price": 1}))
    still = await shop.by_sku("TEA-ASSAM")

    assert (withheld.active, still.active, still.net_price) == (False, False, 1)
    assert (await shop.update(still, active=True)).active is True


async def test_what_the_erp_took_off_sale_stays_off_sale(shop: Shop) -> None:
    other = ASSAM.model_copy(update={"sku": "TEA-2"})
    await shop.synchronise(ASSAM, other)
    await shop.synchronise(ASSAM)
    gone = await shop.by_sku("TEA-2")

    with pytest.raises(ErpOwnedField) as refused:
        await shop.update(gone, active=True)
    assert refused.value.document("c")["fields"] == ["active"]

    renamed = await shop.update(gone, name="Kept for later")
    assert renamed.active is False
    await shop.synchronise(ASSAM, other)
    assert (await shop.by_sku("TEA-2")).active is True


async def test_a_product_that_is_withheld_and_gone_comes_back_withheld(shop: Shop) -> None:
    other = ASSAM.model_copy(update={"sku": "TEA-2"})
    await shop.synchronise(ASSAM, other)
    await shop.update(await shop.by_sku("TEA-2"), active=False)
    await shop.synchronise(ASSAM)
    await shop.synchronise(ASSAM, other)

    assert (await shop.by_sku("TEA-2")).active is False


async def test_a_sync_leaves_own_products_alone(shop: Shop, warehouse: Warehouse) -> None:
    mug = await shop.create()
    taken = ASSAM.model_copy(update={"sku": "MUG-1", "on_hand": 77})

    await shop.synchronise(ASSAM, taken)

    assert await shop.products.get(mug.id) == mug
    assert await warehouse.counters(mug.id) == (12, 0)
    await warehouse.check_books()


async def test_there_is_nothing_to_pin_about_an_own_product(shop: Shop) -> None:
    mug = await shop.create()

    with pytest.raises(NothingToPin):
        await shop.update(mug, pinned=["name"])

    assert (await shop.update(mug, pinned=[])).version == 2
