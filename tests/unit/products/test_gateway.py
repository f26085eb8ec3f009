"""What is made of the ERP's answers."""

from types import SimpleNamespace
from typing import Any

import pytest

from blueprints.products import gateway
from blueprints.products.models import ErpProduct


def listed(**changes: Any) -> SimpleNamespace:
    """A product as zeep gives it."""
    good = {
        "Sku": "TEA-1",
        "Name": "Tea",
        "Description": "Leaves",
        "CategoryCode": "tea",
        "CategoryName": "Tea & Coffee",
        "NetPriceMinor": 899,
        "Currency": "EUR",
        "TaxClass": "reduced",
        "WeightGrams": 250,
        "Active": True,
        "OnHand": 20,
    }
    return SimpleNamespace(**good | changes)


def answer(*products: SimpleNamespace, more: bool = False) -> SimpleNamespace:
    return SimpleNamespace(Product=list(products) or None, HasMore=more)


def test_a_product_is_taken_as_it_is_listed() -> None:
    page = gateway._read(answer(listed(Name="  Tea "), more=True))

    assert page.products == [
        ErpProduct(
            sku="TEA-1",
            name="Tea",
            description="Leaves",
            category_code="tea",
            category_name="Tea & Coffee",
            net_price=899,
            currency="EUR",
            tax_class="reduced",
            weight_g=250,
            active=True,
            on_hand=20,
        )
    ]
    assert (page.rejected, page.has_more) == ([], True)


def test_a_page_may_be_empty() -> None:
    page = gateway._read(answer())

    assert (page.products, page.rejected, page.has_more) == ([], [], False)


@pytest.mark.parametrize(
    "change",
    [
        {"Name": " "},
        {"Name": "Tea\x07"},
        {"Name": None},
        {"CategoryCode": "no such thing"},
        {"CategoryName": ""},
        {"NetPriceMinor": -1},
        {"NetPriceMinor": 10**13},
        {"Currency": "eur"},
        {"TaxClass": "luxury"},
        {"WeightGrams": -1},
        {"WeightGrams": 2**31},
        {"OnHand": -5},
        {"Active": None},
        {"Description": "a" * 4001},
        {"Sku": "T 1"},
    ],
)
def test_a_product_that_cannot_be_sold_by_its_data_is_set_aside(change: dict[str, Any]) -> None:
    good = listed(Sku="TEA-2")

    page = gateway._read(answer(listed(**change), good))

    assert [product.sku for product in page.products] == ["TEA-2"]
    assert page.rejected == [change.get("Sku", "TEA-1")]


def test_of_a_product_listed_twice_the_last_counts() -> None:
    page = gateway._read(answer(listed(OnHand=1), listed(OnHand=2), listed(OnHand=-1)))

    assert [(product.sku, product.on_hand) for product in page.products] == [("TEA-1", 2)]
    assert page.rejected == []
