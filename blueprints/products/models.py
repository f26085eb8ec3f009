"""What the catalogue speaks of: products, offers, stock, reservations and runs of the ERP sync."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.http import Body, Page, Query
from shared.problem import Problem

type StepResult = dict[str, str]
"""What a saga step answers: {} when done, {"refused": code} when it must not be done."""

type TaxClass = Literal["standard", "reduced", "zero"]
type RunStatus = Literal["running", "succeeded", "failed"]
type Starter = Literal["schedule", "employee"]
type MovementKind = Literal["counted", "reserved", "committed", "released", "expired", "fulfilled"]
type Origin = Literal["erp", "own"]
type Pinnable = Literal["description", "name"]
type DriftKind = Literal[
    "diverged", "gone", "oversold", "pinned", "price", "recounted", "rejected", "sku_taken"
]
type Sort = Literal["name", "price", "-price", "newest"]


PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

MinorUnits = Annotated[int, Field(ge=0, description="minor units of the currency; 1299 is 12.99")]
CategoryCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ShortText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=PRINTABLE),
]
Price = Annotated[int, Field(ge=0, le=10**12)]
Sku = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,63}$")]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), Field(description="ISO 4217")]
Weight = Annotated[int, Field(ge=0, le=10**9)]
Pieces = Annotated[int, Field(ge=0, le=10**12)]
PageLimit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str, StringConstraints(max_length=4096)]


class ListQuery(Query):
    """Which products on sale to list, and in which order.

    Prices are compared in minor units, whatever the currency; both bounds are included. With
    `facets` the page also says how many products there are of each kind.
    """

    category: CategoryCode | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    in_stock: bool | None = None
    sort: Sort = "name"
    facets: bool = False
    limit: PageLimit = 20
    cursor: Cursor | None = None


class SearchQuery(Query):
    """What to search for: words, "phrases", -exclusions and `or`, as in web search engines.

    Filters and facets are those of lists.
    """

    q: ShortText
    category: CategoryCode | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    in_stock: bool | None = None
    sort: Literal["relevance", "name", "price", "-price", "newest"] = "relevance"
    facets: bool = False
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


class CategoryFacet(BaseModel):
    """How many products a category has."""

    code: str
    name: str
    count: int


class PriceFacet(BaseModel):
    """How many products cost `min_price` to `max_price`, both included; None is without end."""

    min_price: MinorUnits
    max_price: MinorUnits | None
    count: int


class Facets(BaseModel):
    """What the products asked for consist of.

    Each facet counts what would be there without its own filter. Beyond a number of products
    counting stops: then `complete` is false and the counts are of those met first.
    """

    categories: list[CategoryFacet]
    prices: list[PriceFacet]
    in_stock: int
    sold_out: int
    complete: bool


class ProductPage(Page[ProductSummary]):
    """Products, with facets where they were asked for.

    `similar` is true when nothing had the words, and these are products whose names are like them.
    """

    facets: Facets | None = None
    similar: bool = False


class Product(ProductSummary):
    """A product in full. One that is not on sale stays readable, with `active` false.

    The next sync with the ERP leaves the `pinned` fields of its products alone.
    """

    description: str
    active: bool
    origin: Origin
    pinned: list[Pinnable]
    version: int
    updated_at: datetime


class _Facts(Body):
    name: ShortText
    description: Description = ""
    category: CategoryCode
    category_name: ShortText | None = None
    net_price: Price
    currency: Currency
    tax_class: TaxClass
    weight_g: Weight
    active: bool = True


class CreateProduct(_Facts):
    """A product that the ERP does not know. `category_name` names a category that is new."""

    sku: Sku
    on_hand: Pieces = 0


class UpdateProduct(_Facts):
    """A product anew, as a whole: send back what you read, with the changes.

    `on_hand` is what was counted just now; left out, the stock stays. Of a product that is the
    ERP's only `name`, `description`, `active` and `pinned` may change: a text that is changed is
    pinned from then on, `active` false takes the product off sale whatever the ERP says. `pinned`
    names the texts to keep against the ERP; the others are the ERP's again with the next sync.
    """

    on_hand: Pieces | None = None
    pinned: Annotated[list[Pinnable], Field(max_length=2)] | None = None


class Category(BaseModel):
    """A category with products on sale."""

    code: str
    name: str


class Drift(BaseModel):
    """Something that differed between the ERP and this platform.

    `kind`: `price` (ours was replaced by the ERP's), `recounted` (our stock was replaced by a new
    count), `diverged` (the ERP repeats a count that our stock has left since; ours stays), `pinned`
    (the ERP's texts differ in `fields` that are kept), `gone` (no longer listed, so off sale),
    `oversold` (`ours` is reserved, more than the ERP's count), `sku_taken` (the ERP lists a number
    that one of our own products has; it was left out), `rejected` (data that cannot be sold by).
    `ours` and `erps` are minor units of a price, or pieces.
    """

    kind: DriftKind
    sku: str
    product_id: UUID | None
    fields: list[str] | None
    ours: int | None
    erps: int | None


class SyncRun(BaseModel):
    """One run of the ERP sync.

    Counts are of products; `rejected` ones came with data that cannot be sold by, `oversold` ones
    have more reserved than the ERP now counts. `drifted` counts what differed by kind, up to 100
    of each.
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
    drifted: dict[DriftKind, int] = {}


class SyncReport(SyncRun):
    """A run with what it found to differ, by kind and article number.

    At most 100 of each kind are kept, and only for the last 20 runs; `more` names the kinds that
    had more.
    """

    drifts: list[Drift]
    more: list[DriftKind]


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

    sku: Sku
    name: ShortText
    description: Description
    category_code: CategoryCode
    category_name: ShortText
    net_price: Price
    currency: Currency
    tax_class: TaxClass
    weight_g: Weight
    active: bool
    on_hand: Pieces


@dataclass(frozen=True)
class ErpPage:
    """One page of the ERP's list; `rejected` holds the article numbers that made no sense."""

    products: Sequence[ErpProduct]
    rejected: Sequence[str]
    has_more: bool


class SkuTaken(Problem):
    """Another product has this article number; `product_id` is its id."""

    status, code = 409, "sku-taken"
    members: ClassVar = {"product_id": UUID}


class UnknownCategory(Problem):
    """There is no category with this code, and `category_name` does not name a new one."""

    status, code = 409, "unknown-category"


class ErpOwnedField(Problem):
    """The next sync would undo the change: `fields` of this product are the ERP's to change."""

    status, code = 409, "erp-owned-field"
    members: ClassVar = {"fields": list[str]}


class NothingToPin(Problem):
    """Only products of the ERP have texts to pin against it."""

    status, code = 409, "nothing-to-pin"


def cache_key(product_id: UUID) -> str:
    """Where a product is cached."""
    return f"products:product:{product_id}"
