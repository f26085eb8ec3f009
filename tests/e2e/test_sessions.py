"""Signing out takes effect at once: at the API, on live connections, for every token."""

import uuid
from typing import Any

import httpx

from demo.shop import ADDRESS, Person
from tests.rig.customers import stranger
from tests.rig.platform import Platform, eventually


async def signed_in(platform: Platform, person: Person, **claims: Any) -> Person:
    """The same person, signed in once more; a session of its own unless `sid` is given."""
    answer = await platform.shop._http.post(
        f"{platform.shop.identity}/control/tokens",
        json={"person": "alice", "claims": {"oid": person.id} | claims},
    )
    assert answer.is_success, answer.text
    return Person(person.name, person.id, answer.json()["access_token"])


async def answers(platform: Platform, *people: Person) -> list[tuple[int, str | None]]:
    """What each gets for a request of his own data."""
    found = []
    for person in people:
        answer = await platform.shop.call("GET", "/customers/me", person)
        found.append((answer.status_code, answer.json().get("code")))
    return found


async def test_signing_out_everywhere_ends_every_token_and_every_connection(
    platform: Platform,
) -> None:
    laptop = await stranger(platform)
    phone = await signed_in(platform, laptop)
    bystander = await stranger(platform)
    stream = f"{platform.cloud.url('notifier')}/notifications/stream"
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
        http.stream("GET", stream, headers=phone.headers) as open_,
    ):
        assert open_.status_code == 200
        ended = await platform.shop.call("DELETE", "/sessions", laptop)
        assert (ended.status_code, ended.content) == (204, b"")

        over = (401, "session-ended")
        assert await answers(platform, laptop, phone, bystander) == [over, over, (200, None)]
        told = "".join([text async for text in open_.aiter_text()])
    assert '"reason":"signed_out","reconnect":false' in told
    again = await platform.shop._http.get(stream, headers=phone.headers)
    assert (again.status_code, again.json()["code"]) == over


async def test_a_person_signs_out_of_one_session_from_another(platform: Platform) -> None:
    here, session = await stranger(platform), str(uuid.uuid4())
    phone = await signed_in(platform, here, sid=session)

    async def listed() -> bool:
        await answers(platform, phone)
        answer = await platform.shop.call("GET", "/sessions", here)
        found = answer.json()["items"]
        return (
            len(found) == 2 and {one["id"]: one["current"] for one in found}.get(session) is False
        )

    await eventually(listed, "both sessions listed")
    for _ in range(2):  # the second time changes nothing
        ended = await platform.shop.call("DELETE", f"/sessions/{session}", here)
        assert ended.status_code == 204

    assert await answers(platform, here, phone) == [(200, None), (401, "session-ended")]


async def test_an_order_in_a_customer_s_name_is_on_that_customer_s_record(
    platform: Platform,
) -> None:
    customer = await stranger(platform)
    placed = await platform.shop.call(
        "POST",
        "/orders",
        platform.carla,
        key=str(uuid.uuid4()),
        json={
            "lines": [{"product_id": platform.product(), "quantity": 1}],
            "shipping_address": ADDRESS,
            "shipping_service": "standard",
            "payment_method": "tok_success",
            "customer_id": customer.id,
            "reason": "phoned in, the page did not load",
        },
    )
    assert placed.status_code == 201, placed.text
    trail = await platform.shop.call("GET", f"/audit/gdpr/{customer.id}", platform.ada)
    (entry,) = [one for one in trail.json()["items"] if one["action"] == "order.placed_on_behalf"]
    assert (entry["actor_kind"], entry["actor_id"], entry["order_id"]) == (
        "employee",
        platform.carla.id,
        placed.json()["id"],
    )
    assert entry["details"] == {"reason": "phoned in, the page did not load"}
    await platform.shop.settled(customer, placed.json()["id"])
