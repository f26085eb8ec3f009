"""The partners tell the shop what happened: signed, until it is taken, and only what is new."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import httpx
import pytest
from aiohttp import web

from localcloud.partners.webhooks import signature, subscription
from localcloud.tests.partners.part import Part, running

KEY = "the-key-of-the-tests"
ADDRESS = {"country": "DE", "postal_code": "10115"}


@dataclass
class Shop:
    """Takes webhooks, unless `answers` says otherwise for the next ones."""

    url: str = ""
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((request.headers["Webhook-Signature"], await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    def events(self, reference: str) -> list[dict[str, Any]]:
        events = [json.loads(body) for _, body in self.taken]
        return [event for event in events if event["data"]["reference"] == reference]

    def types(self, reference: str) -> list[str]:
        return [event["type"] for event in self.events(reference)]


@pytest.fixture(scope="session")
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    app = web.Application()
    app.router.add_post("/hook", shop.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield shop
    await runner.cleanup()


@pytest.fixture(scope="session")
def bank(shop: Shop, identity: Part, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    options = ("--identity", identity.url, "--webhook-url", shop.url, "--webhook-key", KEY)
    with running("localcloud.partners.payment", tmp_path_factory.mktemp("bank"), *options) as part:
        yield part


@pytest.fixture(scope="session")
def carrier(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    options = ("--webhook-url", shop.url, "--webhook-key", f"{KEY},the-next-key-to-come")
    folder = tmp_path_factory.mktemp("carrier")
    with running("localcloud.partners.shipping", folder, *options) as part:
        yield part


async def until(true: Callable[[], bool]) -> None:
    """Return once it is true. TimeoutError after half a minute."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.01)


async def authorised(
    bank: Part, token: str, method: str, *, patience_s: float = 10
) -> tuple[str, httpx.Response | None]:
    """The reference of a payment that was asked for, and the answer if one came."""
    reference = str(uuid4())
    async with httpx.AsyncClient(base_url=bank.url, timeout=patience_s) as http:
        try:
            answer = await http.post(
                "/v1/payments",
                headers={"Authorization": f"Bearer {token}", "Idempotency-Key": reference},
                json={
                    "reference": reference,
                    "amount": 1299,
                    "currency": "EUR",
                    "payment_method": method,
                },
            )
        except httpx.ReadTimeout:
            return reference, None
    assert answer.status_code == 201
    return reference, answer


async def booked(carrier: Part) -> tuple[str, str]:
    """Reference and id of a parcel."""
    reference = str(uuid4())
    async with httpx.AsyncClient(base_url=carrier.url) as http:
        answer = await http.post(
            "/v1/shipments",
            headers={"X-Api-Key": "local-shipping-key", "Idempotency-Key": reference},
            json={
                "reference": reference,
                "service": "standard",
                "address": ADDRESS,
                "weight_g": 500,
            },
        )
    return reference, answer.json()["id"]


async def control(part: Part, method: str, path: str, **how: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"{part.url}/control") as http:
        return await http.request(method, path, **how)


async def moved(carrier: Part, shipment_id: str, status: str) -> httpx.Response:
    return await control(carrier, "PUT", f"/shipments/{shipment_id}", json={"status": status})


async def test_a_parcel_s_journey_is_told_and_signed(shop: Shop, carrier: Part) -> None:
    reference, shipment_id = await booked(carrier)

    for status in ("collected", "collected", "delivered", "collected"):
        answer = await moved(carrier, shipment_id, status)
        assert answer.status_code == 200
    await until(lambda: len(shop.events(reference)) == 2)

    assert shop.types(reference) == ["shipment.collected", "shipment.delivered"]
    event = shop.events(reference)[0]
    assert event["data"] == {
        "reference": reference,
        "shipment_id": shipment_id,
        "tracking_number": event["data"]["tracking_number"],
    }
    for sent, body in shop.taken:
        at = int(sent.split(",")[0].removeprefix("t="))
        assert sent == signature(KEY, body, at)
        assert abs(time.time() - at) < 300


async def test_a_parcel_that_is_under_way_cannot_be_cancelled_and_a_cancelled_one_not_move(
    carrier: Part,
) -> None:
    _, gone = await booked(carrier)
    _, kept = await booked(carrier)
    await moved(carrier, gone, "collected")

    async with httpx.AsyncClient(
        base_url=carrier.url, headers={"X-Api-Key": "local-shipping-key"}
    ) as http:
        refused = await http.post(f"/v1/shipments/{gone}/cancel")
        await http.post(f"/v1/shipments/{kept}/cancel")
    late = await moved(carrier, kept, "delivered")

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "already_collected")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "cancelled")


async def test_what_was_answered_is_not_told_again(shop: Shop, bank: Part, token: str) -> None:
    reference, answer = await authorised(bank, token, "tok_success")
    assert answer is not None

    listed = await control(bank, "GET", "/webhooks", params={"reference": reference})

    assert listed.json() == {"webhooks": []}
    assert shop.events(reference) == []


async def test_an_answer_that_nobody_waited_for_is_told(shop: Shop, bank: Part, token: str) -> None:
    reference, answer = await authorised(bank, token, "tok_timeout_after_effect", patience_s=0.3)
    assert answer is None

    await until(lambda: shop.types(reference) == ["payment.authorized"])


async def test_what_the_customer_does_on_the_gateway_s_page_is_told(
    shop: Shop, bank: Part, token: str
) -> None:
    reference, answer = await authorised(bank, token, "tok_confirmation_required")
    assert answer is not None
    path = f"/payments/{answer.json()['id']}/confirm"

    confirmed = await control(bank, "POST", path, json={"code": "123456"})
    await until(lambda: len(shop.events(reference)) == 1)

    assert confirmed.json()["status"] == "authorized"
    (event,) = shop.events(reference)
    assert (event["type"], event["data"]["payment_id"]) == (
        "payment.authorized",
        answer.json()["id"],
    )


async def test_it_is_sent_again_until_it_is_taken_and_once_more_on_demand(
    shop: Shop, carrier: Part
) -> None:
    reference, shipment_id = await booked(carrier)
    shop.answers[:] = [503, 302]

    await moved(carrier, shipment_id, "delivered")
    await until(lambda: len(shop.events(reference)) == 3)
    (event_id,) = {event["id"] for event in shop.events(reference)}

    async def taken() -> list[dict[str, Any]]:
        answer = await control(carrier, "GET", "/webhooks", params={"reference": reference})
        return list(answer.json()["webhooks"])

    async with asyncio.timeout(30):
        while (await taken())[0]["status"] != "taken":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    assert await taken() == [
        {
            "id": event_id,
            "type": "shipment.delivered",
            "reference": reference,
            "status": "taken",
            "attempts": 3,
            "answer": "204",
        }
    ]
    assert (await control(carrier, "POST", f"/webhooks/{event_id}/resend")).status_code == 202
    await until(lambda: len(shop.events(reference)) == 4)
    assert (await control(carrier, "POST", "/webhooks/evt_no/resend")).status_code == 404


async def test_events_come_twice_and_out_of_order_when_a_test_says_so(
    shop: Shop, carrier: Part
) -> None:
    reference, shipment_id = await booked(carrier)
    for mischief in (
        {"kind": "late", "type": "shipment.collected", "delay_s": 0.5},
        {"kind": "duplicate", "type": "shipment.delivered"},
    ):
        assert (await control(carrier, "POST", "/webhooks", json=mischief)).status_code == 201

    await moved(carrier, shipment_id, "collected")
    await moved(carrier, shipment_id, "delivered")
    await until(lambda: len(shop.events(reference)) == 3)

    assert shop.types(reference) == [
        "shipment.delivered",
        "shipment.delivered",
        "shipment.collected",
    ]
    assert len({event["id"] for event in shop.events(reference)}) == 2


async def test_a_carrier_that_is_killed_sends_what_was_not_taken_when_it_is_back(
    shop: Shop, tmp_path: Path
) -> None:
    options = ("--webhook-url", shop.url, "--webhook-key", KEY)
    with running("localcloud.partners.shipping", tmp_path, *options) as part:
        reference, shipment_id = await booked(part)
        shop.answers[:] = [503, 503]
        await moved(part, shipment_id, "delivered")
        await until(lambda: len(shop.events(reference)) > 0)
        part.kill()

    with running("localcloud.partners.shipping", tmp_path, *options):
        await until(lambda: len(shop.events(reference)) == 3)

    assert len({event["id"] for event in shop.events(reference)}) == 1


@pytest.mark.parametrize("key", ["", " , the-next"])
def test_an_address_without_a_key_is_refused(key: str) -> None:
    with pytest.raises(click.UsageError, match="--webhook-url needs a --webhook-key"):
        subscription("http://shop.example", key, answered=False)


def test_without_an_address_nobody_is_told() -> None:
    assert subscription("", KEY, answered=False) is None
