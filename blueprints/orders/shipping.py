"""The saga's steps at the shipping provider: book the shipment, or see that there is none."""

from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from blueprints.orders import shipments_repository
from blueprints.orders.book import refusal
from blueprints.orders.fulfilment_models import Booking, Parcel
from blueprints.orders.models import AddressNotServed, ShipmentUnstoppable, StepResult
from blueprints.orders.shipments_repository import Shipment, ShipmentStatus
from shared.db import Database

CANCELLED = "shipment_cancelled"


class Provider(Protocol):
    """The shipping provider."""

    async def book(self, parcel: Parcel, *, key: str) -> Booking:
        """The shipment booked under `key`, the same however often. Raises AddressNotServed."""
        ...

    async def cancel(self, provider_id: str, *, key: str) -> None:
        """Nothing will be delivered. Raises ShipmentUnstoppable."""
        ...


class Shipping:
    """One shipment per order, whatever crashes.

    The intent is written before the provider is asked and the outcome after it. A lost answer is
    resolved by asking again under the same key: that waits for a call still in flight, where a
    look-up would miss it.
    """

    def __init__(self, database: Database, provider: Provider) -> None:
        self._database, self._provider = database, provider

    async def book(self, order_id: UUID) -> StepResult:
        """Book the order's shipment. Refusals: address_not_served, cancel_requested,
        shipment_cancelled, order_<status>, order_unknown. Raises ShippingFault; try again.
        """
        async with self._database.statement() as tx:
            intent = await shipments_repository.intend_to_book(tx, order_id)
        code = refusal(intent.order if intent is not None else None)
        if intent is None or code is not None:
            return {"refused": code}
        status, refused = intent.shipment_status, intent.refusal
        if status is None:
            shipment = await self._shipment(order_id)
            status, refused = shipment.status, shipment.refusal
        if status != "booking":
            return _booked(status, refused)
        try:
            booking = await self._provider.book(intent.parcel, key=_book_key(order_id))
        except AddressNotServed:
            async with self._database.statement() as tx:
                await shipments_repository.note_refused(tx, order_id, "address_not_served")
        else:
            async with self._database.statement() as tx:
                if await shipments_repository.note_booked(tx, order_id, booking):
                    return {}
        shipment = await self._shipment(order_id)
        return _booked(shipment.status, shipment.refusal)

    async def cancel(self, order_id: UUID) -> StepResult:
        """See to it that nothing is delivered; done at once if nothing was booked.

        Refusals: shipment_unstoppable. Raises ShippingFault; try again.
        """
        async with self._database.transaction() as tx:
            parcel = await shipments_repository.parcel(tx, order_id)
            if parcel is None:
                return {}
            shipment = await shipments_repository.intend_to_cancel(tx, order_id)
        if shipment.status != "cancelling":
            return {}
        resolved, booked_at = None, None
        provider_id = shipment.provider_id
        try:
            if provider_id is None:
                resolved, booked_at = (
                    await self._provider.book(parcel, key=_book_key(order_id)),
                    datetime.now(UTC),
                )
                provider_id = resolved.provider_id
            await self._provider.cancel(provider_id, key=f"{order_id}:cancel_shipment")
        except AddressNotServed:
            pass  # the lost answer was a refusal: there is nothing to cancel
        except ShipmentUnstoppable:
            return {"refused": "shipment_unstoppable"}
        async with self._database.transaction() as tx:
            await shipments_repository.note_cancelled(tx, order_id, resolved, booked_at)
        return {}

    async def _shipment(self, order_id: UUID) -> Shipment:
        async with self._database.reading() as tx:
            shipment = await shipments_repository.of_order(tx, order_id)
        assert shipment is not None, "shipments are never deleted"
        return shipment


def _book_key(order_id: UUID) -> str:
    return f"{order_id}:book_shipment"


def _booked(status: ShipmentStatus, refused: str | None) -> StepResult:
    if status == "booked":
        return {}
    if status == "refused":
        return {"refused": refused}
    # A twin of this step has stalled long enough for the saga to move on: it must not book now.
    return {"refused": CANCELLED}
