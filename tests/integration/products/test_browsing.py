"""Listing and searching the catalogue, in a real PostgreSQL."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from blueprints.products import browsing_repository
from blueprints.products.browsing import Browsing
from blueprints.products.models import Facets, ListQuery, ProductSummary, SearchQuery
from blueprints.products.stock import StockService
from shared.auth import Caller
from shared.db import Database
from shared.http import encode_cursor
from shared.problem import InvalidCursor
from shared.replica import ReadSide
from tests.integration.products.warehouse import Orders, Warehouse

ALICE = Caller("client", UUID(int=1), scopes=frozenset({"products.read"}))


@pytest.fixture
async def browsing(database: Database) -> Browsing:
    """Over an empty catalogue."""
    async with database.transaction() as tx:
        await tx.execute(
            """
            TRUNCATE
                products.stock_movements, products.reservations, products.inventory,
                products.products, products.product_categories CASCADE
            """
        )
    return Browsing(ReadSide(database))


async def every_page(browsing: Browsing, query: ListQuery) -> list[list[ProductSummary]]:
    pages = []
    cursor: str | None = None
    while True:
        page = await browsing.list(ALICE, query.model_copy(update={"cursor": cursor}))
        pages.append(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return pages


async def every_match(browsing: Browsing, words: str, limit: int) -> list[ProductSummary]:
    found: list[ProductSummary] = []
    cursor: str | None = None
    while True:
        page = await browsing.search(ALICE, SearchQuery(q=words, limit=limit, cursor=cursor))
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_paging_visits_every_product_on_sale_once_by_name(
    browsing: Browsing, warehouse: Warehouse
) -> None:
    names = ["Kettle", "Cup", "Kettle", "Ärmel", "Zither", "kettle", "Cup"]
    made = {await warehouse.product(1, name=name): name for name in names}
    await warehouse.product(1, name="Dish", active=False)

    pages = await every_page(browsing, ListQuery(limit=2))

    assert [len(page) for page in pages] == [2, 2, 2, 1]
    seen = [(product.name, product.id) for page in pages for product in page]
    assert seen == sorted((name, product_id) for product_id, name in made.items())


async def test_a_full_last_page_has_no_cursor(browsing: Browsing, warehouse: Warehouse) -> None:
    for _ in range(4):
        await warehouse.product(1)

    assert [len(page) for page in await every_page(browsing, ListQuery(limit=2))] == [2, 2]


async def test_a_category_lists_its_own_products_only(
    browsing: Browsing, warehouse: Warehouse
) -> None:
    tea = [await warehouse.product(1, category="tea") for _ in range(3)]
    await warehouse.product(1, category="kitchen")

    pages = await every_page(browsing, ListQuery(category="tea", limit=2))

    assert [product.id for page in pages for product in page] == tea
    assert (await browsing.list(ALICE, ListQuery(category="nothing"))).items == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("bottle", ["Steel bottles"]),
        ("bottles", ["Steel bottles"]),
        ("STEEL", ["Steel bottles", "Kettle"]),
        ("insulated", ["Steel bottles"]),
        ('"steel bottle"', ["Steel bottles"]),
        ("steel -kettle", ["Steel bottles"]),
        ("kettle or poster", ["Kettle", "The Who poster"]),
        ("the who", ["The Who poster"]),
        ("SKU-77-B", ["Kettle"]),
        ("sku-77-b", ["Kettle"]),
        ("nothing", []),
        ("!!! & | <-> ''", []),
        ("' OR 1=1 --", []),
    ],
)
async def test_search_finds_words_in_any_form_and_article_numbers(
    browsing: Browsing, warehouse: Warehouse, words: str, found: list[str]
) -> None:
    await warehouse.product(1, name="Steel bottles", description="Keeps drinks warm, insulates")
    await warehouse.product(1, name="Kettle", description="Of steel", sku="SKU-77-B")
    await warehouse.product(1, name="The Who poster")
    await warehouse.product(1, name="Steel bottle, withdrawn", active=False)

    assert [product.name for product in await every_match(browsing, words, 10)] == found


async def test_search_pages_visit_every_match_once_best_first(
    browsing: Browsing, warehouse: Warehouse
) -> None:
    weak = {await warehouse.product(1, name=f"Cup {i}", description="for tea") for i in range(5)}
    strong = {await warehouse.product(1, name=f"Tea {i}") for i in range(4)}

    found = [product.id for product in await every_match(browsing, "tea", 2)]

    assert (set(found[:4]), set(found[4:])) == (strong, weak)
    assert len(found) == 9


@settings(max_examples=80, deadline=None)
@given(words=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60))
async def test_no_search_text_is_an_error(database: Database, words: str) -> None:
    browsing = Browsing(ReadSide(database))
    if words.strip():
        page = await browsing.search(ALICE, SearchQuery(q=words))
        assert page.next_cursor is None


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        encode_cursor(sort="name", at="Kettle", id="7"),
        encode_cursor(name="Kettle", id=uuid7()),
        encode_cursor(sort="price", at=7, id=uuid7()),
        encode_cursor(sort="name", at="Kettle", id=uuid7())[:-4],
    ],
    ids=["nonsense", "an id that is none", "of another list", "of another order", "cut off"],
)
async def test_a_cursor_that_the_list_did_not_give_out_is_refused(
    browsing: Browsing, cursor: str
) -> None:
    with pytest.raises(InvalidCursor):
        await browsing.list(ALICE, ListQuery(cursor=cursor))


@pytest.mark.parametrize("sort", ["relevance", "similarity", "price"])
@pytest.mark.parametrize("at", ["x", "-1", "1" * 19, "1.5", "nan"])
async def test_a_position_that_no_product_has_is_refused(
    browsing: Browsing, sort: Any, at: str
) -> None:
    cursor = encode_cursor(sort=sort, at=at, id=uuid7())
    wanted = "relevance" if sort == "similarity" else sort
    with pytest.raises(InvalidCursor):
        await browsing.search(ALICE, SearchQuery(q="tea", sort=wanted, cursor=cursor))


@pytest.mark.parametrize("at", ["x", "2026-11-24T03:00:00", "0"])
async def test_a_time_that_is_none_is_refused(browsing: Browsing, at: str) -> None:
    cursor = encode_cursor(sort="newest", at=at, id=uuid7())
    with pytest.raises(InvalidCursor):
        await browsing.list(ALICE, ListQuery(sort="newest", cursor=cursor))


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("sort", ["name", "price", "-price", "newest"])
async def test_every_order_visits_every_product_once(
    browsing: Browsing, warehouse: Warehouse, sort: Any, limit: int
) -> None:
    for number in range(11):
        await warehouse.product(1, name=f"Cup {'ABC'[number % 3]}", net_price=number % 4)

    pages = await every_page(browsing, ListQuery(sort=sort, limit=limit))

    seen = [product for page in pages for product in page]
    keys: Mapping[str, Any] = {
        "name": lambda product: (product.name, product.id),
        "price": lambda product: (product.net_price, product.id),
        "-price": lambda product: (-product.net_price, -product.id.int),
        "newest": lambda product: -product.id.int,
    }
    assert len(seen) == 11
    assert seen == sorted(seen, key=keys[sort])


async def test_a_product_that_changes_between_pages_is_met_at_most_once(
    browsing: Browsing, warehouse: Warehouse, database: Database
) -> None:
    made = [await warehouse.product(1, net_price=price) for price in (100, 200, 300, 400)]
    first = await browsing.list(ALICE, ListQuery(sort="price", limit=2))
    async with database.transaction() as tx:
        await tx.execute("UPDATE products.products SET net_price = 50 WHERE id = %s", (made[3],))

    rest = await browsing.list(ALICE, ListQuery(sort="price", limit=2, cursor=first.next_cursor))

    assert [product.id for product in [*first.items, *rest.items]] == made[:3]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["Assam", "Cup", "Kettle", "Matcha"]),
        ({"category": "tea"}, ["Assam", "Matcha"]),
        ({"min_price": 500}, ["Assam", "Kettle", "Matcha"]),
        ({"max_price": 899}, ["Assam", "Cup"]),
        ({"min_price": 899, "max_price": 899}, ["Assam"]),
        ({"min_price": 900, "max_price": 100}, []),
        ({"in_stock": True}, ["Assam", "Cup"]),
        ({"in_stock": False}, ["Kettle", "Matcha"]),
        ({"category": "tea", "in_stock": False, "min_price": 1000}, ["Matcha"]),
    ],
)
async def test_lists_and_searches_pass_the_same_filters(
    browsing: Browsing, shop_window: None, filters: dict[str, Any], found: list[str]
) -> None:
    del shop_window
    listed = await browsing.list(ALICE, ListQuery(**filters))
    matched = await browsing.search(ALICE, SearchQuery(q="fine", sort="name", **filters))

    assert [product.name for product in listed.items] == found
    assert [product.name for product in matched.items] == found
    assert (listed.similar, matched.similar) == (False, False)


@pytest.fixture
async def shop_window(
    browsing: Browsing, warehouse: Warehouse, stock: StockService, orders: Orders
) -> None:
    """Four products: tea and kitchenware, of several prices, two of them sold out."""
    del browsing  # empties the catalogue first
    fine = {"description": "fine"}
    await warehouse.product(3, name="Assam", category="tea", net_price=899, **fine)
    await warehouse.product(0, name="Matcha", category="tea", net_price=2_500, **fine)
    await warehouse.product(2, name="Cup", category="kitchen", net_price=499, **fine)
    kettle = await warehouse.product(1, name="Kettle", net_price=3_999, **fine)
    await warehouse.product(1, name="Teapot", active=False, **fine)
    assert await stock.reserve(orders.place((kettle, 1))) == {}


def told(facets: Facets | None) -> tuple[dict[str, int], dict[int, int], int, int]:
    assert facets is not None
    assert facets.complete
    return (
        {facet.code: facet.count for facet in facets.categories},
        {facet.min_price: facet.count for facet in facets.prices},
        facets.in_stock,
        facets.sold_out,
    )


@pytest.mark.parametrize(
    ("filters", "facets"),
    [
        ({}, ({"kitchen": 2, "tea": 2}, {0: 2, 2_500: 2}, 2, 2)),
        ({"category": "tea"}, ({"kitchen": 2, "tea": 2}, {0: 1, 2_500: 1}, 1, 1)),
        ({"in_stock": True}, ({"kitchen": 1, "tea": 1}, {0: 2}, 2, 2)),
        ({"min_price": 2_500}, ({"kitchen": 1, "tea": 1}, {0: 2, 2_500: 2}, 0, 2)),
        (
            {"category": "tea", "in_stock": False, "max_price": 1_000},
            ({}, {2_500: 1}, 1, 0),
        ),
    ],
)
async def test_facets_count_what_would_be_there_without_their_own_filter(
    browsing: Browsing, shop_window: None, filters: dict[str, Any], facets: Any
) -> None:
    del shop_window
    listed = await browsing.list(ALICE, ListQuery(facets=True, **filters))
    matched = await browsing.search(ALICE, SearchQuery(q="fine", facets=True, **filters))

    assert told(listed.facets) == facets
    assert told(matched.facets) == facets


async def test_bands_of_prices_have_both_ends_but_the_last(
    browsing: Browsing, warehouse: Warehouse
) -> None:
    for price in (999, 1_000, 100_000):
        await warehouse.product(1, net_price=price)

    page = await browsing.list(ALICE, ListQuery(facets=True))

    assert page.facets is not None
    assert [(f.min_price, f.max_price, f.count) for f in page.facets.prices] == [
        (0, 999, 1),
        (1_000, 2_499, 1),
        (100_000, None, 1),
    ]


async def test_facets_come_only_when_asked_for(browsing: Browsing, shop_window: None) -> None:
    del shop_window
    assert (await browsing.list(ALICE, ListQuery())).facets is None


async def test_counting_stops_at_a_bound(
    browsing: Browsing, shop_window: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del shop_window
    monkeypatch.setattr(browsing_repository, "FACETED", 3)

    page = await browsing.list(ALICE, ListQuery(facets=True))

    assert page.facets is not None
    assert page.facets.complete is False


@pytest.mark.parametrize(
    ("words", "best"),
    [
        ("choclate", "Dark chocolate"),
        ("chocolatte", "Dark chocolate"),
        ("drak chocolate", "Dark chocolate"),
        ("kettel", "Steel kettle"),
        ("steal kettle", "Steel kettle"),
        ('"stel kettle" -dark', "Steel kettle"),
        ("KTL-4", "Steel kettle"),
    ],
)
async def test_typing_errors_are_forgiven(
    browsing: Browsing, warehouse: Warehouse, words: str, best: str
) -> None:
    await warehouse.product(1, name="Steel kettle", sku="KTL-42")
    await warehouse.product(1, name="Dark chocolate", sku="CHO-1")
    await warehouse.product(1, name="Garden hose", sku="GRD-1")

    page = await browsing.search(ALICE, SearchQuery(q=words))

    assert page.similar
    assert page.items[0].name == best
    assert "Garden hose" not in [product.name for product in page.items]


@pytest.mark.parametrize("words", ["1=1", "k-t", "!k", "__k__ 1-2-3"])
async def test_what_has_no_three_letters_or_digits_in_a_row_is_like_nothing(
    browsing: Browsing, warehouse: Warehouse, words: str
) -> None:
    await warehouse.product(1, name="Kettle 2 T", sku="SKU-1")

    page = await browsing.search(ALICE, SearchQuery(q=words))

    assert page.items == []


async def test_pages_of_similar_products_go_on_as_such(
    browsing: Browsing, warehouse: Warehouse
) -> None:
    made = {await warehouse.product(1, name=f"Kettle {number}") for number in range(5)}

    found = await every_match(browsing, "kettel", 2)

    assert {product.id for product in found} == made
    assert len(found) == 5


async def test_words_that_exist_are_not_replaced_because_a_filter_excludes_them(
    browsing: Browsing, warehouse: Warehouse
) -> None:
    await warehouse.product(1, name="Kettle", category="kitchen")
    await warehouse.product(1, name="Kettles and pots, a book", category="books", active=False)
    await warehouse.product(1, name="Kettel", category="books")

    page = await browsing.search(ALICE, SearchQuery(q="kettle", category="books"))

    assert (page.items, page.similar) == ([], False)


async def test_what_is_available_is_never_below_zero(
    browsing: Browsing,
    warehouse: Warehouse,
    stock: StockService,
    orders: Orders,
    database: Database,
) -> None:
    kettle = await warehouse.product(5)
    await stock.reserve(orders.place((kettle, 4)))
    assert (await browsing.list(ALICE, ListQuery())).items[0].available == 1

    async with database.transaction() as tx:
        await tx.execute("UPDATE products.inventory SET on_hand = 2")

    assert (await browsing.list(ALICE, ListQuery())).items[0].available == 0
    assert (await browsing.search(ALICE, SearchQuery(q="kettle"))).items[0].available == 0
