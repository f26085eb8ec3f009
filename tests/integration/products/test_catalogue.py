"""Reading and quoting the catalogue, in a real PostgreSQL."""

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from blueprints.products.models import (
    Offer,
    cache_key,
)
from blueprints.products.service import ProductService
from shared.db import Database
from shared.problem import NotFound
from tests.integration.products.warehouse import Warehouse

TAX_CLASSES = ("standard", "reduced", "zero")


class Memory:
    """A cache that forgets only when told to."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        return self.held.get(key)

    async def set(self, key: str, value: str, ttl_s: float) -> None:
        assert ttl_s == 3600
        self.held[key] = value


class Clock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def products(database: Database, memory: Memory, clock: Clock) -> ProductService:
    """Over an empty catalogue."""
    async with database.transaction() as tx:
        await tx.execute(
            """
            TRUNCATE
                products.stock_movements, products.reservations, products.inventory,
                products.products, products.product_categories CASCADE
            """
        )
    return ProductService(database, memory, clock=clock)


async def test_categories_are_those_with_products_on_sale(
    products: ProductService, warehouse: Warehouse
) -> None:
    await warehouse.product(1, category="tea")
    await warehouse.product(1, category="books")
    await warehouse.product(1, category="garden", active=False)

    page = await products.categories()

    assert [(category.code, category.name) for category in page.items] == [
        ("books", "Books"),
        ("tea", "Tea"),
    ]
    assert page.next_cursor is None


async def test_what_is_available_is_never_below_zero(
    products: ProductService, warehouse: Warehouse, database: Database
) -> None:
    kettle = await warehouse.product(5)
    async with database.transaction() as tx:
        await tx.execute("UPDATE products.inventory SET reserved = 7")

    assert (await products.get(kettle)).available == 0


async def test_a_product_off_sale_can_still_be_read(
    products: ProductService, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(5, active=False)

    product = await products.get(kettle)

    assert (product.id, product.active, product.available, product.version) == (kettle, False, 5, 1)


async def test_a_product_that_nobody_knows_is_not_found(
    products: ProductService, memory: Memory
) -> None:
    with pytest.raises(NotFound):
        await products.get(uuid7())
    assert memory.held == {}


async def test_a_fresh_entry_is_answered_from_the_cache(
    products: ProductService, warehouse: Warehouse, clock: Clock, database: Database
) -> None:
    kettle = await warehouse.product(5)
    first = await products.get(kettle)
    async with database.transaction() as tx:
        await tx.execute("UPDATE products.inventory SET on_hand = 3")
    clock.now += 4.9

    assert await products.get(kettle) == first

    clock.now += 0.2
    assert (await products.get(kettle)).available == 3


async def test_a_cached_version_that_no_longer_holds_is_noticed_with_the_stock(
    products: ProductService, warehouse: Warehouse, clock: Clock, database: Database
) -> None:
    kettle = await warehouse.product(5)
    await products.get(kettle)
    async with database.transaction() as tx:
        await tx.execute("UPDATE products.products SET net_price = 1, version = version + 1")
    clock.now += 5

    product = await products.get(kettle)

    assert (product.net_price, product.version) == (1, 2)


@pytest.mark.parametrize("held", ["", "{}", '{"product": {}, "counted_at": 1000}', "nonsense"])
async def test_an_entry_that_cannot_be_read_counts_as_absent(
    products: ProductService, warehouse: Warehouse, memory: Memory, held: str
) -> None:
    kettle = await warehouse.product(5)
    memory.held[cache_key(kettle)] = held

    assert (await products.get(kettle)).id == kettle


async def test_a_quote_offers_what_is_on_sale_with_the_tax_of_the_country(
    products: ProductService, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(5, net_price=3999)
    tea = await warehouse.product(5, name="Tea", tax_class="reduced", net_price=899)
    gone = await warehouse.product(5, active=False)

    offers = await products.quote([kettle, tea, gone, uuid7(), kettle], "DE")

    assert offers == {
        kettle: Offer(kettle, f"SKU-{kettle}", "Kettle", 3999, "EUR", "standard", 1900, 500),
        tea: Offer(tea, f"SKU-{tea}", "Tea", 899, "EUR", "reduced", 700, 500),
    }


async def test_a_country_without_tax_rates_has_no_offers(
    products: ProductService, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(5)

    assert await products.quote([kettle], "US") == {}
    assert await products.quote([], "DE") == {}


RATES = {
    "AT": (2000, 1000, 0),
    "BE": (2100, 600, 0),
    "DE": (1900, 700, 0),
    "DK": (2500, 2500, 0),
    "ES": (2100, 1000, 0),
    "FR": (2000, 550, 0),
    "GB": (2000, 500, 0),
    "IE": (2300, 1350, 0),
    "IT": (2200, 1000, 0),
    "LU": (1700, 800, 0),
    "NL": (2100, 900, 0),
    "PT": (2300, 600, 0),
    "SE": (2500, 1200, 0),
}


async def test_every_country_served_has_a_rate_for_every_tax_class(
    products: ProductService, warehouse: Warehouse
) -> None:
    by_class: dict[str, UUID] = {
        name: await warehouse.product(1, tax_class=name) for name in TAX_CLASSES
    }

    found = {}
    for country in RATES:
        offers = await products.quote(by_class.values(), country)
        found[country] = tuple(offers[by_class[name]].tax_rate_bp for name in TAX_CLASSES)

    assert found == RATES
