"""The assortment: a thousand products in twelve categories, the same on every machine.

The words live in `assortment_data`, one file per category: lines of goods, each in several
variants and sizes. A seeded choice among their combinations gives the products.
"""

import random
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, Literal

TaxClass = Literal["standard", "reduced", "zero"]

SEED = 20260105
PRODUCTS = 1000
INACTIVE = 30
SOLD_OUT = 35
MOST_ON_HAND = 500
FIRST_CHANGE = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
CHANGE_MINUTES = 60 * 24 * 150

OUT_OF_STOCK_SKU = "TEA-DRAGONWELL-100"
"""On sale, and never there: the harvest is sold before it is picked."""
WELL_STOCKED_SKU = "TEA-ASSAM-250"
"""On sale, and plenty of it."""


@dataclass(frozen=True)
class Product:
    """One product as the ERP keeps it; money in minor units, before tax."""

    sku: str
    name: str
    description: str
    category_code: str
    category_name: str
    net_price_minor: int
    currency: str
    tax_class: TaxClass
    weight_grams: int
    active: bool
    on_hand: int
    changed_at: str


@dataclass(frozen=True)
class _Candidate:
    """A product before chance has given it stock."""

    sku: str
    name: str
    description: str
    net_price_minor: int
    tax_class: TaxClass
    weight_grams: int


def assortment() -> list[Product]:
    """All products in order of SKU."""
    chance = random.Random(SEED)  # noqa: S311 - to be repeatable is the point
    categories = _categories()
    chosen: list[tuple[dict[str, Any], _Candidate]] = []
    for position, category in enumerate(categories):
        # What does not divide evenly goes to the first categories, one product each.
        wanted = PRODUCTS // len(categories) + (position < PRODUCTS % len(categories))
        candidates = list(_candidates(category))
        kept = [each for each in candidates if each.sku in (OUT_OF_STOCK_SKU, WELL_STOCKED_SKU)]
        others = [each for each in candidates if each not in kept]
        kept += chance.sample(others, wanted - len(kept))
        chosen += [(category, candidate) for candidate in kept]
    chosen.sort(key=lambda pair: pair[1].sku)

    ordinary = [
        candidate.sku
        for _, candidate in chosen
        if candidate.sku not in (OUT_OF_STOCK_SKU, WELL_STOCKED_SKU)
    ]
    special = chance.sample(ordinary, INACTIVE + SOLD_OUT)
    inactive, sold_out = set(special[:INACTIVE]), {*special[INACTIVE:], OUT_OF_STOCK_SKU}
    products = []
    for category, candidate in chosen:
        on_hand = chance.randint(5, MOST_ON_HAND)
        if candidate.sku == WELL_STOCKED_SKU:
            on_hand = MOST_ON_HAND
        changed = FIRST_CHANGE + timedelta(minutes=chance.randrange(CHANGE_MINUTES))
        products.append(
            Product(
                sku=candidate.sku,
                name=candidate.name,
                description=candidate.description,
                category_code=category["code"],
                category_name=category["name"],
                net_price_minor=candidate.net_price_minor,
                currency="EUR",
                tax_class=candidate.tax_class,
                weight_grams=candidate.weight_grams,
                active=candidate.sku not in inactive,
                on_hand=0 if candidate.sku in sold_out else on_hand,
                changed_at=changed.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            )
        )
    return products


def _categories() -> list[dict[str, Any]]:
    """The files' contents, in order of the category's code."""
    folder = resources.files(__package__ or "").joinpath("assortment_data")
    files = [file for file in folder.iterdir() if file.name.endswith(".toml")]
    categories = [tomllib.loads(file.read_text(encoding="utf-8")) for file in files]
    return sorted(categories, key=lambda category: str(category["code"]))


def _candidates(category: Mapping[str, Any]) -> Iterator[_Candidate]:
    """Every variant in every size of every line of a category.

    A variant is [code, name, text, per cent of the size's price = 100, grams = the size's].
    """
    for line in category["lines"]:
        pattern = line.get("name", "{brand} {variant} {kind}, {size}")
        for position, (code, variant, text, *numbers) in enumerate(line["variants"]):
            percent, grams = (numbers + [100, None][len(numbers) :])[:2]
            brand = line["brands"][position % len(line["brands"])]
            for size_code, size, price, size_grams in line["sizes"]:
                name = pattern.format(brand=brand, variant=variant, kind=line["kind"], size=size)
                sentences = (line.get("opening"), text, line.get("closing"))
                yield _Candidate(
                    sku="-".join(part for part in (line["sku"], code, size_code) if part),
                    name=" ".join(name.replace(" ,", ",").split()).removesuffix(","),
                    description=" ".join(sentence for sentence in sentences if sentence),
                    net_price_minor=_tidy(price * percent / 100),
                    tax_class=line.get("tax_class", category["tax_class"]),
                    weight_grams=size_grams if grams is None else grams,
                )


def _tidy(price: float) -> int:
    """The nearest price that ends in nine cents."""
    return max(9, round(price / 10) * 10 - 1)
