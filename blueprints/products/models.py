"""What the catalogue speaks of: products, offers, stock, reservations and runs of the ERP sync."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.http import Query

type StepResult = dict[str, str]
"""What a saga step answers: {} when done, {"refused": code} when it must not be done."""

type TaxClass = Literal["standard", "reduced", "zero"]
type RunStatus = Literal["running", "succeeded", "failed"]
type Starter = Literal["schedule", "employee"]
type MovementKind = Literal["counted", "reserved", "committed", "released", "expired", "fulfilled"]


PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

MinorUnits = Annotated[int, Field(ge=0, description="minor units of the currency; 1299 is 12.99")]
CategoryCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ShortText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=PRINTABLE),
]
PageLimit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str, StringConstraints(max_length=4096)]


class ListQuery(Query):
    """Which products on sale to list."""

    category: CategoryCode | None = None
    limit: PageLimit = 20
    cursor: Cursor | None = None


class SearchQuery(Query):
    """What to search for: words, "phrases", -exclusions and `or`, as in web search engines."""

    q: ShortText
    limit: PageLimit = 20
    cursor: Cursor | None = None


class ProductSummary(BaseModel):
    """A product as lists show it. `available` is what can still be reserved, never below 0."""

    id: UUID
    sku: str
    name: str
    category: str
    net_price: MinorUnits
    currency: str
    tax_class: TaxClass
    weight_g: int
    available: int


class Product(ProductSummary):
    """A product in full. One that left the range stays readable, with `active` false."""

    description: str
    active: bool
    version: int
    updated_at: datetime


class Category(BaseModel):
    """A category with products on sale."""

    code: str
    name: str


class SyncRun(BaseModel):
    """One run of the ERP sync.

    Counts are of products; `rejected` ones came with data that cannot be sold by, `oversold` ones
    have more reserved than the ERP now counts.
    """

    id: UUID
    status: RunStatus
    started_by: Starter
    started_at: datetime
    finished_at: datetime | None
    pages: int
    seen: int
    created: int
    changed: int
    stock_changed: int
    rejected: int
    deactivated: int
    oversold: int
    failure: str | None


@dataclass(frozen=True)
class Offer:
    """A product on sale, with the tax rate of a country in basis points (1900 is 19 %)."""

    product_id: UUID
    sku: str
    name: str
    net_price: int
    currency: str
    tax_class: str
    tax_rate_bp: int
    weight_g: int


@dataclass(frozen=True)
class StockEvent:
    """Something that happened to the stock of an order: its lines moved together."""

    at: datetime
    kind: MovementKind
    quantities: Mapping[UUID, int]


class ErpProduct(BaseModel):
    """A product as the ERP lists it, once it is known to make sense."""

    model_config = ConfigDict(frozen=True)

    sku: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,63}$")]
    name: ShortText
    description: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]
    category_code: CategoryCode
    category_name: ShortText
    net_price: Annotated[int, Field(ge=0, le=10**12)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    tax_class: TaxClass
    weight_g: Annotated[int, Field(ge=0, le=10**9)]
    active: bool
    on_hand: Annotated[int, Field(ge=0, le=10**12)]


@dataclass(frozen=True)
class ErpPage:
    """One page of the ERP's list; `rejected` holds the article numbers that made no sense."""

    products: Sequence[ErpProduct]
    rejected: Sequence[str]
    has_more: bool


def cache_key(product_id: UUID) -> str:
    """Where a product is cached."""
    return f"products:product:{product_id}"
