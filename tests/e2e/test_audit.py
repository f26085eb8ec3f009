"""What happened, and who looked at whose data, is on record and can be proved."""

import uuid
from typing import Any

from tests.rig.customers import stranger
from tests.rig.platform import Platform, eventually

LIFE = {
    *("order.placed.v1", "order.confirmed.v1"),
    *("payment.authorised.v1", "payment.captured.v1"),
    "notification.sent.v1",
}


async def logged(platform: Platform, **filters: str) -> list[dict[str, Any]]:
    """The audit entries that an administrator finds."""
    answer = await platform.shop.call("GET", "/audit/logs", platform.ada, params=filters)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_every_event_of_an_order_is_on_record_once(platform: Platform) -> None:
    person = await stranger(platform)
    order = await platform.shop.place(person, {platform.product(): 1})
    await platform.shop.settled(person, order["id"])

    async def complete() -> bool:
        return {entry["action"] for entry in await logged(platform, order=order["id"])} >= LIFE

    await eventually(complete, "every event on record")
    actions = [entry["action"] for entry in await logged(platform, order=order["id"])]
    assert sorted(actions) == sorted(LIFE)


async def test_an_employee_who_looks_at_a_customer_is_on_record_with_the_reason(
    platform: Platform,
) -> None:
    person = await stranger(platform)
    read = await platform.shop.call(
        "GET",
        f"/customers/{person.id}",
        platform.carla,
        headers={"X-Access-Reason": "the customer has called"},
    )
    assert read.status_code == 200

    trail = await platform.shop.call("GET", f"/audit/gdpr/{person.id}", platform.ada)
    assert trail.status_code == 200, trail.text
    (look,) = [entry for entry in trail.json()["items"] if entry["actor_id"] == platform.carla.id]
    assert look["details"]["reason"] == "the customer has called"
    assert "email" in look["fields"]


async def test_an_audit_query_over_more_than_a_year_is_refused(platform: Platform) -> None:
    answer = await platform.shop.call(
        "GET",
        "/audit/logs",
        platform.ada,
        params={"from": "2024-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "audit-range-too-long")


async def test_the_trail_is_verified_and_closed_to_everybody_else(platform: Platform) -> None:
    verified = await platform.shop.call("GET", "/audit/verify", platform.ada)
    assert verified.status_code == 200, verified.text
    assert (verified.json()["ok"], verified.json()["findings"]) == (True, [])

    for person in (platform.alice, platform.oscar):
        for path in ("/audit/logs", "/audit/verify", f"/audit/gdpr/{uuid.uuid4()}"):
            answer = await platform.shop.call("GET", path, person)
            assert answer.status_code == 403, (person.name, path)


async def test_the_application_cannot_change_what_is_on_record(platform: Platform) -> None:
    database = platform.cloud.environment["PG_URL"]
    assert database.startswith("postgresql://platform_app:")
    rights = await platform.row(
        "SELECT has_table_privilege('platform_app', 'audit.audit_logs', 'UPDATE') AS changes,"
        " has_table_privilege('platform_app', 'audit.audit_logs', 'DELETE') AS deletes,"
        " has_table_privilege('platform_app', 'audit.audit_logs', 'TRUNCATE') AS empties,"
        " has_table_privilege('platform_app', 'audit.audit_logs', 'INSERT') AS adds"
    )
    assert rights == {"changes": False, "deletes": False, "empties": False, "adds": True}
