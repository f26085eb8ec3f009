"""The ERP's SOAP endpoint, its service description, and the test's hand on its data."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localcloud.partners.control import Control
from localcloud.partners.erp import soap
from localcloud.partners.erp.assortment import Product
from localcloud.partners.erp.masterdata import SCHEMA, MasterData, ProductChange, StockChange
from localcloud.partners.erp.soap import Fault
from localcloud.partners.store import Store
from localcloud.partners.web import HANDLERS, Abortable, Refused, body_of, parsed

BODY_LIMIT = 256 * 1024
SKU = re.compile(r"^[A-Z0-9-]{3,32}$")
OPERATIONS = {
    "list_products": frozenset({"page_number", "page_size"}),
    "get_stock": frozenset({"skus"}),
}


class Erp:
    """SOAP in front of the master data."""

    def __init__(self, store: Store) -> None:
        self._data = MasterData(store)
        self.control = Control(store, OPERATIONS)

    async def describe(self, request: Request) -> Response:
        """The WSDL or its schema, by the query."""
        wanted = request.url.query.lower()
        if wanted == "wsdl":
            host = request.headers.get("host", "")
            if not host.isprintable():
                raise Refused(400, "invalid_request", "Host: not an address")
            return _xml(soap.wsdl(f"http://{host}{request.url.path}"))
        if wanted == "xsd":
            return _xml(soap.SCHEMA)
        raise Refused(404, "not_found", "ask for /erp?wsdl, or post a SOAP envelope")

    async def call(self, request: Request) -> Response:
        """One SOAP call. A fault's status is 500 whoever is to blame (SOAP 1.1 §6.2)."""
        try:
            return _xml(await self._answer(request))
        except Fault as refusal:
            return _xml(soap.fault(refusal), 500)
        except Refused as refused:
            if refused.status in (400, 500):
                return _xml(soap.fault(Fault("Server", refused.message)), 500)
            # What answers 502 or 503 in front of an ERP is a load balancer: it speaks no SOAP.
            return PlainTextResponse(f"{refused.message}\n", refused.status)

    async def _answer(self, request: Request) -> bytes:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != soap.MEDIA_TYPE:
            raise Refused(415, "unsupported_media_type", f"send {soap.MEDIA_TYPE}")
        part = soap.payload(await body_of(request, BODY_LIMIT))
        match soap.operation(part):
            case "ListProducts":
                return await self._list_products(request, part)
            case "GetStock":
                return await self._get_stock(request, part)
            case unknown:
                raise Fault("Client", f"there is no operation {unknown}")

    async def _list_products(self, request: Request, part: etree._Element) -> bytes:
        number, size = (int(soap.texts(part, name)[0]) for name in ("PageNumber", "PageSize"))
        since = [_moment(text) for text in soap.texts(part, "ChangedSince")]
        products, more = await self.control.perform(
            request,
            "list_products",
            {"page_number": number, "page_size": size},
            lambda: self._data.page(number, size, since[0] if since else None),
        )
        return soap.response(
            "ListProductsResponse",
            "Product",
            map(_product_fields, products),
            {"HasMore": _boolean(more)},
        )

    async def _get_stock(self, request: Request, part: etree._Element) -> bytes:
        skus = soap.texts(part, "Sku")
        levels = await self.control.perform(
            request, "get_stock", {"skus": skus}, lambda: self._data.stock(skus, json.dumps(skus))
        )
        return soap.response(
            "GetStockResponse",
            "StockLevel",
            ({"Sku": sku, "OnHand": str(on_hand)} for sku, on_hand in levels),
            {},
        )

    async def put_stock(self, request: Request) -> Response:
        change = await parsed(request, StockChange)
        sku = _sku(request)
        if not self._data.known(sku):
            raise Refused(404, "not_found", "no such product")
        product, _ = self._data.change(sku, change.model_dump())
        return JSONResponse(asdict(product))

    async def put_product(self, request: Request) -> Response:
        change = await parsed(request, ProductChange)
        product, new = self._data.change(_sku(request), change.model_dump(exclude_none=True))
        return JSONResponse(asdict(product), 201 if new else 200)


def _sku(request: Request) -> str:
    sku: str = request.path_params["sku"]
    if not SKU.match(sku):
        raise Refused(400, "invalid_request", f"a SKU matches {SKU.pattern}")
    return sku


def _moment(text: str) -> datetime:
    """An xsd:dateTime in UTC; one without a time zone is taken as UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Fault("Client", f"ChangedSince: {text} is out of our calendar") from None


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _product_fields(product: Product) -> dict[str, str]:
    return {
        "Sku": product.sku,
        "Name": product.name,
        "Description": product.description,
        "CategoryCode": product.category_code,
        "CategoryName": product.category_name,
        "NetPriceMinor": str(product.net_price_minor),
        "Currency": product.currency,
        "TaxClass": product.tax_class,
        "WeightGrams": str(product.weight_grams),
        "Active": _boolean(product.active),
        "OnHand": str(product.on_hand),
        "ChangedAt": product.changed_at,
    }


def _xml(document: bytes, status: int = 200) -> Response:
    return Response(document, status, media_type=f"{soap.MEDIA_TYPE}; charset=utf-8")


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def create_app(state: Path) -> ASGIApp:
    """The ERP with its data in `state`, filled when there is none yet."""
    store = Store(state / "erp.db", SCHEMA)
    erp = Erp(store)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    app = Starlette(
        routes=[
            Route("/health", _health),
            Route("/erp", erp.describe, methods=["GET"]),
            Route("/erp", erp.call, methods=["POST"]),
            erp.control.mount(
                Route("/stock/{sku}", erp.put_stock, methods=["PUT"]),
                Route("/products/{sku}", erp.put_product, methods=["PUT"]),
            ),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    return Abortable(app)
