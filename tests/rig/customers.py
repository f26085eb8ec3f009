"""Customers whom nobody has seen before, and what they are told."""

import uuid
from typing import Any

import httpx

from demo.shop import Person
from tests.rig.platform import Platform, eventually


async def stranger(platform: Platform, *, email: str | None = None, **profile: Any) -> Person:
    """A new client, registered; by default with an address that nobody else has."""
    oid = str(uuid.uuid4())
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{platform.shop.identity}/control/tokens",
            json={"person": "alice", "claims": {"oid": oid, "name": "Sam Stranger"}},
        )
    person = Person("sam", oid, answer.raise_for_status().json()["access_token"])
    registered = await platform.shop.call(
        "POST",
        "/customers",
        person,
        json={"name": "Sam Stranger", "email": email or f"{oid}@clients.example"} | profile,
    )
    assert registered.status_code == 201, registered.text
    return person


async def notifications(platform: Platform, person: Person) -> list[dict[str, Any]]:
    """What the person was told, oldest first."""
    answer = await platform.shop.call("GET", "/notifications", person, params={"limit": "100"})
    assert answer.status_code == 200, answer.text
    return list(reversed(answer.json()["items"]))


async def told(
    platform: Platform, person: Person, order_id: str, *expected: str, within_s: float = 30
) -> None:
    """Returns once exactly the `expected` types were told about the order, in this order."""

    async def types() -> list[str]:
        every = await notifications(platform, person)
        return [one["type"] for one in every if one["order_id"] == order_id]

    async def complete() -> bool:
        return set(expected) <= set(await types())

    await eventually(complete, f"told {expected}", within_s=within_s)
    found = await types()
    assert found == list(expected), found


async def deliveries(platform: Platform, order_id: str, channel: str) -> dict[str, tuple[str, str]]:
    """Type → status and reason of what was to go out about the order on a channel."""
    rows = await platform.rows(
        "SELECT n.type, d.status, coalesce(d.reason, '') AS reason"
        " FROM notifications.deliveries AS d"
        " JOIN notifications.notifications AS n ON n.id = d.notification_id"
        " WHERE n.order_id = %s AND d.channel = %s",
        order_id,
        channel,
    )
    return {row["type"]: (row["status"], row["reason"]) for row in rows}
