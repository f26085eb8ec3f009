"""All SQL that lists, searches and counts products on sale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg.rows import dict_row, tuple_row

from blueprints.products.models import CategoryFacet, ProductSummary, Sort
from shared.db import Transaction

type Order = Sort | Literal["relevance", "similarity"]
type Position = str | int | datetime
"""Where a product stands in an order, before its id."""

SIMILAR_ENOUGH = 0.5
"""Of the trigrams of the words, how many a stretch of the name must have."""

FACETED = 10_000
"""How many products are looked at to count facets."""

LISTED = sql.SQL("""
    SELECT
        {position} AS position,
        p.id,
        p.sku,
        p.name,
        p.category_code AS category,
        p.net_price,
        p.currency,
        p.tax_class,
        p.weight_g,
        GREATEST(i.on_hand - i.reserved, 0) AS available
    FROM products.products AS p
    JOIN products.inventory AS i ON i.product_id = p.id
    {wanted}
    WHERE p.active
        {conditions}
    ORDER BY {position} {direction}, p.id {direction}
    LIMIT %(limit)s
""")

# A word matches by its stem or exactly as written, so "-" before a word excludes it only in the
# form that is written.
WORDS = sql.SQL("""
    CROSS JOIN (
        SELECT websearch_to_tsquery('english', %(words)s)
            || websearch_to_tsquery('simple', %(words)s) AS query
    ) AS wanted
""")

# Positions are rounded to millionths, integers, because a cursor must name them exactly.
POSITIONS: Mapping[Order, sql.SQL] = {
    "name": sql.SQL("p.name"),
    "price": sql.SQL("p.net_price"),
    "-price": sql.SQL("p.net_price"),
    "newest": sql.SQL("p.created_at"),
    "relevance": sql.SQL("(ts_rank(p.search, wanted.query) * 1000000)::integer"),
    "similarity": sql.SQL(
        "(word_similarity(%(words)s, p.sku || ' ' || p.name) * 1000000)::integer"
    ),
}
DESCENDING: frozenset[Order] = frozenset({"-price", "newest", "relevance", "similarity"})

CONDITIONS: Mapping[str, sql.SQL] = {
    "category": sql.SQL("p.category_code = %(category)s"),
    "min_price": sql.SQL("p.net_price >= %(min_price)s"),
    "max_price": sql.SQL("p.net_price <= %(max_price)s"),
    "in_stock": sql.SQL("(i.on_hand > i.reserved) = %(in_stock)s"),
}
ALIKE = sql.SQL("%(words)s <%% (p.sku || ' ' || p.name)")
MATCHING = sql.SQL("p.search @@ wanted.query")


@dataclass(frozen=True)
class Wanted:
    """Products on sale that pass `filters`, whose keys are those of CONDITIONS, None for any.

    `words` narrows them to those that have them or, if `alike`, to those named similarly.
    """

    filters: Mapping[str, Any] = field(default_factory=dict)
    words: str | None = None
    alike: bool = False

    def sources(self) -> sql.Composable:
        """What besides products and inventory is joined."""
        return WORDS if self.words is not None and not self.alike else sql.SQL("")

    def conditions(self, *, filtered: bool) -> list[sql.Composable]:
        """What must hold beside being on sale."""
        held: list[sql.Composable] = []
        if self.words is not None:
            held.append(ALIKE if self.alike else MATCHING)
        if filtered:
            held += [CONDITIONS[name] for name, value in self.filters.items() if value is not None]
        return held

    def parameters(self) -> dict[str, Any]:
        """What the conditions compare with."""
        return {"words": self.words, **dict.fromkeys(CONDITIONS), **self.filters}


class Placed(NamedTuple):
    """A product, and where it stands in the order asked for."""

    position: Position
    product: ProductSummary


def _and(conditions: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("").join(sql.SQL(" AND {}").format(condition) for condition in conditions)


async def listed(
    tx: Transaction,
    wanted: Wanted,
    *,
    order: Order,
    after: tuple[Position, UUID] | None,
    limit: int,
) -> list[Placed]:
    """The products wanted, in this order and then by id, beginning behind `after`."""
    position, falling = POSITIONS[order], order in DESCENDING
    conditions = wanted.conditions(filtered=True)
    parameters = wanted.parameters() | {"limit": limit}
    if after is not None:
        behind = "({position}, p.id) < " if falling else "({position}, p.id) > "
        key = sql.SQL(behind + "(%(after)s, %(after_id)s)").format(position=position)
        conditions.append(key)
        parameters |= {"after": after[0], "after_id": after[1]}
    query = LISTED.format(
        position=position,
        wanted=wanted.sources(),
        conditions=_and(conditions),
        direction=sql.SQL("DESC" if falling else "ASC"),
    )
    async with tx.cursor(row_factory=tuple_row) as cursor:
        rows = await (await cursor.execute(query, parameters)).fetchall()
    fields = tuple(ProductSummary.model_fields)
    return [
        Placed(row[0], ProductSummary.model_validate(dict(zip(fields, row[1:], strict=True))))
        for row in rows
    ]


SIMILAR_FROM_HERE = """
    SELECT set_config('pg_trgm.word_similarity_threshold', %(threshold)s, true)
"""


async def tolerate_typos(tx: Transaction) -> None:
    """Until the end of the transaction, words are like names from SIMILAR_ENOUGH on."""
    await tx.execute(SIMILAR_FROM_HERE, {"threshold": str(SIMILAR_ENOUGH)})


COUNTED = sql.SQL("""
    WITH met AS MATERIALIZED (
        SELECT
            p.category_code,
            p.net_price,
            i.on_hand > i.reserved AS in_stock,
            COALESCE(p.category_code = %(category)s, true) AS of_category,
            p.net_price BETWEEN COALESCE(%(min_price)s, 0)
                AND COALESCE(%(max_price)s, p.net_price) AS of_price,
            COALESCE((i.on_hand > i.reserved) = %(in_stock)s, true) AS of_stock
        FROM products.products AS p
        JOIN products.inventory AS i ON i.product_id = p.id
        {wanted}
        WHERE p.active
            {conditions}
        LIMIT %(limit)s
    ),
    categories AS (
        SELECT
            c.code,
            c.name,
            count(*) AS count
        FROM met AS m
        JOIN products.product_categories AS c ON c.code = m.category_code
        WHERE m.of_price
            AND m.of_stock
        GROUP BY c.code, c.name
        ORDER BY count(*) DESC, c.code
        LIMIT 100
    ),
    prices AS (
        SELECT
            width_bucket(m.net_price, %(bounds)s::bigint[]) AS band,
            count(*) AS count
        FROM met AS m
        WHERE m.of_category
            AND m.of_stock
        GROUP BY width_bucket(m.net_price, %(bounds)s::bigint[])
    )
    SELECT
        (SELECT count(*) FROM met) AS met,
        (SELECT count(*) FROM met WHERE of_category AND of_price AND in_stock) AS in_stock,
        (SELECT count(*) FROM met WHERE of_category AND of_price AND NOT in_stock) AS sold_out,
        (SELECT json_agg(c ORDER BY c.count DESC, c.code) FROM categories AS c) AS categories,
        (SELECT json_object_agg(p.band, p.count) FROM prices AS p) AS prices
""")


@dataclass(frozen=True)
class Counts:
    """Products by kind; `prices` by the number of their band, from 1."""

    categories: list[CategoryFacet]
    prices: Mapping[int, int]
    in_stock: int
    sold_out: int
    complete: bool


async def counted(tx: Transaction, wanted: Wanted, bounds: Sequence[int]) -> Counts:
    """How many products of each kind there are, among the first FACETED; bands begin at `bounds`.

    The counts of a kind disregard the filter by that kind.
    """
    query = COUNTED.format(
        wanted=wanted.sources(), conditions=_and(wanted.conditions(filtered=False))
    )
    parameters = wanted.parameters() | {"bounds": list(bounds), "limit": FACETED + 1}
    async with tx.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(query, parameters)).fetchone()
    assert row is not None, "aggregates answer with one row"
    return Counts(
        categories=[CategoryFacet.model_validate(each) for each in row["categories"] or ()],
        prices={int(band): count for band, count in (row["prices"] or {}).items()},
        in_stock=row["in_stock"],
        sold_out=row["sold_out"],
        complete=row["met"] <= FACETED,
    )
