"""What the floor takes and gives: the fields of the platform's own order."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


def _text(length: int) -> Any:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=length)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Address(_Body):
    """Where the goods go."""

    name: Annotated[str, _text(120)]
    line1: Annotated[str, _text(120)]
    line2: Annotated[str, _text(120)] | None = None
    city: Annotated[str, _text(80)]
    postal_code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9 -]{1,9}$")]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class WantedLine(_Body):
    """A product and how many of it."""

    product_id: UUID
    quantity: Annotated[int, Field(ge=1, le=999)]


class PlaceOrder(_Body):
    """What somebody wants to buy; each product on one line."""

    lines: Annotated[list[WantedLine], Field(min_length=1, max_length=100)]
    shipping_address: Address
    shipping_service: Literal["standard", "express"]
    payment_method: Annotated[str, StringConstraints(pattern=r"^tok_[a-z0-9_]{3,64}$")]


class OrderLine(BaseModel):
    """A priced line."""

    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_net: int
    tax_rate_bp: int
    net: int
    tax: int
    gross: int


class Order(BaseModel):
    """An order as it was written."""

    id: UUID
    number: str
    customer_id: UUID
    status: str
    currency: str
    lines: list[OrderLine]
    shipping_address: Address
    shipping_net: int
    shipping_tax: int
    net_total: int
    tax_total: int
    gross_total: int
    placed_at: datetime
