"""Answers about delivery: what it would cost and take, and where a parcel is."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from blueprints.orders import moves_repository, shipments_repository
from blueprints.orders.delivery_models import (
    CarrierRate,
    RatesRequest,
    ShippingRate,
    ShippingRates,
    Tracking,
)
from blueprints.orders.models import ShippingFault, UnknownProduct
from blueprints.orders.placing import Catalogue, check_country, summed
from blueprints.orders.pricing import price
from blueprints.orders.shipments_repository import Shipment
from shared import telemetry
from shared.auth import Caller
from shared.db import Database
from shared.problem import NotFound, PartnerUnavailable

_log = telemetry.logger(__name__)


class Carrier(Protocol):
    """The shipping provider, as far as questions go."""

    async def rates(self, country: str, postal_code: str, weight_g: int) -> Sequence[CarrierRate]:
        """What it asks. Raises AddressNotServed, ShippingFault."""
        ...

    async def status(self, provider_id: str) -> str | None:
        """Its word for where the shipment is; None if it knows none. Raises ShippingFault."""
        ...


class Delivery:
    """Questions about delivery; nothing here changes an order."""

    def __init__(
        self, database: Database, catalogue: Catalogue, carrier: Carrier, *, currency: str
    ) -> None:
        self._database, self._catalogue, self._carrier = database, catalogue, carrier
        self._currency = currency

    async def rates(self, caller: Caller, request: RatesRequest) -> ShippingRates:
        """What shipping these lines costs, as an order placed now would, cheapest first.

        Raises CountryNotServed, UnknownProduct, AddressNotServed, and PartnerUnavailable when the
        carrier does not answer.
        """
        wanted = summed(request.lines)
        check_country(request.country)
        async with self._database.reading() as tx:
            offers = await (await self._catalogue.ask_quote(tx, wanted.keys(), request.country))()
        if unsold := [product_id for product_id in wanted if product_id not in offers]:
            raise UnknownProduct("some products are not on sale", unsold)
        lines = [(offers[product_id], quantity) for product_id, quantity in wanted.items()]
        weight_g = sum(offer.weight_g * quantity for offer, quantity in lines)
        try:
            asked = await self._carrier.rates(request.country, request.postal_code, weight_g)
        except ShippingFault as fault:
            _log.warning("no shipping rates: %s", fault)
            raise PartnerUnavailable(
                "the shipping provider does not answer", retry_after_s=fault.retry_after_s
            ) from fault
        items = []
        for rate in asked:
            quote = price(lines, rate.service)
            items.append(
                ShippingRate(
                    service=rate.service,
                    net=quote.shipping_net,
                    tax=quote.shipping_tax,
                    gross=quote.shipping_net + quote.shipping_tax,
                    currency=self._currency,
                    days=rate.days,
                    carrier_amount=rate.amount if caller.is_employee else None,
                    carrier_currency=rate.currency if caller.is_employee else None,
                )
            )
        return ShippingRates(weight_g=weight_g, items=sorted(items, key=lambda item: item.gross))

    async def tracking(self, caller: Caller, order_id: UUID) -> Tracking:
        """Where the order's parcel is; what we know, if the carrier does not answer.

        A client sees own orders only. Raises NotFound.
        """
        async with self._database.reading() as tx:
            order = await moves_repository.standing(tx, order_id)
            if order is None or (caller.is_client and order.customer_id != caller.id):
                raise NotFound("there is no such order")
            parcel = await shipments_repository.parcel(tx, order_id)
            shipment = await shipments_repository.of_order(tx, order_id)
        assert parcel is not None, "orders are never deleted"
        carrier_status, answered = await self._carriers_word(shipment)
        held = shipment is not None and shipment.status == "booked"
        return Tracking(
            order_id=order_id,
            service=parcel.service,
            status=shipment.status if shipment is not None else "none",
            tracking_number=shipment.tracking_number if shipment is not None and held else None,
            booked_at=shipment.booked_at if shipment is not None else None,
            cancelled_at=shipment.cancelled_at if shipment is not None else None,
            carrier_status=carrier_status,
            carrier_answered=answered,
        )

    async def _carriers_word(self, shipment: Shipment | None) -> tuple[str | None, bool]:
        """The carrier's status of the shipment, and whether it answered; unasked if it has none."""
        if shipment is None or shipment.provider_id is None:
            return None, True
        try:
            return await self._carrier.status(shipment.provider_id), True
        except ShippingFault as fault:
            _log.warning("no tracking order_id=%s: %s", shipment.order_id, fault)
            return None, False
