"""Questions about delivery, with the carrier of the local cloud and a real PostgreSQL."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from blueprints.orders.delivery import Delivery
from blueprints.orders.delivery_models import RatesRequest
from blueprints.orders.gateway import ShippingGateway
from blueprints.orders.models import (
    AddressNotServed,
    CountryNotServed,
    ShippingFault,
    UnknownProduct,
    WantedLine,
)
from blueprints.orders.shipping import Shipping
from shared.auth import Caller
from shared.problem import InvalidRequest, NotFound, PartnerUnavailable
from shared.resilience import Breaker
from tests.integration.orders.conftest import CARLA, POT, TEA, Shop, client
from tests.integration.payments.standins import API_KEY, Standin
from tests.rig.secrets import known

pytestmark = pytest.mark.usefixtures("undisturbed")

ALICE = client()


@pytest.fixture
async def gateway(carrier: Standin) -> AsyncIterator[ShippingGateway]:
    opened = ShippingGateway(
        carrier.url,
        known(API_KEY),
        timeout_s=0.5,
        breaker=Breaker("the carrier", fault=ShippingFault),
    )
    yield opened
    await opened.close()


@pytest.fixture
def delivery(shop: Shop, gateway: ShippingGateway) -> Delivery:
    return Delivery(shop.database, shop.catalogue, gateway, currency="EUR")


def wanted(*quantities: int, country: str = "DE", postal_code: str = "10115") -> RatesRequest:
    """This many teas, and then pots."""
    products = (TEA.product_id, POT.product_id)
    return RatesRequest(
        lines=[
            WantedLine(product_id=product_id, quantity=quantity)
            for product_id, quantity in zip(products, quantities, strict=False)
        ],
        country=country,
        postal_code=postal_code,
    )


async def test_rates_are_what_an_order_is_charged_and_what_the_carrier_promises(
    shop: Shop, delivery: Delivery
) -> None:
    rates = await delivery.rates(ALICE, wanted(2, 1))

    order = await shop.place()
    standard, express = rates.items
    assert (standard.net, standard.tax, standard.gross, standard.currency) == (
        order.shipping.net,
        order.shipping.tax,
        order.shipping.gross,
        order.currency,
    )
    assert [(rate.service, rate.net, rate.days) for rate in (standard, express)] == [
        ("standard", 490, 2),
        ("express", 1290, 1),
    ]
    assert rates.weight_g == 2 * TEA.weight_g + POT.weight_g


async def test_only_employees_see_what_the_carrier_asks(delivery: Delivery) -> None:
    mine = await delivery.rates(ALICE, wanted(1, country="FR", postal_code="75001"))
    theirs = await delivery.rates(CARLA, wanted(1, country="FR", postal_code="75001"))

    assert [(rate.carrier_amount, rate.carrier_currency) for rate in mine.items] == [
        (None, None)
    ] * 2
    assert [(rate.carrier_amount, rate.carrier_currency) for rate in theirs.items] == [
        (890, "EUR"),
        (1990, "EUR"),
    ]
    assert [rate.days for rate in theirs.items] == [4, 2]


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (wanted(1, country="US"), CountryNotServed),
        (wanted(1, postal_code="00010"), AddressNotServed),
        (wanted(999, 1).model_copy(update={"lines": wanted(999).lines * 2}), InvalidRequest),
        (
            wanted(1).model_copy(update={"lines": [WantedLine(product_id=uuid4(), quantity=1)]}),
            UnknownProduct,
        ),
    ],
    ids=["country", "postal code", "too many", "not on sale"],
)
async def test_what_cannot_be_delivered_has_no_rates(
    delivery: Delivery, request_: RatesRequest, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        await delivery.rates(ALICE, request_)


@pytest.mark.parametrize("kind", ["status", "drop"])
async def test_rates_of_a_carrier_that_does_not_answer_are_unavailable(
    delivery: Delivery, carrier: Standin, kind: str
) -> None:
    carrier.fault("rates", kind)

    with pytest.raises(PartnerUnavailable, match="does not answer"):
        await delivery.rates(ALICE, wanted(1))

    assert len((await delivery.rates(ALICE, wanted(1))).items) == 2


async def test_a_carrier_that_is_left_alone_is_worth_asking_again_when_it_is_called_again(
    shop: Shop,
) -> None:
    breaker = Breaker("the carrier", fault=ShippingFault, faults=1, open_s=30)
    nowhere = ShippingGateway("http://127.0.0.1:9", known(API_KEY), timeout_s=1, breaker=breaker)
    delivery = Delivery(shop.database, shop.catalogue, nowhere, currency="EUR")

    for seconds in ("2", "30"):
        with pytest.raises(PartnerUnavailable) as refused:
            await delivery.rates(ALICE, wanted(1))
        assert refused.value.headers() == {"Retry-After": seconds}

    await nowhere.close()


async def test_a_parcel_is_tracked_from_the_booking_to_the_cancellation(
    shop: Shop, delivery: Delivery, gateway: ShippingGateway, carrier: Standin
) -> None:
    order = await shop.place()
    shipping = Shipping(shop.database, gateway)
    owner = Caller("client", order.customer_id)

    before = await delivery.tracking(owner, order.id)
    await shipping.book(order.id)
    booked = await delivery.tracking(owner, order.id)
    await shipping.cancel(order.id)
    cancelled = await delivery.tracking(owner, order.id)

    assert (before.status, before.carrier_status, before.carrier_answered) == ("none", None, True)
    (entry, *_) = carrier.entries(order.id)
    assert (booked.status, booked.carrier_status, booked.tracking_number) == (
        "booked",
        "booked",
        entry["tracking_number"],
    )
    assert booked.booked_at is not None
    assert (cancelled.status, cancelled.carrier_status, cancelled.tracking_number) == (
        "cancelled",
        "cancelled",
        None,
    )
    assert cancelled.cancelled_at is not None


async def test_while_the_carrier_is_away_we_tell_what_we_know(
    shop: Shop, delivery: Delivery, gateway: ShippingGateway, carrier: Standin
) -> None:
    order = await shop.place()
    await Shipping(shop.database, gateway).book(order.id)
    carrier.fault("get", "status")

    tracking = await delivery.tracking(CARLA, order.id)

    assert (tracking.status, tracking.carrier_status, tracking.carrier_answered) == (
        "booked",
        None,
        False,
    )
    assert tracking.tracking_number is not None


async def test_a_shipment_that_the_carrier_does_not_know_has_no_status(
    gateway: ShippingGateway,
) -> None:
    assert await gateway.status("shp_none") is None


async def test_someone_elses_parcel_looks_like_none(shop: Shop, delivery: Delivery) -> None:
    order = await shop.place()

    for caller, order_id in ((client(), order.id), (CARLA, uuid4())):
        with pytest.raises(NotFound):
            await delivery.tracking(caller, order_id)
