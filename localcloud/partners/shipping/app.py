"""The shipping provider's REST API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localcloud.partners.control import Control
from localcloud.partners.shipping import access, tariff
from localcloud.partners.shipping.models import BookingRequest, Journey, RateRequest
from localcloud.partners.shipping.register import SCHEMA, Register, described
from localcloud.partners.store import Store
from localcloud.partners.web import HANDLERS, Abortable, Refused, idempotency_key, parsed
from localcloud.partners.webhooks import SCHEMA as WEBHOOKS
from localcloud.partners.webhooks import Subscription, Webhooks, sending

OPERATIONS = {
    "rates": frozenset({"country", "postal_code", "weight_g"}),
    "book": frozenset({"reference", "service", "country", "postal_code", "idempotency_key"}),
    "cancel": frozenset({"reference", "service", "shipment_id"}),
    "get": frozenset({"reference", "shipment_id"}),
}


class Provider:
    """Each request: the key, what for, whatever a test ordered, the effect, the answer."""

    def __init__(self, store: Store, api_keys: access.ApiKeys, webhooks: Webhooks) -> None:
        self._register, self._api_keys = Register(store, webhooks), api_keys
        self.control = Control(store, OPERATIONS)

    async def rates(self, request: Request) -> Response:
        self._api_keys.check(request)
        wanted = await parsed(request, RateRequest)
        _served(wanted.country, wanted.postal_code)
        offers = await self.control.perform(
            request,
            "rates",
            wanted.model_dump(),
            lambda: tariff.rates(wanted.country, wanted.weight_g),
        )
        return JSONResponse({"rates": offers})

    async def book(self, request: Request) -> Response:
        self._api_keys.check(request)
        key, order = idempotency_key(request), await parsed(request, BookingRequest)
        country, postal_code = order.address.country, order.address.postal_code
        _served(country, postal_code)
        facts = {
            "reference": order.reference,
            "service": order.service,
            "country": country,
            "postal_code": postal_code,
            "idempotency_key": key,
        }
        answer = await self.control.perform(
            request, "book", facts, lambda: self._register.book(order, key)
        )
        headers = {} if answer.fresh else {"Idempotent-Replayed": "true"}
        return JSONResponse(answer.body, answer.status, headers)

    async def cancel(self, request: Request) -> Response:
        self._api_keys.check(request)
        row = self._register.find(request.path_params["shipment_id"])
        facts = {
            "shipment_id": row["id"],
            "reference": row["reference"],
            "service": row["service"],
        }
        shipment = await self.control.perform(
            request, "cancel", facts, lambda: self._register.cancel(row["id"])
        )
        return JSONResponse(shipment)

    async def get(self, request: Request) -> Response:
        self._api_keys.check(request)
        row = self._register.find(request.path_params["shipment_id"])
        facts = {"shipment_id": row["id"], "reference": row["reference"]}
        shipment = await self.control.perform(
            request, "get", facts, lambda: described(self._register.find(row["id"]))
        )
        return JSONResponse(shipment)

    async def find(self, request: Request) -> Response:
        self._api_keys.check(request)
        reference = request.query_params.get("reference", "")
        if not reference:
            raise Refused(400, "invalid_request", "reference: name the shipment's reference")
        shipments = await self.control.perform(
            request,
            "get",
            {"reference": reference},
            lambda: self._register.of_reference(reference),
        )
        return JSONResponse({"shipments": shipments})

    async def move(self, request: Request) -> Response:
        """A parcel is collected or delivered because a test says so: nothing else moves it."""
        journey = await parsed(request, Journey)
        shipment_id: str = request.path_params["shipment_id"]
        return JSONResponse(self._register.move(shipment_id, journey.status))


def _served(country: str, postal_code: str) -> None:
    if not tariff.served(country, postal_code):
        raise Refused(422, "address_not_served", f"we do not go to {country} {postal_code}")


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def create_app(state: Path, api_key: str, subscription: Subscription | None = None) -> ASGIApp:
    """The provider with its register in `state`, for whoever knows `api_key`.

    `PUT /control/keys` with `{"keys": [...]}` puts one or two others in its place.
    """
    store = Store(state / "shipping.db", SCHEMA + access.SCHEMA + WEBHOOKS)
    api_keys = access.ApiKeys(store, api_key)
    webhooks = Webhooks(store, subscription)
    provider = Provider(store, api_keys, webhooks)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with sending(webhooks):
            yield
        store.close()

    one = "/v1/shipments/{shipment_id}"
    app = Starlette(
        routes=[
            Route("/health", _health),
            Route("/v1/rates", provider.rates, methods=["POST"]),
            Route("/v1/shipments", provider.book, methods=["POST"]),
            Route("/v1/shipments", provider.find, methods=["GET"]),
            Route(one, provider.get, methods=["GET"]),
            Route(f"{one}/cancel", provider.cancel, methods=["POST"]),
            provider.control.mount(
                Route("/keys", api_keys.replace, methods=["PUT"]),
                Route("/shipments/{shipment_id}", provider.move, methods=["PUT"]),
                *webhooks.routes(),
            ),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    return Abortable(app)
