"""Who may ask the catalogue what, and what is no question, through the functions."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import azure.functions as func
import pytest

from blueprints.products import activities, routes, triggers
from blueprints.products.models import (
    Category,
    CreateProduct,
    ListQuery,
    Product,
    ProductPage,
    SearchQuery,
    SyncReport,
    SyncRun,
    UpdateProduct,
)
from shared.auth import Caller
from shared.http import Api, Page
from shared.idempotency import IdempotencyKey

KETTLE = UUID("0195a0a0-0000-7000-8000-000000000001")
RUN = UUID("0195a0a0-0000-7000-8000-000000000002")
ORDER = UUID("0195a0a0-0000-7000-8000-000000000003")
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)

CLIENT = Caller("client", UUID(int=1), scopes=frozenset({"products.read"}))
SCOPELESS = Caller("client", UUID(int=1), scopes=frozenset({"orders.readwrite"}))


def employee(role: str) -> Caller:
    return Caller(
        "employee", UUID(int=2), roles=frozenset({role}), scopes=frozenset({"employee.access"})
    )


class Products:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def list(self, caller: Caller, query: ListQuery) -> ProductPage:
        self.asked.append((caller.id, query))
        return ProductPage(items=[], next_cursor=None)

    async def search(self, caller: Caller, query: SearchQuery) -> ProductPage:
        self.asked.append((caller.id, query))
        return ProductPage(items=[], next_cursor=None)

    async def create(self, caller: Caller, request: Any, key: IdempotencyKey) -> Product:
        self.asked.append((caller.id, request, key.key))
        return await self.get(KETTLE)

    async def update(self, caller: Caller, product_id: UUID, version: int, request: Any) -> Product:
        self.asked.append((caller.id, product_id, version, request))
        return await self.get(product_id)

    async def categories(self) -> Page[Category]:
        return Page[Category](items=[Category(code="tea", name="Tea")], next_cursor=None)

    async def get(self, product_id: UUID) -> Product:
        return Product(
            id=product_id,
            sku="KETTLE-1",
            name="Kettle",
            category="kitchen",
            net_price=3999,
            currency="EUR",
            tax_class="standard",
            weight_g=1200,
            available=5,
            description="",
            active=True,
            origin="own",
            pinned=[],
            version=7,
            updated_at=NOW,
        )


def run(status: str = "running") -> SyncRun:
    return SyncRun.model_validate(
        {
            "id": RUN,
            "status": status,
            "started_by": "employee",
            "started_at": NOW,
            "finished_at": None,
            "failure": None,
        }
        | dict.fromkeys(
            (
                "pages",
                "seen",
                "created",
                "changed",
                "stock_changed",
                "rejected",
                "deactivated",
                "oversold",
            ),
            0,
        )
    )


class Sync:
    """Remembers who started what, with which client."""

    def __init__(self) -> None:
        self.started: list[tuple[Any, str]] = []
        self.steps: list[Any] = []

    async def start(self, orchestrations: Any, started_by: str) -> SyncRun:
        self.started.append((orchestrations, started_by))
        return run()

    async def latest(self) -> Page[SyncRun]:
        return Page[SyncRun](items=[run()], next_cursor=None)

    async def get(self, run_id: UUID) -> SyncReport:
        assert run_id == RUN
        return SyncReport(**run().model_dump(), drifts=[], more=[])

    async def pull(self, run_id: UUID, number: int) -> bool:
        self.steps.append(("pull", run_id, number))
        return True

    async def finish(self, run_id: UUID) -> dict[str, str]:
        self.steps.append(("finish", run_id))
        return {}

    async def fail(self, run_id: UUID, failure: str) -> None:
        self.steps.append(("fail", run_id, failure))


class Stock:
    """Remembers which step was asked for which order."""

    def __init__(self) -> None:
        self.steps: list[Any] = []

    async def reserve(self, order_id: UUID) -> dict[str, str]:
        self.steps.append(("reserve", order_id))
        return {"refused": "out_of_stock"}

    async def release(self, order_id: UUID) -> dict[str, str]:
        self.steps.append(("release", order_id))
        return {}

    async def expire(self) -> int:
        self.steps.append(("expire",))
        return 0


class Door:
    """Lets in whoever stands before it."""

    caller = CLIENT

    async def authenticate(self, authorization: str | None) -> Caller:  # noqa: ARG002
        return self.caller


class Shop:
    """The functions of the slice over services that only remember."""

    def __init__(self) -> None:
        self.door, self.products, self.sync, self.stock = Door(), Products(), Sync(), Stock()
        stock, sync = cast("Any", self.stock), cast("Any", self.sync)
        app = func.FunctionApp()
        products = cast("Any", self.products)
        app.register_functions(routes.blueprint(Api(self.door), products, products, products, sync))
        app.register_functions(triggers.blueprint(stock, sync))
        app.register_functions(activities.blueprint(stock, sync))
        self.functions: dict[str, Any] = {
            str(f.get_function_name()): f.get_user_function() for f in app.get_functions()
        }

    async def ask(
        self,
        name: str,
        caller: Caller,
        params: Mapping[str, str] | None = None,
        path: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any, Mapping[str, str]]:
        self.door.caller = caller
        request = func.HttpRequest(
            "GET" if body is None else "POST",
            "https://platform.test/",
            headers={"content-type": "application/json", **(headers or {})},
            params=params or {},
            route_params=path or {},
            body=b"" if body is None else json.dumps(body).encode(),
        )
        function = self.functions[name]
        # The SDK wraps what takes a durable client, to make one from the binding's text.
        if inner := getattr(function, "client_function", None):
            response = await inner(request, client="durable client")
        else:
            response = await function(request)
        return response.status_code, json.loads(response.get_body()), response.headers


@pytest.fixture
def shop() -> Shop:
    return Shop()


READING: Mapping[str, dict[str, Any]] = {
    "list_products": {},
    "search_products": {"params": {"q": "tea"}},
    "list_product_categories": {},
    "get_product": {"path": {"product_id": str(KETTLE)}},
}
SYNCING: Mapping[str, dict[str, Any]] = {
    "start_erp_sync": {},
    "list_erp_syncs": {},
    "get_erp_sync": {"path": {"run_id": str(RUN)}},
}


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize(
    ("caller", "status"),
    [
        (CLIENT, 200),
        (SCOPELESS, 403),
        (employee("customer-service"), 200),
        (employee("order-manager"), 200),
        (employee("admin"), 200),
        (employee("intern"), 403),
    ],
)
async def test_anyone_signed_in_for_it_reads_the_catalogue(
    shop: Shop, name: str, caller: Caller, status: int
) -> None:
    assert (await shop.ask(name, caller, **READING[name]))[0] == status


@pytest.mark.parametrize("name", SYNCING)
@pytest.mark.parametrize(
    ("caller", "allowed"),
    [
        (CLIENT, False),
        (employee("customer-service"), False),
        (employee("order-manager"), True),
        (employee("admin"), True),
    ],
)
async def test_only_who_runs_the_shop_synchronises_it(
    shop: Shop, name: str, caller: Caller, allowed: bool
) -> None:
    status, answer, _ = await shop.ask(name, caller, **SYNCING[name])

    if allowed:
        assert status == (202 if name == "start_erp_sync" else 200)
    else:
        assert (status, answer["code"], shop.sync.started) == (403, "forbidden", [])


async def test_a_started_run_is_answered_with_where_to_find_it(shop: Shop) -> None:
    status, answer, headers = await shop.ask("start_erp_sync", employee("admin"))

    assert (status, answer["id"]) == (202, str(RUN))
    assert headers["Location"] == f"/api/v1/products/erp-sync/{RUN}"
    assert shop.sync.started == [("durable client", "employee")]


async def test_the_clock_starts_a_run_as_the_schedule(shop: Shop) -> None:
    function = shop.functions["start_scheduled_erp_sync"].client_function

    await function(timer=SimpleNamespace(), client="durable client")

    assert shop.sync.started == [("durable client", "schedule")]


async def test_the_clock_gives_back_what_nobody_confirmed(shop: Shop) -> None:
    await shop.functions["expire_reservations"](timer=SimpleNamespace())

    assert shop.stock.steps == [("expire",)]


async def test_a_product_comes_with_its_version(shop: Shop) -> None:
    status, answer, headers = await shop.ask("get_product", CLIENT, **READING["get_product"])

    assert (status, answer["id"], headers["ETag"]) == (200, str(KETTLE), '"7"')


async def test_a_list_is_asked_for_with_its_defaults_and_filters(shop: Shop) -> None:
    await shop.ask("list_products", CLIENT)
    await shop.ask("list_products", CLIENT, {"category": "tea", "limit": "100", "cursor": "abc"})

    await shop.ask(
        "list_products",
        CLIENT,
        {
            "min_price": "100",
            "max_price": "900",
            "in_stock": "true",
            "sort": "-price",
            "facets": "true",
        },
    )

    assert shop.products.asked == [
        (
            CLIENT.id,
            ListQuery(
                category=None,
                min_price=None,
                max_price=None,
                in_stock=None,
                sort="name",
                facets=False,
                limit=20,
                cursor=None,
            ),
        ),
        (CLIENT.id, ListQuery(category="tea", limit=100, cursor="abc")),
        (
            CLIENT.id,
            ListQuery(min_price=100, max_price=900, in_stock=True, sort="-price", facets=True),
        ),
    ]


@pytest.mark.parametrize(
    ("name", "params", "field"),
    [
        ("list_products", {"limit": "0"}, "limit"),
        ("list_products", {"limit": "101"}, "limit"),
        ("list_products", {"limit": "many"}, "limit"),
        ("list_products", {"category": "a b"}, "category"),
        ("list_products", {"category": "a\x00"}, "category"),
        ("list_products", {"colour": "red"}, "colour"),
        ("list_products", {"min_price": "-1"}, "min_price"),
        ("list_products", {"max_price": "1.5"}, "max_price"),
        ("list_products", {"in_stock": "perhaps"}, "in_stock"),
        ("list_products", {"sort": "colour"}, "sort"),
        ("list_products", {"sort": "relevance"}, "sort"),
        ("search_products", {"q": "tea", "sort": "similarity"}, "sort"),
        ("search_products", {}, "q"),
        ("search_products", {"q": "   "}, "q"),
        ("search_products", {"q": "a" * 201}, "q"),
        ("search_products", {"q": "a\x07"}, "q"),
        ("search_products", {"q": "tea", "page": "2"}, "page"),
        ("list_product_categories", {"limit": "2"}, "limit"),
    ],
)
async def test_a_question_that_is_none_is_refused_by_the_field(
    shop: Shop, name: str, params: dict[str, str], field: str
) -> None:
    status, answer, _ = await shop.ask(name, CLIENT, params)

    assert (status, answer["code"]) == (400, "invalid-request")
    assert [error["field"] for error in answer["errors"]] == [field]
    assert shop.products.asked == []


async def test_the_steps_of_the_saga_move_the_stock_of_their_order(shop: Shop) -> None:
    step = {"order_id": str(ORDER), "correlation_id": "corr-1"}

    assert await shop.functions["reserve_stock"](step) == {"refused": "out_of_stock"}
    assert await shop.functions["release_stock"](step) == {}

    assert shop.stock.steps == [("reserve", ORDER), ("release", ORDER)]


async def test_the_steps_of_the_sync_drive_their_run(shop: Shop) -> None:
    step = {"run_id": str(RUN), "correlation_id": None}

    assert await shop.functions["pull_catalogue_page"](step | {"page": 3}) == {"more": True}
    assert await shop.functions["finish_catalogue_sync"](step) == {}
    assert await shop.functions["fail_catalogue_sync"](step | {"failure": "gone"}) == {}

    assert shop.sync.steps == [("pull", RUN, 3), ("finish", RUN), ("fail", RUN, "gone")]


FACTS: Mapping[str, Any] = {
    "name": "Mug",
    "category": "kitchen",
    "net_price": 999,
    "currency": "EUR",
    "tax_class": "standard",
    "weight_g": 300,
}
WRITING: Mapping[str, dict[str, Any]] = {
    "create_product": {"body": {**FACTS, "sku": "MUG-1"}, "headers": {"idempotency-key": "k"}},
    "update_product": {
        "body": FACTS,
        "headers": {"if-match": '"7"'},
        "path": {"product_id": str(KETTLE)},
    },
}


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize(
    ("caller", "allowed"),
    [
        (CLIENT, False),
        (employee("customer-service"), False),
        (employee("order-manager"), True),
        (employee("admin"), True),
    ],
)
async def test_only_who_runs_the_shop_writes_products(
    shop: Shop, name: str, caller: Caller, allowed: bool
) -> None:
    status, _, _ = await shop.ask(name, caller, **WRITING[name])

    assert status == ((201 if name == "create_product" else 200) if allowed else 403)
    assert len(shop.products.asked) == allowed


async def test_a_new_product_is_answered_with_where_to_find_it(shop: Shop) -> None:
    admin = employee("admin")

    status, _, headers = await shop.ask("create_product", admin, **WRITING["create_product"])

    assert (status, headers["ETag"]) == (201, '"7"')
    assert headers["Location"] == f"/api/v1/products/{KETTLE}"
    assert shop.products.asked == [(admin.id, CreateProduct(**FACTS, sku="MUG-1"), "k")]


async def test_a_product_is_replaced_against_the_version_that_was_read(shop: Shop) -> None:
    admin = employee("admin")

    status, _, headers = await shop.ask("update_product", admin, **WRITING["update_product"])

    assert (status, headers["ETag"]) == (200, '"7"')
    assert shop.products.asked == [(admin.id, KETTLE, 7, UpdateProduct(**FACTS))]


@pytest.mark.parametrize(
    ("name", "without", "code"),
    [
        ("create_product", "idempotency-key", "idempotency-key-required"),
        ("update_product", "if-match", "etag-required"),
    ],
)
async def test_writing_needs_its_header(shop: Shop, name: str, without: str, code: str) -> None:
    asked = {**WRITING[name], "headers": {}}

    assert without in WRITING[name]["headers"]
    assert (await shop.ask(name, employee("admin"), **asked))[1]["code"] == code


@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("create_product", {"sku": "no spaces"}, "sku"),
        ("create_product", {"net_price": -1}, "net_price"),
        ("create_product", {"net_price": "999"}, "net_price"),
        ("create_product", {"currency": "eur"}, "currency"),
        ("create_product", {"tax_class": "none"}, "tax_class"),
        ("create_product", {"weight_g": 10**9 + 1}, "weight_g"),
        ("create_product", {"on_hand": -1}, "on_hand"),
        ("create_product", {"origin": "erp"}, "origin"),
        ("update_product", {"sku": "MUG-2"}, "sku"),
        ("update_product", {"name": " "}, "name"),
        ("update_product", {"description": "x" * 4001}, "description"),
        ("update_product", {"pinned": ["net_price"]}, "pinned.0"),
    ],
)
async def test_a_product_that_makes_no_sense_is_refused_by_the_field(
    shop: Shop, name: str, change: dict[str, Any], field: str
) -> None:
    asked = WRITING[name]
    asked = {**asked, "body": {**asked["body"], **change}}

    status, answer, _ = await shop.ask(name, employee("admin"), **asked)

    assert (status, answer["code"]) == (400, "invalid-request")
    assert [error["field"] for error in answer["errors"]] == [field]
    assert shop.products.asked == []
