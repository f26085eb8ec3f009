"""What an order costs: integer minor units, tax per line rounded half-up, totals as sums."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from blueprints.orders.models import Service

TARIFF_NET: dict[Service, int] = {"standard": 490, "express": 1290}
"""What shipping costs, net, in minor units of the order's currency, whatever the weight."""


class Offer(Protocol):
    """A product on sale, as the catalogue prices it for one country."""

    @property
    def product_id(self) -> UUID: ...
    @property
    def sku(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def net_price(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def tax_class(self) -> str: ...
    @property
    def tax_rate_bp(self) -> int: ...
    @property
    def weight_g(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PricedLine:
    """An offer taken `quantity` times."""

    offer: Offer
    quantity: int
    net: int
    tax: int

    @property
    def gross(self) -> int:
        """Net and tax."""
        return self.net + self.tax


@dataclass(frozen=True, slots=True)
class Quote:
    """A priced order. `tax_total` includes the tax on shipping; `net_total` is of goods alone."""

    lines: Sequence[PricedLine]
    net_total: int
    shipping_net: int
    shipping_tax_rate_bp: int
    shipping_tax: int
    tax_total: int
    gross_total: int
    weight_g: int


def tax_on(net: int, rate_bp: int) -> int:
    """Tax at `rate_bp` basis points, rounded half-up; both arguments are not negative."""
    return (net * rate_bp + 5_000) // 10_000


def price(wanted: Iterable[tuple[Offer, int]], service: Service) -> Quote:
    """The quote for at least one (offer, quantity).

    Shipping is an ancillary supply and shares the rate of the goods; where they differ it takes the
    highest, so that the platform never owes more than it charged.
    """
    lines = []
    for offer, quantity in wanted:
        net = offer.net_price * quantity
        lines.append(PricedLine(offer, quantity, net, tax_on(net, offer.tax_rate_bp)))
    shipping_net = TARIFF_NET[service]
    shipping_rate = max(line.offer.tax_rate_bp for line in lines)
    shipping_tax = tax_on(shipping_net, shipping_rate)
    net_total = sum(line.net for line in lines)
    tax_total = sum(line.tax for line in lines) + shipping_tax
    return Quote(
        lines=lines,
        net_total=net_total,
        shipping_net=shipping_net,
        shipping_tax_rate_bp=shipping_rate,
        shipping_tax=shipping_tax,
        tax_total=tax_total,
        gross_total=net_total + shipping_net + tax_total,
        weight_g=sum(line.offer.weight_g * line.quantity for line in lines),
    )
