"""What can be asked about delivery: what it costs and takes, and where a parcel is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from blueprints.orders.models import (
    MAX_LINES,
    Country,
    MinorUnits,
    PostalCode,
    Service,
    WantedLine,
)
from shared.http import Body


class RatesRequest(Body):
    """What would be ordered, and where it would go. Lines of the same product are added up."""

    lines: Annotated[list[WantedLine], Field(min_length=1, max_length=MAX_LINES)]
    country: Country
    postal_code: PostalCode


class ShippingRate(BaseModel):
    """What an order placed now is charged for a service, and how many days the carrier takes.

    The price is ours and the same whatever the weight; employees also see what the carrier asks.
    """

    service: Service
    net: MinorUnits
    tax: MinorUnits
    gross: MinorUnits
    currency: str
    days: int
    carrier_amount: int | None
    carrier_currency: str | None


class ShippingRates(BaseModel):
    """The services that deliver there, the cheapest first, for a parcel of this weight."""

    weight_g: int
    items: list[ShippingRate]


class Tracking(BaseModel):
    """Where an order's parcel is.

    `status` is what we know of the shipment (`none` until one was asked for), `carrier_status` what
    the carrier says of it just now: None if it has none, or did not answer (`carrier_answered`).
    """

    order_id: UUID
    service: Service
    status: Literal["none", "booking", "booked", "refused", "cancelling", "cancelled"]
    tracking_number: str | None
    booked_at: datetime | None
    cancelled_at: datetime | None
    carrier_status: str | None
    carrier_answered: bool


@dataclass(frozen=True)
class CarrierRate:
    """What the carrier asks for a parcel, and how many days it takes."""

    service: Service
    amount: int
    currency: str
    days: int
