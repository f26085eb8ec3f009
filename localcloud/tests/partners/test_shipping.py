"""The shipping provider over HTTP: rates, bookings, cancellations, and what a kill leaves."""

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.partners.shipping.register import tracking_number
from localcloud.tests.partners.part import running

ADDRESS = {
    "name": "Alice Moreau",
    "line1": "12 Rue des Lilas",
    "line2": None,
    "city": "Lyon",
    "postal_code": "69003",
    "country": "FR",
}


def booking(**changes: Any) -> dict[str, Any]:
    return {
        "reference": str(uuid.uuid4()),
        "service": "standard",
        "address": ADDRESS,
        "weight_g": 1200,
    } | changes


async def book(
    http: httpx.AsyncClient, body: dict[str, Any], key: str | None = None
) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return await http.post("/v1/shipments", json=body, headers=headers)


async def ledger(http: httpx.AsyncClient, reference: str) -> list[str]:
    answer = await http.get("/control/ledger", params={"reference": reference})
    return [entry["operation"] for entry in answer.json()["entries"]]


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("country", "weight_g", "standard", "express"),
    [
        ("DE", 0, (490, 2), (1190, 1)),
        ("DE", 1000, (490, 2), (1190, 1)),
        ("DE", 1001, (550, 2), (1330, 1)),
        ("FR", 2500, (1110, 4), (2510, 2)),
        ("GB", 10_000, (2730, 6), (6210, 2)),
    ],
)
async def test_rates_follow_from_country_and_weight(
    shipping: httpx.AsyncClient,
    country: str,
    weight_g: int,
    standard: tuple[int, int],
    express: tuple[int, int],
) -> None:
    body = {"country": country, "postal_code": "10115", "weight_g": weight_g}

    rates = (await shipping.post("/v1/rates", json=body)).json()["rates"]

    assert [rate["service"] for rate in rates] == ["standard", "express"]
    assert {rate["currency"] for rate in rates} == {"EUR"}
    assert [(rate["amount"], rate["days"]) for rate in rates] == [standard, express]


async def test_a_parcel_is_booked_with_a_tracking_number(shipping: httpx.AsyncClient) -> None:
    body = booking()

    answer = await book(shipping, body)

    shipment = answer.json()
    assert answer.status_code == 201
    assert shipment["id"].startswith("shp_")
    assert shipment["reference"] == body["reference"]
    assert (shipment["service"], shipment["status"]) == ("standard", "booked")
    assert len(shipment["tracking_number"]) == 13
    assert (await shipping.get(f"/v1/shipments/{shipment['id']}")).json() == shipment


def test_tracking_numbers_carry_the_check_digit_of_the_postal_union() -> None:
    assert tracking_number(47312482) == "CX473124829DE"  # S10's own worked example


async def test_repeating_a_key_books_nothing_more(shipping: httpx.AsyncClient) -> None:
    body, key = booking(), str(uuid.uuid4())

    first, second = await book(shipping, body, key), await book(shipping, body, key)
    other = await book(shipping, body | {"weight_g": 1201}, key)

    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert error(other) == (409, "idempotency_key_reused")
    assert await ledger(shipping, body["reference"]) == ["book"]


async def test_cancelling_twice_cancels_once(shipping: httpx.AsyncClient) -> None:
    body = booking()
    shipment = (await book(shipping, body)).json()
    url = f"/v1/shipments/{shipment['id']}/cancel"

    first, second = await shipping.post(url), await shipping.post(url)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json() == shipment | {"status": "cancelled"}
    assert await ledger(shipping, body["reference"]) == ["book", "cancel"]


async def test_parcels_are_found_by_reference(shipping: httpx.AsyncClient) -> None:
    body = booking()
    first, second = await book(shipping, body), await book(shipping, body)

    found = await shipping.get("/v1/shipments", params={"reference": body["reference"]})

    assert found.json() == {"shipments": [first.json(), second.json()]}
    assert error(await shipping.get("/v1/shipments")) == (400, "invalid_request")


@pytest.mark.parametrize(
    "changes", [{"country": "US"}, {"country": "CH"}, {"postal_code": "00042"}]
)
async def test_an_address_that_is_not_served_is_refused(
    shipping: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    address = ADDRESS | changes
    body = booking(address=address)
    place = {"country": address["country"], "postal_code": address["postal_code"]}

    assert error(await book(shipping, body)) == (422, "address_not_served")
    rates = await shipping.post("/v1/rates", json=place | {"weight_g": 1})
    assert error(rates) == (422, "address_not_served")
    assert await ledger(shipping, body["reference"]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"service": "teleport"},
        {"weight_g": -1},
        {"weight_g": "1"},
        {"reference": ""},
        {"address": {"country": "FR"}},
        {"address": ADDRESS | {"country": "France"}},
        {"address": ADDRESS | {"floor": 3}},
        {"insured": True},
    ],
)
async def test_a_wrong_booking_is_refused(
    shipping: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    body = booking(**changes)

    assert error(await book(shipping, body)) == (400, "invalid_request")
    assert await ledger(shipping, body["reference"]) == []


async def test_nobody_ships_without_the_key(shipping: httpx.AsyncClient) -> None:
    for headers in ({"X-Api-Key": ""}, {"X-Api-Key": "a-test-keY"}):
        answer = await shipping.get("/v1/shipments?reference=x", headers=headers)
        assert error(answer) == (401, "api_key_invalid")


async def test_a_booking_needs_an_idempotency_key(shipping: httpx.AsyncClient) -> None:
    answer = await shipping.post("/v1/shipments", json=booking())

    assert error(answer) == (400, "idempotency_key_required")


async def test_a_parcel_that_does_not_exist_is_not_found(shipping: httpx.AsyncClient) -> None:
    assert error(await shipping.get("/v1/shipments/shp_0")) == (404, "not_found")
    assert error(await shipping.post("/v1/shipments/shp_0/cancel")) == (404, "not_found")


async def test_faults_reach_bookings_and_cancellations(shipping: httpx.AsyncClient) -> None:
    body, key = booking(), str(uuid.uuid4())
    match = {"reference": body["reference"]}
    lost = {"operation": "book", "kind": "timeout_after_effect", "match": match}
    down = {"operation": "cancel", "kind": "status", "match": match}
    for order in (lost, down):
        assert (await shipping.post("/control/faults", json=order)).status_code == 201

    with pytest.raises(httpx.ReadTimeout):
        await shipping.post(
            "/v1/shipments", json=body, headers={"Idempotency-Key": key}, timeout=0.3
        )
    shipment = (await book(shipping, body, key)).json()
    url = f"/v1/shipments/{shipment['id']}/cancel"
    statuses = [(await shipping.post(url)).status_code for _ in range(2)]

    assert statuses == [503, 200]
    assert await ledger(shipping, body["reference"]) == ["book", "cancel"]


def test_a_killed_provider_remembers_its_parcels(tmp_path: Path) -> None:
    headers = {"X-Api-Key": "local-shipping-key", "Idempotency-Key": "the-key"}
    body = booking()
    with running("localcloud.partners.shipping", tmp_path) as part:
        first = httpx.post(f"{part.url}/v1/shipments", json=body, headers=headers)
        part.kill()
    with running("localcloud.partners.shipping", tmp_path) as part:
        found = httpx.get(f"{part.url}/v1/shipments/{first.json()['id']}", headers=headers)
        again = httpx.post(f"{part.url}/v1/shipments", json=body, headers=headers)
        assert httpx.get(f"{part.url}/health").json() == {"status": "ok"}
        assert part.stop() == 0

    assert first.status_code == 201
    assert found.json() == again.json() == first.json()


def test_two_keys_are_in_force_while_one_is_replaced(tmp_path: Path) -> None:
    def rates(port: int, key: str) -> int:
        return httpx.post(
            f"http://127.0.0.1:{port}/v1/rates",
            json={"country": "FR", "postal_code": "69003", "weight_g": 1},
            headers={"X-Api-Key": key},
        ).status_code

    with running("localcloud.partners.shipping", tmp_path, "--api-key", "first-key") as part:
        keys = f"{part.url}/control/keys"
        assert httpx.put(keys, json={"keys": ["first-key", "second-key"]}).status_code == 204
        assert [rates(part.port, key) for key in ("first-key", "second-key")] == [200, 200]
        assert httpx.put(keys, json={"keys": ["second-key"]}).status_code == 204
        assert [rates(part.port, key) for key in ("first-key", "second-key")] == [401, 200]
        for wrong in ([], ["a", "b"], ["x" * 8, "y" * 8, "z" * 8]):
            assert httpx.put(keys, json={"keys": wrong}).status_code == 400
    with running("localcloud.partners.shipping", tmp_path, "--api-key", "first-key") as part:
        assert [rates(part.port, key) for key in ("first-key", "second-key")] == [401, 200]
