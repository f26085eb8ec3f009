"""The ERP's product master data and stock, filled with the assortment at the first start."""

import sqlite3
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from localcloud.partners.erp.assortment import Product, assortment
from localcloud.partners.store import Store, now, record
from localcloud.partners.web import Refused

SCHEMA = """
    CREATE TABLE IF NOT EXISTS products (
        sku TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        category_code TEXT NOT NULL,
        category_name TEXT NOT NULL,
        net_price_minor INTEGER NOT NULL CHECK (net_price_minor >= 0),
        currency TEXT NOT NULL,
        tax_class TEXT NOT NULL CHECK (tax_class IN ('standard', 'reduced', 'zero')),
        weight_grams INTEGER NOT NULL CHECK (weight_grams >= 0),
        active INTEGER NOT NULL CHECK (active IN (0, 1)),
        on_hand INTEGER NOT NULL CHECK (on_hand >= 0),
        changed_at TEXT NOT NULL
    ) STRICT;
"""
HOW_MANY = """
    SELECT count(*)
    FROM products
"""
PUT = """
    INSERT INTO products (
        sku, name, description, category_code, category_name, net_price_minor, currency,
        tax_class, weight_grams, active, on_hand, changed_at
    )
    VALUES (
        :sku, :name, :description, :category_code, :category_name, :net_price_minor, :currency,
        :tax_class, :weight_grams, :active, :on_hand, :changed_at
    )
    ON CONFLICT (sku) DO UPDATE
    SET name = excluded.name,
        description = excluded.description,
        category_code = excluded.category_code,
        category_name = excluded.category_name,
        net_price_minor = excluded.net_price_minor,
        currency = excluded.currency,
        tax_class = excluded.tax_class,
        weight_grams = excluded.weight_grams,
        active = excluded.active,
        on_hand = excluded.on_hand,
        changed_at = excluded.changed_at
"""
PAGE = """
    SELECT sku, name, description, category_code, category_name, net_price_minor, currency,
        tax_class, weight_grams, active, on_hand, changed_at
    FROM products
    WHERE changed_at >= :changed_since
    ORDER BY sku
    LIMIT :limit
    OFFSET :offset
"""
BY_SKU = """
    SELECT sku, name, description, category_code, category_name, net_price_minor, currency,
        tax_class, weight_grams, active, on_hand, changed_at
    FROM products
    WHERE sku = :sku
"""
STOCK = """
    SELECT products.sku, products.on_hand
    FROM products
    JOIN json_each(:skus) AS wanted ON wanted.value = products.sku
    ORDER BY products.sku
"""

EARLIEST = ""
"""Sorts before every time."""


XmlText = Annotated[str, Field(pattern=r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]*$")]
"""Text without the characters that no XML document may hold: one would spoil a whole page."""


class StockChange(BaseModel):
    """What is on hand from now on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    on_hand: Annotated[int, Field(ge=0, le=10**9)]


class ProductChange(BaseModel):
    """The fields of a product that are to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name: Annotated[XmlText, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[XmlText, Field(max_length=4000)] | None = None
    category_code: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*$")] | None = None
    category_name: Annotated[XmlText, Field(min_length=1, max_length=100)] | None = None
    net_price_minor: Annotated[int, Field(ge=0, le=10**12)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    tax_class: Literal["standard", "reduced", "zero"] | None = None
    weight_grams: Annotated[int, Field(ge=0, le=10**9)] | None = None
    active: bool | None = None
    on_hand: Annotated[int, Field(ge=0, le=10**9)] | None = None


class MasterData:
    """Products by SKU. Every change counts as one for `ChangedSince`, stock included."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as tx:
            (known,) = tx.execute(HOW_MANY).fetchone()
            if not known:
                tx.executemany(PUT, [asdict(product) for product in assortment()])

    def page(
        self, number: int, size: int, changed_since: datetime | None
    ) -> tuple[list[Product], bool]:
        """One page (the first is 1) in order of SKU, and whether more follow."""
        since = EARLIEST if changed_since is None else _text(changed_since)
        with self._store.transaction() as tx:
            rows = tx.execute(
                PAGE,
                {"changed_since": since, "limit": size + 1, "offset": (number - 1) * size},
            ).fetchall()
            products = [_product(row) for row in rows[:size]]
            record(
                tx,
                "list_products",
                None,
                page_number=number,
                page_size=size,
                changed_since=since or None,
                returned=len(products),
            )
        return products, len(rows) > size

    def stock(self, skus: list[str], skus_as_json: str) -> list[tuple[str, int]]:
        """What is on hand of each SKU that exists, in order of SKU."""
        with self._store.transaction() as tx:
            rows = tx.execute(STOCK, {"skus": skus_as_json}).fetchall()
            record(tx, "get_stock", None, skus=skus, returned=len(rows))
        return [(row["sku"], row["on_hand"]) for row in rows]

    def known(self, sku: str) -> bool:
        return bool(self._store.rows(BY_SKU, {"sku": sku}))

    def change(self, sku: str, fields: dict[str, Any]) -> tuple[Product, bool]:
        """The product after laying `fields` over it, and whether it is new.

        Refused with 400 when a new product lacks a field.
        """
        with self._store.transaction() as tx:
            row = tx.execute(BY_SKU, {"sku": sku}).fetchone()
            defaults = {"currency": "EUR", "active": True, "on_hand": 0}
            known = defaults if row is None else asdict(_product(row))
            wanted = known | fields | {"sku": sku, "changed_at": now()}
            if missing := Product.__dataclass_fields__.keys() - wanted.keys():
                raise Refused(
                    400, "invalid_request", f"a new product needs {', '.join(sorted(missing))}"
                )
            tx.execute(PUT, wanted)
            record(tx, "change", sku, **fields)
        return Product(**wanted), row is None


def _product(row: sqlite3.Row) -> Product:
    return Product(**dict(row) | {"active": bool(row["active"])})


def _text(moment: datetime) -> str:
    """As times stand in the table, so that comparing texts compares times."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
