"""An order as the saga's steps and the other slices see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

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


class NoticedShipment(BaseModel):
    """Which of the carrier's shipments it is, and for which order it was booked."""

    shipment_id: Annotated[
        str, StringConstraints(min_length=1, max_length=64), Field(examples=["shp_45c48cce"])
    ]
    reference: Annotated[
        str,
        StringConstraints(min_length=1, max_length=128),
        Field(examples=["0199a3c2-7d10-7c55-9e0a-5b6f1f6d2a01"]),
    ]


class CarrierNotice(BaseModel):
    """The carrier says what happened to a shipment; the same `id` is the same notice.

    Types that we do not know and fields that are not named here are not read.
    """

    id: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), Field(examples=["evt_d3d94468"])
    ]
    type: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+)*$", max_length=64),
        Field(examples=["shipment.delivered"]),
    ]
    data: NoticedShipment


@dataclass(frozen=True)
class Booking:
    """The provider's side of a shipment."""

    provider_id: str
    tracking_number: str
