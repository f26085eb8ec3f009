"""HTTP of orders: clients their own, employees all."""

from datetime import date

import azure.functions as func

from blueprints.orders.cancelling import Cancelling
from blueprints.orders.delivery import Delivery
from blueprints.orders.delivery_models import RatesRequest, ShippingRates, Tracking
from blueprints.orders.fulfilment import Fulfilment
from blueprints.orders.fulfilment_models import CarrierNotice
from blueprints.orders.models import (
    AddressNotServed,
    CancelOrder,
    CancelQuery,
    CardNumberRefused,
    CountryNotServed,
    CurrencyNotSold,
    CustomerInactive,
    CustomerUnregistered,
    IllegalStatusMove,
    MoveOrder,
    Order,
    OrderNotCancellable,
    OrderQuery,
    OrderSummary,
    PlaceOrder,
    ShipmentAhead,
    Timeline,
    UnknownProduct,
)
from blueprints.orders.placing import Placing
from blueprints.orders.service import OrderService
from blueprints.orders.timeline import OrderTimeline
from shared.auth import ADMIN, CUSTOMER_SERVICE, EMPLOYEES, ORDER_MANAGER, PARTNER, access
from shared.http import Api, Call, Deprecated, Discloses, Page, Reply, etag_of, version_of
from shared.problem import (
    EtagMismatch,
    IdempotencyKeyReused,
    InvalidCursor,
    NotFound,
    PartnerUnavailable,
)
from shared.webhooks import Signatures

SCOPE = "orders.readwrite"
BUYERS = access(clients=SCOPE, employees=(CUSTOMER_SERVICE,))
READERS = access(clients=SCOPE, employees=EMPLOYEES)
MOVERS = access(employees=(ORDER_MANAGER, ADMIN))
GIVES_WAY = Deprecated(date(2026, 11, 24), date(2027, 11, 30), "request_cancellation")
ADDRESSEE = Discloses(fields=("shipping_address",), people=lambda order: (order.customer_id,))


def _location(order: Order) -> str:
    return f"/api/v1/orders/{order.id}"


def blueprint(
    api: Api,
    placing: Placing,
    orders: OrderService,
    cancelling: Cancelling,
    timeline: OrderTimeline,
    *,
    delivery: Delivery,
) -> func.Blueprint:
    """The HTTP functions of orders."""
    bp = func.Blueprint()

    @bp.route(route="v1/orders", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=BUYERS,
        body=PlaceOrder,
        returns=Order,
        status=201,
        idempotency_key=True,
        raises=(
            UnknownProduct,
            CurrencyNotSold,
            CustomerInactive,
            CustomerUnregistered,
            CountryNotServed,
            CardNumberRefused,
            IdempotencyKeyReused,
        ),
        etag=True,
        location=True,
    )
    async def place_order(call: Call[PlaceOrder, None]) -> Reply[Order]:
        """Place an order.

        Prices, tax and address are those of now and stay as they are. Stock, payment and shipment
        follow: watch the order's status. Sending the same Idempotency-Key and body again returns
        the same order.
        """
        order = await placing.place(call.caller, call.body, call.idempotency)
        return Reply(order, etag=etag_of(order.version), location=_location(order))

    @bp.route(route="v1/orders", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=READERS,
        query=OrderQuery,
        returns=Page[OrderSummary],
        raises=(NotFound, InvalidCursor),
    )
    async def list_orders(call: Call[None, OrderQuery]) -> Page[OrderSummary]:
        """List orders, newest first: clients see their own, employees all."""
        return await orders.list(call.caller, call.query)

    @bp.route(
        route="v1/customers/{customer_id:guid}/orders",
        methods=["GET"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=READERS,
        query=OrderQuery,
        returns=Page[OrderSummary],
        raises=(NotFound, InvalidCursor),
    )
    async def list_customer_orders(call: Call[None, OrderQuery]) -> Page[OrderSummary]:
        """List one customer's orders, newest first."""
        return await orders.list(call.caller, call.query, of_customer=call.uuid("customer_id"))

    @bp.route(
        route="v1/orders/{order_id:guid}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS
    )
    @api.operation(
        access=READERS, returns=Order, raises=(NotFound,), discloses=ADDRESSEE, etag=True
    )
    async def get_order(call: Call[None, None]) -> Reply[Order]:
        """Get an order. The ETag names its version."""
        order = await orders.get(call.caller, call.uuid("order_id"))
        return Reply(order, etag=etag_of(order.version))

    @bp.route(
        route="v1/orders/{order_id:guid}/status",
        methods=["PUT"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=MOVERS,
        body=MoveOrder,
        returns=Order,
        if_match=True,
        raises=(NotFound, EtagMismatch, IllegalStatusMove),
        discloses=ADDRESSEE,
        etag=True,
    )
    async def move_order(call: Call[MoveOrder, None]) -> Reply[Order]:
        """Move an order on: confirmed → shipped → delivered → returned.

        All other moves belong to the fulfilment and to cancellation.
        """
        order = await orders.move(
            call.caller, call.uuid("order_id"), call.body, version_of(call.if_match)
        )
        return Reply(order, etag=etag_of(order.version))

    @bp.route(
        route="v1/orders/{order_id:guid}", methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS
    )
    @api.operation(
        access=READERS,
        query=CancelQuery,
        returns=Order,
        status=202,
        raises=(NotFound, OrderNotCancellable),
        discloses=ADDRESSEE,
        etag=True,
        location=True,
        deprecated=GIVES_WAY,
    )
    async def cancel_order_request(call: Call[None, CancelQuery]) -> Reply[Order]:
        """Call an order off before it is shipped.

        The request is accepted at once; stock, money and shipment are given back one after the
        other, and the order is `cancelled` when all of that is done. Repeating it changes nothing.
        `reason` is one of a closed set of codes, never words: URLs are logged.
        """
        order = await cancelling.request(call.caller, call.uuid("order_id"), call.query.reason)
        return Reply(order, etag=etag_of(order.version), location=_location(order))

    @bp.route(
        route="v2/orders/{order_id:guid}/cancellation",
        methods=["POST"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=READERS,
        body=CancelOrder,
        returns=Order,
        status=202,
        idempotency_key=True,
        raises=(NotFound, OrderNotCancellable, IdempotencyKeyReused),
        discloses=ADDRESSEE,
        etag=True,
        location=True,
    )
    async def request_cancellation(call: Call[CancelOrder, None]) -> Reply[Order]:
        """Call an order off before it is shipped.

        The request is accepted at once; stock, money and shipment are given back one after the
        other, and the order is `cancelled` when all of that is done.
        """
        order = await cancelling.request(
            call.caller, call.uuid("order_id"), call.body.reason, call.idempotency
        )
        return Reply(order, etag=etag_of(order.version), location=_location(order))

    @bp.route(
        route="v1/orders/{order_id:guid}/timeline",
        methods=["GET"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(access=READERS, returns=Timeline, raises=(NotFound,))
    async def get_order_timeline(call: Call[None, None]) -> Timeline:
        """Everything that happened to an order, oldest first."""
        return await timeline.of(call.caller, call.uuid("order_id"))

    _add_delivery(bp, api, delivery)
    return bp


def _add_delivery(bp: func.Blueprint, api: Api, delivery: Delivery) -> None:
    """The functions about delivery."""

    @bp.route(
        route="v1/orders/shipping-rates", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
    )
    @api.operation(
        access=READERS,
        body=RatesRequest,
        returns=ShippingRates,
        raises=(CountryNotServed, UnknownProduct, AddressNotServed, PartnerUnavailable),
        safe=True,
    )
    async def quote_shipping_rates(call: Call[RatesRequest, None]) -> ShippingRates:
        """What shipping would cost and how long it would take, by service.

        The price is what an order placed now is charged; the days are the carrier's for this
        weight and destination. Nothing is ordered.
        """
        return await delivery.rates(call.caller, call.body)

    @bp.route(
        route="v1/orders/{order_id:guid}/tracking",
        methods=["GET"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(access=READERS, returns=Tracking, raises=(NotFound,))
    async def get_order_tracking(call: Call[None, None]) -> Tracking:
        """Where an order's parcel is.

        The carrier is asked each time; while it does not answer, this tells what we know.
        """
        return await delivery.tracking(call.caller, call.uuid("order_id"))


def webhooks(api: Api, fulfilment: Fulfilment, signatures: Signatures) -> func.Blueprint:
    """The HTTP function that the shipping provider calls."""
    bp = func.Blueprint()

    @bp.route(
        route="v1/orders/webhooks/shipping", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
    )
    @api.operation(
        access=PARTNER, body=CarrierNotice, status=204, signed=signatures, raises=(ShipmentAhead,)
    )
    async def notice_shipment(call: Call[CarrierNotice, None]) -> None:
        """Take notice of where a shipment is: collected, or delivered.

        The order moves along, never back. The same notice may come more than once, late and in any
        order; one about a shipment that is not ours changes nothing.
        """
        await fulfilment.carried(call.body)

    return bp
