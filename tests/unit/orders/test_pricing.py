"""What an order costs: half-up, and always the sum of its lines."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprints.orders.models import Service
from blueprints.orders.pricing import TARIFF_NET, price, tax_on


@dataclass(frozen=True)
class Offered:
    net_price: int
    tax_rate_bp: int
    weight_g: int = 100
    product_id: UUID = field(default_factory=uuid4)
    sku: str = "TEA-ASSAM-250"
    name: str = "Assam"
    currency: str = "EUR"
    tax_class: str = "standard"


offers = st.builds(
    Offered,
    net_price=st.integers(0, 10**9),
    tax_rate_bp=st.integers(0, 10_000),
    weight_g=st.integers(0, 100_000),
    product_id=st.builds(uuid4),
)
services: st.SearchStrategy[Service] = st.sampled_from(["standard", "express"])


@pytest.mark.parametrize(
    ("net", "rate_bp", "tax"),
    [(1_299, 1_900, 247), (50, 100, 1), (49, 100, 0), (150, 100, 2), (0, 1_900, 0), (999, 0, 0)],
)
def test_tax_is_rounded_half_up(net: int, rate_bp: int, tax: int) -> None:
    assert tax_on(net, rate_bp) == tax


@given(net=st.integers(0, 10**15), rate_bp=st.integers(0, 10_000))
def test_tax_is_the_exact_product_rounded_half_up(net: int, rate_bp: int) -> None:
    exact = Fraction(net * rate_bp, 10_000)

    assert tax_on(net, rate_bp) == floor(exact + Fraction(1, 2))


@given(
    wanted=st.lists(st.tuples(offers, st.integers(1, 999)), min_size=1, max_size=100),
    service=services,
)
def test_totals_are_the_sums_of_the_lines(
    wanted: list[tuple[Offered, int]], service: Service
) -> None:
    quote = price(wanted, service)

    assert quote.net_total == sum(line.net for line in quote.lines)
    assert quote.tax_total == sum(line.tax for line in quote.lines) + quote.shipping_tax
    assert quote.gross_total == (
        sum(line.gross for line in quote.lines) + quote.shipping_net + quote.shipping_tax
    )
    assert [line.net for line in quote.lines] == [o.net_price * n for o, n in wanted]
    assert quote.weight_g == sum(o.weight_g * n for o, n in wanted)


@given(
    wanted=st.lists(st.tuples(offers, st.integers(1, 9)), min_size=1, max_size=9),
    service=services,
)
def test_shipping_takes_the_highest_rate_of_the_goods(
    wanted: list[tuple[Offered, int]], service: Service
) -> None:
    quote = price(wanted, service)

    highest = max(offer.tax_rate_bp for offer, _ in wanted)
    assert quote.shipping_net == TARIFF_NET[service]
    assert quote.shipping_tax == tax_on(quote.shipping_net, highest)
