"""Employees look for customers through the host."""

from tests.rig.platform import Platform


async def test_employees_list_and_find_customers(platform: Platform) -> None:
    listed = await platform.shop.call("GET", "/customers", platform.carla, params={"limit": "100"})
    found = await platform.shop.call(
        "POST", "/customers/search", platform.oscar, json={"name": "brunno"}
    )
    segments = await platform.shop.call("GET", "/customers/segments", platform.ada)

    ids = {customer["id"] for customer in listed.json()["items"]}
    assert {platform.alice.id, platform.bruno.id, platform.chloe.id} <= ids
    assert [customer["email"] for customer in found.json()["items"]] == ["b***@c***.example"]
    assert [segment["code"] for segment in segments.json()["items"]] == [
        "standard",
        "business",
        "vip",
    ]


async def test_clients_look_for_nobody(platform: Platform) -> None:
    listed = await platform.shop.call("GET", "/customers", platform.alice)
    found = await platform.shop.call(
        "POST", "/customers/search", platform.alice, json={"name": "Bruno"}
    )

    assert (listed.status_code, found.status_code) == (403, 403)
