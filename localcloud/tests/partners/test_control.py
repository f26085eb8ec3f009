"""Faults, barriers and the ledger, seen through the payment gateway."""

import asyncio
import time
import uuid
from typing import Any

import httpx
import pytest

from localcloud.tests.partners.part import Part


def order(**changes: Any) -> dict[str, Any]:
    return {
        "reference": str(uuid.uuid4()),
        "amount": 100,
        "currency": "EUR",
        "payment_method": "tok_success",
    } | changes


async def authorize(
    http: httpx.AsyncClient, body: dict[str, Any], key: str = "", timeout_s: float = 10
) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return await http.post("/v1/payments", json=body, headers=headers, timeout=timeout_s)


async def ordered(http: httpx.AsyncClient, what: str, **wishes: Any) -> str:
    answer = await http.post(f"/control/{what}", json={"operation": "authorize"} | wishes)
    assert answer.status_code == 201, answer.text
    name: str = answer.json()["id"]
    return name


async def effects(http: httpx.AsyncClient, body: dict[str, Any]) -> int:
    answer = await http.get("/control/ledger", params={"reference": body["reference"]})
    return len(answer.json()["entries"])


async def effects_appear(http: httpx.AsyncClient, body: dict[str, Any], wanted: int) -> bool:
    """Whether the ledger comes to hold that many effects, within five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if await effects(http, body) == wanted:
            return True
        await asyncio.sleep(0.02)
    return False


async def reached(
    http: httpx.AsyncClient, barrier: str, *, wait_s: float = 5, count: int = 1
) -> tuple[bool, int]:
    query = {"wait_s": wait_s, "count": count}
    answer = await http.get(f"/control/barriers/{barrier}", params=query)
    return answer.json()["reached"], answer.json()["reached_count"]


async def test_a_status_fault_comes_before_the_effect_and_counts_down(
    gateway: httpx.AsyncClient,
) -> None:
    body = order()
    await ordered(gateway, "faults", kind="status", status=502, times=2)

    answers = [await authorize(gateway, body) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [502, 502, 201]
    assert answers[0].json()["error"]["code"] == "ordered_fault"
    assert await effects(gateway, body) == 1


async def test_a_fault_without_end_lasts_until_reset(gateway: httpx.AsyncClient) -> None:
    body = order()
    await ordered(gateway, "faults", kind="status", times=None)

    before = [(await authorize(gateway, body)).status_code for _ in range(3)]
    await gateway.post("/control/reset")

    assert before == [503, 503, 503]
    assert (await authorize(gateway, body)).status_code == 201


async def test_a_fault_strikes_only_what_it_matches(gateway: httpx.AsyncClient) -> None:
    struck, spared = order(), order()
    match = {"reference": struck["reference"], "amount": 100}
    await ordered(gateway, "faults", kind="status", match=match)

    assert (await authorize(gateway, spared)).status_code == 201
    assert (await authorize(gateway, struck | {"amount": 101})).status_code == 201
    assert (await authorize(gateway, struck)).status_code == 503


async def test_a_fault_reaches_later_steps_of_a_payment_by_its_reference(
    gateway: httpx.AsyncClient,
) -> None:
    body = order()
    payment = (await authorize(gateway, body)).json()
    match = {"reference": body["reference"]}
    await ordered(gateway, "faults", operation="void", kind="status", match=match)
    url, headers = f"/v1/payments/{payment['id']}/void", {"Idempotency-Key": str(uuid.uuid4())}

    statuses = [(await gateway.post(url, headers=headers)).status_code for _ in range(2)]

    assert statuses == [503, 200]


async def test_latency_delays_the_answer_and_nothing_else(gateway: httpx.AsyncClient) -> None:
    await ordered(gateway, "faults", kind="latency", delay_s=0.3)

    started = time.monotonic()
    answer = await authorize(gateway, order())

    assert answer.status_code == 201
    assert time.monotonic() - started >= 0.3


async def test_a_dropped_connection_had_no_effect(gateway: httpx.AsyncClient) -> None:
    body = order()
    await ordered(gateway, "faults", kind="drop")

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await authorize(gateway, body)

    assert await effects(gateway, body) == 0
    assert (await authorize(gateway, body)).status_code == 201


async def test_a_timeout_after_the_effect_leaves_the_effect(gateway: httpx.AsyncClient) -> None:
    body, key = order(), str(uuid.uuid4())
    await ordered(gateway, "faults", kind="timeout_after_effect")

    with pytest.raises(httpx.ReadTimeout):
        await authorize(gateway, body, key, timeout_s=0.3)
    answer = await authorize(gateway, body, key)

    assert answer.status_code == 201
    assert await effects(gateway, body) == 1


async def test_a_request_waits_before_its_effect_until_released(
    gateway: httpx.AsyncClient,
) -> None:
    body, other = order(), order()
    match = {"reference": body["reference"]}
    barrier = await ordered(gateway, "barriers", when="before_effect", match=match)
    assert await reached(gateway, barrier, wait_s=0) == (False, 0)

    held = asyncio.create_task(authorize(gateway, body))
    assert await reached(gateway, barrier) == (True, 1)
    assert (await authorize(gateway, other)).status_code == 201
    assert await effects(gateway, body) == 0
    assert not held.done()
    released = await gateway.delete(f"/control/barriers/{barrier}")

    assert released.json() == {"released": 1}
    assert (await held).status_code == 201
    assert await effects(gateway, body) == 1


async def test_a_request_waits_after_its_effect_with_the_effect_in_place(
    gateway: httpx.AsyncClient,
) -> None:
    body = order()
    barrier = await ordered(gateway, "barriers", when="after_effect")

    held = asyncio.create_task(authorize(gateway, body))
    assert await reached(gateway, barrier) == (True, 1)
    assert await effects(gateway, body) == 1
    assert not held.done()
    await gateway.delete(f"/control/barriers/{barrier}")

    assert (await held).status_code == 201


async def test_a_held_request_takes_effect_although_its_client_has_died(
    gateway: httpx.AsyncClient, payment_part: Part
) -> None:
    body, key = order(), str(uuid.uuid4())
    barrier = await ordered(gateway, "barriers", when="before_effect")
    headers = dict(gateway.headers)
    async with httpx.AsyncClient(base_url=payment_part.url, headers=headers) as doomed:
        abandoned = asyncio.create_task(authorize(doomed, body, key))
        assert await reached(gateway, barrier) == (True, 1)
        abandoned.cancel()
        with pytest.raises(asyncio.CancelledError):
            await abandoned
    retried = asyncio.create_task(authorize(gateway, body, key))
    assert await reached(gateway, barrier, count=2) == (True, 2)
    assert await effects(gateway, body) == 0

    await gateway.delete(f"/control/barriers/{barrier}")

    assert (await retried).status_code == 201
    assert await effects_appear(gateway, body, 1)
    found = await gateway.get("/v1/payments", params={"reference": body["reference"]})
    assert found.json() == {"payments": [(await retried).json()]}


async def test_an_abandoned_request_takes_effect_even_without_a_retry(
    gateway: httpx.AsyncClient, payment_part: Part
) -> None:
    body = order()
    barrier = await ordered(gateway, "barriers", when="before_effect")
    async with httpx.AsyncClient(base_url=payment_part.url, headers=gateway.headers) as doomed:
        with pytest.raises(httpx.ReadTimeout):
            await authorize(doomed, body, timeout_s=0.3)
    assert await effects(gateway, body) == 0

    await gateway.post("/control/reset")

    assert await effects_appear(gateway, body, 1)
    assert (await gateway.get(f"/control/barriers/{barrier}")).status_code == 404


async def test_an_order_that_can_never_apply_is_refused(gateway: httpx.AsyncClient) -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("faults", {"operation": "teleport", "kind": "drop"}, "unknown_operation"),
        ("faults", {"operation": "get", "kind": "drop", "match": {"amount": 1}}, "unknown_match"),
        ("faults", {"operation": "get", "kind": "latency"}, "invalid_request"),
        ("faults", {"operation": "get", "kind": "status", "status": 200}, "invalid_request"),
        ("faults", {"operation": "get", "kind": "drop", "tmies": 2}, "invalid_request"),
        ("barriers", {"operation": "get", "when": "during"}, "invalid_request"),
    ]
    for what, body, code in wrong:
        answer = await gateway.post(f"/control/{what}", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


async def test_the_ledger_can_be_read_from_where_one_stopped(gateway: httpx.AsyncClient) -> None:
    await authorize(gateway, order())
    last = (await gateway.get("/control/ledger")).json()["entries"][-1]
    body = order()
    await authorize(gateway, body, "a-key-to-see")

    newer = (await gateway.get("/control/ledger", params={"after": last["seq"]})).json()["entries"]

    assert len(newer) == 1
    assert newer[0].pop("at").endswith("Z")
    assert newer[0].pop("payment_id").startswith("pay_")
    assert newer[0] == {
        "seq": last["seq"] + 1,
        "operation": "authorize",
        "reference": body["reference"],
        "amount": 100,
        "currency": "EUR",
        "status": "authorized",
        "payment_method": "tok_success",
        "idempotency_key": "a-key-to-see",
    }


async def test_a_test_sees_payments_past_every_fault(gateway: httpx.AsyncClient) -> None:
    body = order()
    payment = (await authorize(gateway, body)).json()
    await ordered(gateway, "faults", operation="get", kind="drop", times=None)

    query = {"reference": body["reference"]}
    found = await gateway.get("/control/payments", params=query, headers={"Authorization": ""})

    assert found.json() == {"payments": [payment]}
