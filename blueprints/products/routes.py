"""HTTP of the catalogue: products for anyone signed in, the ERP sync for those who run the shop."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from blueprints.products.browsing import Browsing
from blueprints.products.editing import Editing
from blueprints.products.models import (
    Category,
    CreateProduct,
    ErpOwnedField,
    ListQuery,
    NothingToPin,
    Product,
    ProductPage,
    SearchQuery,
    SkuTaken,
    SyncReport,
    SyncRun,
    UnknownCategory,
    UpdateProduct,
)
from blueprints.products.service import ProductService
from blueprints.products.sync import Orchestrations, SyncService
from shared.auth import ADMIN, EMPLOYEES, ORDER_MANAGER, access
from shared.http import Api, Call, Page, Reply, etag_of, version_of
from shared.problem import EtagMismatch, IdempotencyKeyReused, InvalidCursor, NotFound

READERS = access(clients="products.read", employees=EMPLOYEES)
EDITORS = access(employees=(ORDER_MANAGER, ADMIN))

_orchestrations: ContextVar[Orchestrations] = ContextVar("orchestrations")


@contextmanager
def _reached_through(client: Orchestrations) -> Iterator[None]:
    """An operation sees the request only; this carries the durable binding past it."""
    token = _orchestrations.set(client)
    try:
        yield
    finally:
        _orchestrations.reset(token)


def blueprint(
    api: Api, products: ProductService, browsing: Browsing, editing: Editing, sync: SyncService
) -> df.Blueprint:
    """The HTTP functions of the catalogue."""
    bp = df.Blueprint(http_auth_level=func.AuthLevel.ANONYMOUS)

    @bp.route(route="v1/products", methods=["GET"])
    @api.operation(access=READERS, query=ListQuery, returns=ProductPage, raises=(InvalidCursor,))
    async def list_products(call: Call[None, ListQuery]) -> ProductPage:
        """List products on sale, by category, price and stock, sorted.

        `sort` is `name`, `price`, `-price` or `newest`. A cursor continues the order that it came
        with. `facets=true` counts categories, bands of prices and stock.
        """
        return await browsing.list(call.caller, call.query)

    @bp.route(route="v1/products/search", methods=["GET"])
    @api.operation(access=READERS, query=SearchQuery, returns=ProductPage, raises=(InvalidCursor,))
    async def search_products(call: Call[None, SearchQuery]) -> ProductPage:
        """Search products on sale, best match first.

        Words are found in any form, article numbers as written; "a phrase", `or` and -exclusion
        work as in web search engines. If no product has the words, those come that are named most
        like them, and `similar` is true. Filters and facets are those of the list.
        """
        return await browsing.search(call.caller, call.query)

    @bp.route(route="v1/products/categories", methods=["GET"])
    @api.operation(access=READERS, returns=Page[Category])
    async def list_product_categories(call: Call[None, None]) -> Page[Category]:  # noqa: ARG001
        """List the categories that have products on sale, by name."""
        return await products.categories()

    @bp.route(route="v1/products/{product_id:guid}", methods=["GET"])
    @api.operation(access=READERS, returns=Product, raises=(NotFound,), etag=True)
    async def get_product(call: Call[None, None]) -> Reply[Product]:
        """Get a product, on sale or not.

        `available` is at most five seconds old. The ETag names the version of everything else.
        """
        product = await products.get(call.uuid("product_id"))
        return Reply(product, etag=etag_of(product.version))

    @bp.route(route="v1/products", methods=["POST"])
    @api.operation(
        access=EDITORS,
        body=CreateProduct,
        returns=Product,
        status=201,
        idempotency_key=True,
        raises=(SkuTaken, UnknownCategory, IdempotencyKeyReused),
        etag=True,
        location=True,
    )
    async def create_product(call: Call[CreateProduct, None]) -> Reply[Product]:
        """Make a product of our own, which the ERP does not know."""
        product = await editing.create(call.caller, call.body, call.idempotency)
        location = f"/api/v1/products/{product.id}"
        return Reply(product, etag=etag_of(product.version), location=location)

    @bp.route(route="v1/products/{product_id:guid}", methods=["PUT"])
    @api.operation(
        access=EDITORS,
        body=UpdateProduct,
        returns=Product,
        if_match=True,
        raises=(NotFound, EtagMismatch, UnknownCategory, ErpOwnedField, NothingToPin),
        etag=True,
    )
    async def update_product(call: Call[UpdateProduct, None]) -> Reply[Product]:
        """Replace what is known of a product.

        Of a product of the ERP only its texts and whether it is on sale may change; a text that is
        changed is pinned, and the sync leaves it alone until it is pinned no more.
        """
        product = await editing.update(
            call.caller, call.uuid("product_id"), version_of(call.if_match), call.body
        )
        return Reply(product, etag=etag_of(product.version))

    _add_sync(bp, api, sync)
    return bp


def _add_sync(bp: df.Blueprint, api: Api, sync: SyncService) -> None:
    """The functions of the ERP sync."""

    @api.operation(access=EDITORS, returns=SyncRun, status=202, location=True)
    async def start_erp_sync(call: Call[None, None]) -> Reply[SyncRun]:  # noqa: ARG001
        """Take the catalogue and the stock over from the ERP.

        One run goes on at a time: while it does, this answers with that run.
        """
        run = await sync.start(_orchestrations.get(), "employee")
        return Reply(run, location=f"/api/v1/products/erp-sync/{run.id}")

    @bp.function_name("start_erp_sync")
    @bp.route(route="v1/products/erp-sync", methods=["POST"])
    @bp.durable_client_input(client_name="client")
    async def _start_erp_sync(req: func.HttpRequest, client: Any) -> func.HttpResponse:
        with _reached_through(client):
            return await start_erp_sync(req)

    @bp.route(route="v1/products/erp-sync", methods=["GET"])
    @api.operation(access=EDITORS, returns=Page[SyncRun])
    async def list_erp_syncs(call: Call[None, None]) -> Page[SyncRun]:  # noqa: ARG001
        """List the last runs of the ERP sync, newest first, with how much differed in each."""
        return await sync.latest()

    @bp.route(route="v1/products/erp-sync/{run_id:guid}", methods=["GET"])
    @api.operation(access=EDITORS, returns=SyncReport, raises=(NotFound,))
    async def get_erp_sync(call: Call[None, None]) -> SyncReport:
        """Get a run of the ERP sync with what differed: prices, stock, products that are gone."""
        return await sync.get(call.uuid("run_id"))
