"""HTTP of the catalogue: products for anyone signed in, the ERP sync for those who run the shop."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from blueprints.products.models import (
    Category,
    ListQuery,
    Product,
    ProductSummary,
    SearchQuery,
    SyncRun,
)
from blueprints.products.service import ProductService
from blueprints.products.sync import Orchestrations, SyncService
from shared.auth import ADMIN, EMPLOYEES, ORDER_MANAGER, access
from shared.http import Api, Call, Page, Reply, etag_of
from shared.problem import InvalidCursor, NotFound

READERS = access(clients="products.read", employees=EMPLOYEES)
SYNCERS = access(employees=(ORDER_MANAGER, ADMIN))

_orchestrations: ContextVar[Orchestrations] = ContextVar("orchestrations")


@contextmanager
def _reached_through(client: Orchestrations) -> Iterator[None]:
    """An operation sees the request only; this carries the durable binding past it."""
    token = _orchestrations.set(client)
    try:
        yield
    finally:
        _orchestrations.reset(token)


def blueprint(api: Api, products: ProductService, sync: SyncService) -> df.Blueprint:
    """The HTTP functions of the catalogue."""
    bp = df.Blueprint(http_auth_level=func.AuthLevel.ANONYMOUS)

    @bp.route(route="v1/products", methods=["GET"])
    @api.operation(
        access=READERS, query=ListQuery, returns=Page[ProductSummary], raises=(InvalidCursor,)
    )
    async def list_products(call: Call[None, ListQuery]) -> Page[ProductSummary]:
        """List products on sale by name, of all categories or of one."""
        return await products.list(call.query)

    @bp.route(route="v1/products/search", methods=["GET"])
    @api.operation(
        access=READERS, query=SearchQuery, returns=Page[ProductSummary], raises=(InvalidCursor,)
    )
    async def search_products(call: Call[None, SearchQuery]) -> Page[ProductSummary]:
        """Search products on sale, best match first.

        Words are found in any form, article numbers as written; "a phrase", `or` and -exclusion
        work as in web search engines.
        """
        return await products.search(call.query)

    @bp.route(route="v1/products/categories", methods=["GET"])
    @api.operation(access=READERS, returns=Page[Category])
    async def list_product_categories(call: Call[None, None]) -> Page[Category]:  # noqa: ARG001
        """List the categories that have products on sale, by name."""
        return await products.categories()

    @bp.route(route="v1/products/{product_id:guid}", methods=["GET"])
    @api.operation(access=READERS, returns=Product, raises=(NotFound,))
    async def get_product(call: Call[None, None]) -> Reply[Product]:
        """Get a product, on sale or not.

        `available` is at most five seconds old. The ETag names the version of everything else.
        """
        product = await products.get(call.uuid("product_id"))
        return Reply(product, etag=etag_of(product.version))

    @api.operation(access=SYNCERS, returns=SyncRun, status=202)
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
    @api.operation(access=SYNCERS, returns=Page[SyncRun])
    async def list_erp_syncs(call: Call[None, None]) -> Page[SyncRun]:  # noqa: ARG001
        """List the last runs of the ERP sync, newest first."""
        return await sync.latest()

    @bp.route(route="v1/products/erp-sync/{run_id:guid}", methods=["GET"])
    @api.operation(access=SYNCERS, returns=SyncRun, raises=(NotFound,))
    async def get_erp_sync(call: Call[None, None]) -> SyncRun:
        """Get a run of the ERP sync."""
        return await sync.get(call.uuid("run_id"))

    return bp
