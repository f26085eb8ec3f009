"""An order as the saga's steps and the other slices see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from blueprints.orders.models import Address, Service, Status


@dataclass(frozen=True)
class Fulfilment:
    """What the steps of the saga need to know of an order."""

    order_id: UUID
    customer_id: UUID
    status: Status
    cancel_requested: bool
    lines: Sequence[tuple[UUID, int]]
    gross_total: int
    currency: str
    payment_method: str


@dataclass(frozen=True, slots=True)
class OrderNotice:
    """What may be told to the customer about an order; amounts in minor units, lines in order.

    `cancel_reason` is the refusal that ended the fulfilment, or `cancel_requested`.
    """

    number: str
    customer_id: UUID
    status: Status
    currency: str
    gross_total: int
    tracking_number: str | None
    cancel_reason: str | None
    lines: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order is; `cancelled_from` is where it was when its cancellation was asked for."""

    id: UUID
    customer_id: UUID
    status: Status
    version: int
    cancelled_from: Status | None


@dataclass(frozen=True)
class Parcel:
    """What the shipping provider is told of an order."""

    order_id: UUID
    service: Service
    address: Address
    weight_g: int


@dataclass(frozen=True)
class Booking:
    """The provider's side of a shipment."""

    provider_id: str
    tracking_number: str
