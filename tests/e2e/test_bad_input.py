"""Bad requests: each is refused with its own problem code, and no table changes."""

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from demo.shop import ADDRESS
from tests.rig.platform import Platform
from tests.rig.postgres import contents

type Attempt = Callable[[Platform, dict[str, Any]], Awaitable[httpx.Response]]


def order_body(platform: Platform, **changes: Any) -> dict[str, Any]:
    """A good order, but for `changes`."""
    return {
        "lines": [{"product_id": platform.product(), "quantity": 1}],
        "shipping_address": dict(ADDRESS),
        "shipping_service": "standard",
        "payment_method": "tok_success",
    } | changes


def order_with(**changes: Any) -> Attempt:
    async def attempt(platform: Platform, _: dict[str, Any]) -> httpx.Response:
        body = order_body(platform, **changes)
        return await platform.shop.call(
            "POST", "/orders", platform.alice, json=body, key=str(uuid.uuid4())
        )

    return attempt


def quantity(value: Any) -> Attempt:
    async def attempt(platform: Platform, _: dict[str, Any]) -> httpx.Response:
        lines = [{"product_id": platform.product(), "quantity": value}]
        return await order_with(lines=lines)(platform, {})

    return attempt


def raw(content: bytes, **headers: str) -> Attempt:
    async def attempt(platform: Platform, _: dict[str, Any]) -> httpx.Response:
        return await platform.shop.call(
            "POST",
            "/orders",
            platform.alice,
            content=content,
            key=str(uuid.uuid4()),
            headers={"Content-Type": "application/json"} | headers,
        )

    return attempt


def with_token(**mint: Any) -> Attempt:
    """An order with a token that the directory would never have issued like this."""

    async def attempt(platform: Platform, _: dict[str, Any]) -> httpx.Response:
        answer = await platform.shop._http.post(
            f"{platform.shop.identity}/control/tokens", json={"person": "alice", **mint}
        )
        assert answer.is_success, answer.text
        return await platform.shop.call(
            "POST",
            "/orders",
            json=order_body(platform),
            key=str(uuid.uuid4()),
            headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
        )

    return attempt


async def without_token(platform: Platform, _: dict[str, Any]) -> httpx.Response:
    return await platform.shop.call(
        "POST", "/orders", json=order_body(platform), key=str(uuid.uuid4())
    )


async def without_key(platform: Platform, _: dict[str, Any]) -> httpx.Response:
    return await platform.shop.call("POST", "/orders", platform.alice, json=order_body(platform))


async def inactive_customer(platform: Platform, _: dict[str, Any]) -> httpx.Response:
    return await platform.shop.call(
        "POST", "/orders", platform.chloe, json=order_body(platform), key=str(uuid.uuid4())
    )


async def reused_key(platform: Platform, order: dict[str, Any]) -> httpx.Response:
    return await platform.shop.try_place(platform.alice, {platform.product(): 7}, key=order["_key"])


async def someone_elses_order(platform: Platform, order: dict[str, Any]) -> httpx.Response:
    return await platform.shop.call("GET", f"/orders/{order['id']}", platform.bruno)


async def cancel_someone_elses_order(platform: Platform, order: dict[str, Any]) -> httpx.Response:
    return await platform.shop.call(
        "DELETE", f"/orders/{order['id']}", platform.bruno, params={"reason": "changed_mind"}
    )


def move(status: str, etag: str | None) -> Attempt:
    async def attempt(platform: Platform, order: dict[str, Any]) -> httpx.Response:
        current = await platform.shop.call("GET", f"/orders/{order['id']}", platform.oscar)
        return await platform.shop.call(
            "PUT",
            f"/orders/{order['id']}/status",
            platform.oscar,
            json={"status": status},
            if_match=current.headers["ETag"] if etag == "current" else etag,
        )

    return attempt


async def move_as_client(platform: Platform, order: dict[str, Any]) -> httpx.Response:
    return await platform.shop.call(
        "PUT",
        f"/orders/{order['id']}/status",
        platform.alice,
        json={"status": "shipped"},
        if_match='"1"',
    )


BAD: dict[str, tuple[Attempt, int, str]] = {
    "an unknown product": (
        order_with(lines=[{"product_id": str(uuid.uuid4()), "quantity": 1}]),
        409,
        "unknown-product",
    ),
    "an inactive customer": (inactive_customer, 409, "customer-inactive"),
    "quantity 0": (quantity(0), 400, "invalid-request"),
    "quantity 10^9": (quantity(10**9), 400, "invalid-request"),
    "a wrong type": (quantity("three"), 400, "invalid-request"),
    "no lines": (order_with(lines=[]), 400, "invalid-request"),
    "an unknown field": (order_with(discount=100), 400, "invalid-request"),
    "a card number": (order_with(payment_method="4111111111111111"), 400, "card-number-refused"),
    "a 1 MB body": (raw(b'{"lines": "' + b"x" * 1_000_000 + b'"}'), 413, "body-too-large"),
    "broken JSON": (raw(b'{"lines": ['), 400, "malformed-json"),
    "another content type": (
        raw(b"lines=1", **{"Content-Type": "application/x-www-form-urlencoded"}),
        415,
        "unsupported-media-type",
    ),
    "no idempotency key": (without_key, 400, "idempotency-key-required"),
    "a reused idempotency key": (reused_key, 422, "idempotency-key-reused"),
    "no token": (without_token, 401, "token-missing"),
    "an expired token": (with_token(expires_in=-600), 401, "token-expired"),
    "a forged token": (with_token(forged=True), 401, "token-invalid"),
    "a token for somebody else's API": (
        with_token(claims={"aud": "99999999-9999-4999-8999-999999999999"}),
        401,
        "token-invalid",
    ),
    "a token without the scope": (with_token(claims={"scp": "products.read"}), 403, "forbidden"),
    "someone else's order": (someone_elses_order, 404, "not-found"),
    "cancelling someone else's order": (cancel_someone_elses_order, 404, "not-found"),
    "a stale ETag": (move("shipped", '"1"'), 412, "etag-mismatch"),
    "no ETag": (move("shipped", None), 428, "etag-required"),
    "an illegal move": (move("delivered", "current"), 409, "illegal-status-move"),
    "a client moving an order": (move_as_client, 403, "forbidden"),
}


@pytest.fixture(scope="module")
async def order(running_platform: Platform) -> dict[str, Any]:
    """Alice's confirmed order, with the key it was placed under."""
    platform = running_platform
    key = str(uuid.uuid4())
    placed = await platform.shop.place(platform.alice, {platform.product(): 1}, key=key)
    settled = await platform.shop.settled(platform.alice, placed["id"])
    assert settled["status"] == "confirmed"
    await platform.db.execute(
        "UPDATE customers.customers SET status = 'inactive' WHERE id = %s", (platform.chloe.id,)
    )
    return settled | {"_key": key}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_request_is_refused_and_changes_nothing(
    what: str, platform: Platform, order: dict[str, Any]
) -> None:
    attempt, status, code = BAD[what]
    await platform.quiet()
    before = await contents(platform.db)

    answer = await attempt(platform, order)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["correlation_id"] == answer.headers["X-Correlation-Id"]
    assert await contents(platform.db) == before


async def test_an_illegal_move_names_the_legal_ones(
    platform: Platform, order: dict[str, Any]
) -> None:
    answer = await move("delivered", "current")(platform, order)

    assert answer.json()["allowed"] == ["shipped"]


async def test_a_problem_never_repeats_what_was_sent(platform: Platform) -> None:
    secret = "4111111111111111"
    answer = await order_with(payment_method=secret)(platform, {})

    assert secret not in json.dumps(answer.json())


async def test_an_unknown_path_is_answered_as_a_problem(platform: Platform) -> None:
    answer = await platform.shop.call("GET", "/nowhere", platform.alice)

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_known_path_names_the_methods_it_has(platform: Platform) -> None:
    answer = await platform.shop.call("PATCH", "/orders", platform.alice, json={})

    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, POST"
