"""What an order is made of, which moves it may make, and what may be refused about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from shared import pii
from shared.http import Body, Query
from shared.problem import PartnerUnavailable, Problem

type Status = Literal[
    "placed", "confirmed", "shipped", "delivered", "returned", "cancelling", "cancelled", "stuck"
]
type Service = Literal["standard", "express"]
type CancelCause = Literal[
    "changed_mind",
    "ordered_by_mistake",
    "delivery_too_slow",
    "other",
    "customer_request",
    "fraud_suspected",
    "goods_unavailable",
    "partner_recovered",
]
"""Why a person calls an order off: a code, because it travels in the URL and URLs are logged."""

type StepResult = dict[str, Any]
"""What a saga step answers: {} when done, {"refused": code} when it must not be done."""

PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

MAX_QUANTITY = 999
MAX_LINES = 100

MOVES: dict[Status, tuple[Status, ...]] = {
    "confirmed": ("shipped",),
    "shipped": ("delivered",),
    "delivered": ("returned",),
}
"""The moves that people make. All others belong to the saga."""

CANCELLABLE: tuple[Status, ...] = ("placed", "confirmed", "stuck")
"""Statuses from which an order can be called off."""

MinorUnits = Annotated[int, Field(ge=0, description="minor units of the currency; 1299 is 12.99")]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Country = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{2}$"),
    Field(description="ISO 3166-1 alpha-2"),
    pii.ADDRESS,
]
PostalCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9 -]{1,9}$"), pii.ADDRESS]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=500, pattern=PRINTABLE),
]
CLIENT_CAUSES: Mapping[CancelCause, str] = {
    "changed_mind": "the goods are not wanted any more",
    "ordered_by_mistake": "wrong goods, quantity or address, or ordered twice",
    "delivery_too_slow": "the goods would come too late",
    "other": "none of these",
}
"""What everybody may name, and its meaning."""

EMPLOYEE_CAUSES: Mapping[CancelCause, str] = {
    "customer_request": "the customer asked for it and gave no reason",
    "fraud_suspected": "the order is not believed to be honest",
    "goods_unavailable": "the goods cannot be sent: lost, damaged or recalled",
    "partner_recovered": "the order was stuck, and the partner that failed answers again",
}
"""What only employees may name, and its meaning; customers are not told."""

Cursor = Annotated[str, StringConstraints(max_length=1024)]


def _text(max_length: int) -> Any:
    return StringConstraints(
        strip_whitespace=True, min_length=1, max_length=max_length, pattern=PRINTABLE
    )


class Address(Body):
    """Where the goods go."""

    name: Annotated[str, _text(120), pii.NAME]
    line1: Annotated[str, _text(120), pii.ADDRESS]
    line2: Annotated[str, _text(120), pii.ADDRESS] | None = None
    city: Annotated[str, _text(80), pii.ADDRESS]
    postal_code: PostalCode
    country: Country


class WantedLine(Body):
    """A product and how many of it."""

    product_id: UUID
    quantity: Quantity


class PlaceOrder(Body):
    """What somebody wants to buy. Lines of the same product are added up.

    `payment_method` is the gateway's token for a way to pay, never a card number. Employees name
    the customer and the reason; clients order for themselves and name neither.
    """

    lines: Annotated[list[WantedLine], Field(min_length=1, max_length=MAX_LINES)]
    shipping_address: Address
    shipping_service: Service
    payment_method: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    customer_id: UUID | None = None
    reason: Reason | None = None


class MoveOrder(Body):
    """Where an order should go next."""

    status: Status
    reason: Reason | None = None


class CancelQuery(Query):
    """Why an order is called off; only employees may name one of EMPLOYEE_CAUSES."""

    reason: CancelCause


class CancelOrder(Body):
    """Why an order is called off; only employees may name one of EMPLOYEE_CAUSES."""

    reason: CancelCause


class OrderQuery(Query):
    """Which orders to list, newest first. `text` finds words of product names, SKUs and the number.

    `placed_from` is inclusive, `placed_to` exclusive. Only employees may name a `customer_id`.
    """

    status: Status | None = None
    customer_id: UUID | None = None
    placed_from: AwareDatetime | None = None
    placed_to: AwareDatetime | None = None
    number: Annotated[str, StringConstraints(pattern=r"^SO-\d{4}-\d{6,19}$")] | None = None
    text: Annotated[str, _text(100)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = None


class OrderLine(BaseModel):
    """A line as it was on the day of the order: `gross` = `net` + `tax`."""

    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_net: MinorUnits
    tax_rate_bp: Annotated[int, Field(description="basis points; 1900 is 19 %")]
    net: MinorUnits
    tax: MinorUnits
    gross: MinorUnits


class Shipping(BaseModel):
    """Where and how the goods go, and what that costs."""

    service: Service
    address: Address
    net: MinorUnits
    tax_rate_bp: int
    tax: MinorUnits
    gross: MinorUnits
    tracking_number: str | None = None


class OrderSummary(BaseModel):
    """An order as lists show it."""

    id: UUID
    number: str
    customer_id: UUID
    status: Status
    currency: str
    gross_total: MinorUnits
    placed_at: datetime
    updated_at: datetime


class Order(BaseModel):
    """An order in full.

    `gross_total` = `net_total` (goods) + `shipping.net` + `tax_total` (goods and shipping), each
    the sum of its lines. `cancel_reason` is `cancel_requested` when a person asked for it (then
    `cancel_cause` says why), else what ended the fulfilment, such as `out_of_stock`;
    `cancelled_at` is None until everything is undone.
    """

    id: UUID
    number: str
    customer_id: UUID
    status: Status
    version: int
    currency: str
    lines: list[OrderLine]
    shipping: Shipping
    net_total: MinorUnits
    tax_total: MinorUnits
    gross_total: MinorUnits
    placed_on_behalf: bool
    cancel_reason: str | None
    cancel_cause: CancelCause | None
    cancel_requested_at: datetime | None
    cancelled_at: datetime | None
    placed_at: datetime
    updated_at: datetime

    def for_customer(self) -> Self:
        """The order without a cause that employees keep among themselves."""
        if self.cancel_cause in EMPLOYEE_CAUSES:
            return self.model_copy(update={"cancel_cause": None})
        return self


class TimelineEntry(BaseModel):
    """Something that happened to an order. `by` and `detail` are for employees unless harmless."""

    at: datetime
    area: Literal["order", "payment", "stock", "shipment", "message"]
    what: str
    by: Literal["client", "employee", "saga"] | None = None
    detail: str | None = None
    amount: int | None = None


class Timeline(BaseModel):
    """Everything that happened to an order, oldest first."""

    items: list[TimelineEntry]


class _NamedProducts(Problem):
    members: ClassVar = {"product_ids": list[UUID]}

    def __init__(self, detail: str, product_ids: Sequence[UUID]) -> None:
        super().__init__(detail, product_ids=[str(product_id) for product_id in product_ids])


class UnknownProduct(_NamedProducts):
    """Some products are not on sale; `product_ids` names each."""

    status, code = 409, "unknown-product"


class CurrencyNotSold(_NamedProducts):
    """Some products are priced in another currency than orders; `product_ids` names each."""

    status, code = 409, "currency-not-sold"


class CountryNotServed(Problem):
    """We do not sell to the country of the shipping address."""

    status, code = 409, "country-not-served"


class CustomerUnregistered(Problem):
    """The customer has no record yet: `POST /customers` comes first."""

    status, code = 409, "customer-unregistered"


class CustomerInactive(Problem):
    """The customer's account does not take orders."""

    status, code = 409, "customer-inactive"


class CardNumberRefused(Problem):
    """The payment method looks like a card number; the gateway's token is wanted."""

    status, code = 400, "card-number-refused"


class IllegalStatusMove(Problem):
    """The order cannot go there from where it is; `allowed` names where it can go."""

    status, code = 409, "illegal-status-move"
    members: ClassVar = {"allowed": list[Status]}

    def __init__(self, detail: str, allowed: Sequence[str]) -> None:
        super().__init__(detail, allowed=list(allowed))


class OrderNotCancellable(Problem):
    """The goods are on their way: a return takes the place of a cancellation."""

    status, code = 409, "order-not-cancellable"


class ShippingFault(PartnerUnavailable):
    """The shipping provider did not answer, or not in a way that can be relied on; try again."""


class ShipmentAhead(Problem):
    """The parcel is under way before its order is confirmed here: say it again in a moment."""

    status, code = 409, "shipment-ahead-of-order"


class AddressNotServed(Problem):
    """The shipping provider does not deliver to this address."""

    status, code = 409, "address-not-served"


class ShipmentUnstoppable(Exception):
    """The shipping provider will not take the shipment back."""
