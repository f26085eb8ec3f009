"""Shipping rates, tracking, and what a partner that is away means for them, through the host."""

from typing import Any

from tests.rig.platform import Platform, eventually


def wanted(product: str) -> dict[str, Any]:
    return {
        "lines": [{"product_id": product, "quantity": 1}],
        "country": "DE",
        "postal_code": "10115",
    }


async def test_rates_are_what_the_order_is_charged_and_its_parcel_is_tracked(
    platform: Platform,
) -> None:
    product = platform.product()
    rates = await platform.shop.call(
        "POST", "/orders/shipping-rates", platform.alice, json=wanted(product)
    )
    placed = await platform.shop.place(platform.alice, {product: 1})
    order = await platform.shop.settled(platform.alice, placed["id"])
    tracking = await platform.shop.call("GET", f"/orders/{order['id']}/tracking", platform.alice)
    others = await platform.shop.call("GET", f"/orders/{order['id']}/tracking", platform.bruno)

    standard = rates.json()["items"][0]
    assert (standard["service"], standard["gross"]) == ("standard", order["shipping"]["gross"])
    assert (tracking.json()["status"], tracking.json()["carrier_status"]) == ("booked", "booked")
    assert tracking.json()["tracking_number"] == order["shipping"]["tracking_number"]
    assert others.status_code == 404


async def test_a_partner_that_does_not_answer_is_left_alone_until_it_does(
    platform: Platform,
) -> None:
    async def ask() -> Any:
        return await platform.shop.call(
            "POST", "/orders/shipping-rates", platform.alice, json=wanted(platform.product())
        )

    async def circuit() -> str:
        health = (await platform.shop.call("GET", "/../health/ready")).json()
        return str(health["circuits"]["shipping"])

    async def opened() -> bool:
        assert (await ask()).status_code == 503
        return await circuit() != "closed"

    async def closed() -> bool:
        return bool((await ask()).status_code == 200) and await circuit() == "closed"

    await platform.shipping.fault("rates", "status", status=503, times=None)
    await eventually(opened, "an open circuit")
    refused = await ask()
    assert (refused.status_code, refused.json()["code"]) == (503, "partner-unavailable")
    assert int(refused.headers["Retry-After"]) in {1, 2}

    await platform.shipping.reset()
    await eventually(closed, "a closed circuit")
