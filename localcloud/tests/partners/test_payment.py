"""The payment gateway over HTTP: its states, its keys, its refusals, and what a kill leaves."""

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.tests.partners.part import Part, running


def order(**changes: Any) -> dict[str, Any]:
    """An order to authorise €25.90 that nobody else refers to."""
    return {
        "reference": str(uuid.uuid4()),
        "amount": 2590,
        "currency": "EUR",
        "payment_method": "tok_success",
    } | changes


async def post(
    http: httpx.AsyncClient, path: str, body: Any = None, key: str | None = None
) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return await http.post(path, json={} if body is None else body, headers=headers)


async def authorized(http: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await post(http, "/v1/payments", order(**changes))
    assert answer.status_code == 201
    payment: dict[str, Any] = answer.json()
    return payment


async def ledger(http: httpx.AsyncClient, reference: str) -> list[tuple[str, str, int]]:
    """Operation, status and amount of everything that took effect for that reference."""
    answer = await http.get("/control/ledger", params={"reference": reference})
    return [
        (entry["operation"], entry["status"], entry["amount"]) for entry in answer.json()["entries"]
    ]


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_accepted_card_authorises_and_shows_everything(
    gateway: httpx.AsyncClient,
) -> None:
    body = order()

    answer = await post(gateway, "/v1/payments", body)

    payment = answer.json()
    assert answer.status_code == 201
    assert payment.pop("id").startswith("pay_")
    assert payment == {
        "reference": body["reference"],
        "status": "authorized",
        "amount": 2590,
        "currency": "EUR",
        "captured_amount": 0,
        "refunded_amount": 0,
    }


@pytest.mark.parametrize(
    ("method", "code"),
    [("tok_declined", "card_declined"), ("tok_insufficient_funds", "insufficient_funds")],
)
async def test_a_decline_is_an_answer_and_not_an_error(
    gateway: httpx.AsyncClient, method: str, code: str
) -> None:
    payment = await authorized(gateway, payment_method=method)

    assert (payment["status"], payment["decline_code"]) == ("declined", code)
    assert await ledger(gateway, payment["reference"]) == [("authorize", "declined", 2590)]
    capture = await post(gateway, f"/v1/payments/{payment['id']}/capture", {"amount": 2590})
    assert error(capture) == (409, "illegal_state")
    assert capture.json()["error"]["status"] == "declined"


async def test_money_is_captured_once_and_refunded_up_to_what_was_captured(
    gateway: httpx.AsyncClient,
) -> None:
    payment = await authorized(gateway)
    url = f"/v1/payments/{payment['id']}"

    too_much = await post(gateway, f"{url}/capture", {"amount": 2591})
    captured = await post(gateway, f"{url}/capture", {"amount": 2500})
    again = await post(gateway, f"{url}/capture", {"amount": 90})
    voided = await post(gateway, f"{url}/void")
    first = await post(gateway, f"{url}/refunds", {"amount": 2000, "reason": "one arrived broken"})
    over = await post(gateway, f"{url}/refunds", {"amount": 501})
    rest = await post(gateway, f"{url}/refunds", {"amount": 500})

    assert error(too_much) == (409, "amount_exceeds_authorized")
    assert (captured.status_code, captured.json()["status"]) == (200, "captured")
    assert error(again) == (409, "illegal_state")
    assert error(voided) == (409, "illegal_state")
    assert first.status_code == 201
    assert first.json()["id"].startswith("ref_")
    assert first.json()["payment_id"] == payment["id"]
    assert (first.json()["amount"], first.json()["status"]) == (2000, "succeeded")
    assert error(over) == (409, "amount_exceeds_captured")
    assert over.json()["error"]["available"] == 500
    assert rest.status_code == 201
    now = (await gateway.get(url)).json()
    assert (now["captured_amount"], now["refunded_amount"]) == (2500, 2500)
    assert await ledger(gateway, payment["reference"]) == [
        ("authorize", "authorized", 2590),
        ("capture", "captured", 2500),
        ("refund", "captured", 2000),
        ("refund", "captured", 500),
    ]


async def test_a_void_lets_the_amount_go_and_ends_the_payment(gateway: httpx.AsyncClient) -> None:
    payment = await authorized(gateway)
    url = f"/v1/payments/{payment['id']}"

    headers = {"Idempotency-Key": str(uuid.uuid4())}
    voided = await gateway.post(f"{url}/void", headers=headers)

    assert (voided.status_code, voided.json()["status"]) == (200, "voided")
    assert error(await post(gateway, f"{url}/void")) == (409, "illegal_state")
    assert error(await post(gateway, f"{url}/capture", {"amount": 1})) == (409, "illegal_state")
    assert error(await post(gateway, f"{url}/refunds", {"amount": 1})) == (409, "illegal_state")
    assert await ledger(gateway, payment["reference"]) == [
        ("authorize", "authorized", 2590),
        ("void", "voided", 2590),
    ]


async def test_the_right_code_confirms_a_payment(gateway: httpx.AsyncClient) -> None:
    payment = await authorized(gateway, payment_method="tok_confirmation_required")
    url = f"/v1/payments/{payment['id']}"

    early = await post(gateway, f"{url}/capture", {"amount": 2590})
    confirmed = await post(gateway, f"{url}/confirm", {"code": "123456"})
    again = await post(gateway, f"{url}/confirm", {"code": "123456"})

    assert payment["status"] == "requires_action"
    assert payment["confirmation"] == {"kind": "one_time_code"}
    assert error(early) == (409, "illegal_state")
    assert (confirmed.status_code, confirmed.json()["status"]) == (200, "authorized")
    assert "confirmation" not in confirmed.json()
    assert error(again) == (409, "illegal_state")


async def test_a_wrong_code_declines_a_payment_for_good(gateway: httpx.AsyncClient) -> None:
    payment = await authorized(gateway, payment_method="tok_confirmation_required")
    url = f"/v1/payments/{payment['id']}"

    declined = await post(gateway, f"{url}/confirm", {"code": "654321"})
    retried = await post(gateway, f"{url}/confirm", {"code": "123456"})

    assert declined.json()["status"] == "declined"
    assert declined.json()["decline_code"] == "confirmation_failed"
    assert error(retried) == (409, "illegal_state")


async def test_a_payment_that_waits_for_confirmation_can_be_voided(
    gateway: httpx.AsyncClient,
) -> None:
    payment = await authorized(gateway, payment_method="tok_confirmation_required")

    voided = await post(gateway, f"/v1/payments/{payment['id']}/void")

    assert voided.json()["status"] == "voided"


async def test_repeating_a_key_gives_the_first_answer_and_no_second_effect(
    gateway: httpx.AsyncClient,
) -> None:
    body = order()
    url = ""
    for path, content in (("", body), ("/capture", {"amount": 100}), ("/refunds", {"amount": 7})):
        key = str(uuid.uuid4())
        first = await post(gateway, f"/v1/payments{url}{path}", content, key)
        second = await post(gateway, f"/v1/payments{url}{path}", content, key)
        assert (second.status_code, second.json()) == (first.status_code, first.json())
        assert "idempotent-replayed" not in first.headers
        assert second.headers["idempotent-replayed"] == "true"
        url = url or f"/{first.json()['id']}"

    assert await ledger(gateway, body["reference"]) == [
        ("authorize", "authorized", 2590),
        ("capture", "captured", 100),
        ("refund", "captured", 7),
    ]


async def test_a_kept_answer_does_not_change_with_the_payment(gateway: httpx.AsyncClient) -> None:
    body, key = order(), str(uuid.uuid4())
    first = (await post(gateway, "/v1/payments", body, key)).json()
    await post(gateway, f"/v1/payments/{first['id']}/capture", {"amount": 2590})

    assert (await post(gateway, "/v1/payments", body, key)).json() == first


async def test_a_key_serves_one_request_only(gateway: httpx.AsyncClient) -> None:
    body, key = order(), str(uuid.uuid4())
    payment = (await post(gateway, "/v1/payments", body, key)).json()
    url = f"/v1/payments/{payment['id']}"

    other_amount = await post(gateway, "/v1/payments", body | {"amount": 2591}, key)
    other_operation = await post(gateway, f"{url}/capture", {"amount": 2590}, key)

    assert error(other_amount) == (409, "idempotency_key_reused")
    assert error(other_operation) == (409, "idempotency_key_reused")
    assert await ledger(gateway, body["reference"]) == [("authorize", "authorized", 2590)]


async def test_a_refusal_is_not_kept_under_its_key(gateway: httpx.AsyncClient) -> None:
    payment = await authorized(gateway, payment_method="tok_confirmation_required")
    url, key = f"/v1/payments/{payment['id']}", str(uuid.uuid4())

    early = await post(gateway, f"{url}/capture", {"amount": 2590}, key)
    await post(gateway, f"{url}/confirm", {"code": "123456"})
    later = await post(gateway, f"{url}/capture", {"amount": 2590}, key)

    assert error(early) == (409, "illegal_state")
    assert later.status_code == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 0}, "invalid_request"),
        ({"amount": -1}, "invalid_request"),
        ({"amount": 25.9}, "invalid_request"),
        ({"amount": "2590"}, "invalid_request"),
        ({"amount": 10**13}, "invalid_request"),
        ({"currency": "eur"}, "invalid_request"),
        ({"reference": ""}, "invalid_request"),
        ({"card_number": "4111111111111111"}, "invalid_request"),
        ({"payment_method": "tok_unheard_of"}, "invalid_payment_method"),
    ],
)
async def test_a_wrong_order_is_refused_and_leaves_no_trace(
    gateway: httpx.AsyncClient, changes: dict[str, Any], code: str
) -> None:
    body = order(**changes)

    answer = await post(gateway, "/v1/payments", body)

    assert error(answer) == (400, code)
    everything = (await gateway.get("/control/ledger")).json()["entries"]
    assert body["reference"] not in {entry["reference"] for entry in everything}


async def test_bodies_that_are_not_small_json_are_refused(gateway: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}

    broken = await gateway.post("/v1/payments", content=b"{", headers=headers)
    huge = await gateway.post("/v1/payments", content=b" " * 70_000, headers=headers)
    form = await gateway.post("/v1/payments", data={"a": "b"}, headers={"Idempotency-Key": "k"})

    assert error(broken) == (400, "invalid_request")
    assert error(huge) == (413, "body_too_large")
    assert error(form) == (415, "unsupported_media_type")


@pytest.mark.parametrize("move", ["", "/x/confirm", "/x/capture", "/x/void", "/x/refunds"])
async def test_every_effect_needs_an_idempotency_key(gateway: httpx.AsyncClient, move: str) -> None:
    answer = await gateway.post(f"/v1/payments{move}", json={})

    assert error(answer) == (400, "idempotency_key_required")


async def test_an_unreasonable_key_is_refused(gateway: httpx.AsyncClient) -> None:
    answer = await post(gateway, "/v1/payments", order(), "k" * 256)

    assert error(answer) == (400, "idempotency_key_invalid")


async def test_payments_are_found_by_reference(gateway: httpx.AsyncClient) -> None:
    declined = await authorized(gateway, payment_method="tok_declined")
    accepted = await authorized(gateway, reference=declined["reference"])

    found = await gateway.get("/v1/payments", params={"reference": declined["reference"]})
    nothing = await gateway.get("/v1/payments", params={"reference": "unheard of"})

    assert found.json() == {"payments": [declined, accepted]}
    assert nothing.json() == {"payments": []}
    assert error(await gateway.get("/v1/payments")) == (400, "invalid_request")


async def test_what_does_not_exist_is_not_found(gateway: httpx.AsyncClient) -> None:
    assert error(await gateway.get("/v1/payments/pay_0")) == (404, "not_found")
    assert error(await post(gateway, "/v1/payments/pay_0/void")) == (404, "not_found")
    assert error(await gateway.get("/v2/payments")) == (404, "not_found")
    assert error(await gateway.delete("/v1/payments")) == (405, "method_not_allowed")


async def test_a_lost_answer_is_given_at_once_when_the_key_comes_back(
    gateway: httpx.AsyncClient,
) -> None:
    body, key = order(payment_method="tok_timeout_after_effect"), str(uuid.uuid4())

    with pytest.raises(httpx.ReadTimeout):
        await gateway.post("/v1/payments", json=body, headers={"Idempotency-Key": key}, timeout=0.3)
    answer = await post(gateway, "/v1/payments", body, key)

    assert (answer.status_code, answer.json()["status"]) == (201, "authorized")
    found = await gateway.get("/v1/payments", params={"reference": body["reference"]})
    assert found.json() == {"payments": [answer.json()]}
    assert await ledger(gateway, body["reference"]) == [("authorize", "authorized", 2590)]


def test_a_killed_gateway_remembers_payments_keys_and_ledger(
    tmp_path: Path, identity: Part, token: str
) -> None:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "the-key"}
    body = order()
    options = ("--identity", identity.url)
    with running("localcloud.partners.payment", tmp_path, *options) as part:
        first = httpx.post(f"{part.url}/v1/payments", json=body, headers=headers)
        part.kill()
    with running("localcloud.partners.payment", tmp_path, *options) as part:
        found = httpx.get(f"{part.url}/v1/payments/{first.json()['id']}", headers=headers)
        again = httpx.post(f"{part.url}/v1/payments", json=body, headers=headers)
        entries = httpx.get(f"{part.url}/control/ledger").json()["entries"]
        assert part.stop() == 0

    assert found.json() == first.json()
    assert again.json() == first.json()
    assert [(entry["seq"], entry["idempotency_key"]) for entry in entries] == [(1, "the-key")]
