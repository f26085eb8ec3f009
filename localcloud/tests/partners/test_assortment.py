"""The thousand products: always the same ones, and ones that a shop could really sell."""

import os
import re
import subprocess
import sys
from collections import Counter

from localcloud.partners.erp.assortment import (
    OUT_OF_STOCK_SKU,
    WELL_STOCKED_SKU,
    Product,
    assortment,
)

DIGEST = """
import hashlib
from localcloud.partners.erp.assortment import assortment
print(hashlib.sha256(repr(assortment()).encode()).hexdigest())
"""


def by_sku() -> dict[str, Product]:
    return {product.sku: product for product in assortment()}


def test_every_process_makes_the_same_products() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1


def test_there_are_a_thousand_products_in_twelve_even_categories() -> None:
    products = assortment()

    counts = Counter((product.category_code, product.category_name) for product in products)
    assert len(products) == 1000
    assert len(counts) == 12
    assert set(counts.values()) == {83, 84}
    assert products == sorted(products, key=lambda product: product.sku)


def test_skus_and_names_are_unique_and_well_formed() -> None:
    products = assortment()

    assert len({product.sku for product in products}) == 1000
    assert len({product.name for product in products}) == 1000
    assert [p.sku for p in products if not re.fullmatch(r"[A-Z0-9-]{3,32}", p.sku)] == []
    badly_named = [
        p.name
        for p in products
        if p.name != p.name.strip() or "  " in p.name or not 6 <= len(p.name) <= 80
    ]
    assert badly_named == []


def test_descriptions_are_one_to_three_short_sentences() -> None:
    wrong = [
        product.description
        for product in assortment()
        if not product.description.endswith((".", "!", "?"))
        or not 10 <= len(product.description) <= 200
        or len(re.findall(r"[.!?](?= [A-Z]|$)", product.description)) > 4
    ]

    assert wrong == []


def test_prices_and_weights_fit_what_is_sold() -> None:
    products = assortment()

    assert {product.currency for product in products} == {"EUR"}
    assert [p.sku for p in products if not 200 <= p.net_price_minor <= 45_000] == []
    assert {product.net_price_minor % 10 for product in products} == {9}
    assert [p.sku for p in products if not 5 <= p.weight_grams <= 40_000] == []
    teas = [p for p in products if p.sku.startswith("TEA-") and p.sku.endswith("-250")]
    tents = [p for p in products if p.sku.startswith("TENT-")]
    assert max(tea.net_price_minor for tea in teas) < min(tent.net_price_minor for tent in tents)


def test_more_of_the_same_costs_more_in_all_and_less_each() -> None:
    products = by_sku()
    small, large = products["TEA-ASSAM-100"], products[WELL_STOCKED_SKU]

    assert small.net_price_minor < large.net_price_minor < 2.5 * small.net_price_minor


def test_food_and_books_are_taxed_less_and_necessities_not_at_all() -> None:
    products = assortment()

    classes = {
        prefix: {p.tax_class for p in products if p.sku.startswith(prefix)}
        for prefix in ("TEA-", "COF-", "POT-", "NOVEL-", "NOTE-", "SEED-", "PERIOD-", "DRILL-")
    }

    assert classes == {
        "TEA-": {"reduced"},
        "COF-": {"reduced"},
        "POT-": {"standard"},
        "NOVEL-": {"reduced"},
        "NOTE-": {"standard"},
        "SEED-": {"zero"},
        "PERIOD-": {"zero"},
        "DRILL-": {"standard"},
    }


def test_some_products_are_withdrawn_and_some_sold_out() -> None:
    products = assortment()

    assert sum(not product.active for product in products) == 30
    assert sum(product.on_hand == 0 for product in products) == 36
    assert max(product.on_hand for product in products) == 500
    assert min(product.on_hand for product in products) == 0


def test_the_two_products_that_demos_rely_on_are_on_sale() -> None:
    products = by_sku()

    sold_out, plenty = products[OUT_OF_STOCK_SKU], products[WELL_STOCKED_SKU]
    assert (sold_out.active, sold_out.on_hand) == (True, 0)
    assert (plenty.active, plenty.on_hand) == (True, 500)


def test_the_last_change_of_every_product_lies_in_the_past() -> None:
    changed = [product.changed_at for product in assortment()]

    assert min(changed) >= "2026-01-05T08:00:00.000000Z"
    assert max(changed) < "2026-06-05T00:00:00.000000Z"
