"""The catalogue through the host: employees change it, clients search it, syncs keep it."""

import uuid
from typing import Any

from tests.rig.books import assert_sold
from tests.rig.platform import Platform, eventually


def mug(sku: str, **changes: Any) -> dict[str, Any]:
    return {
        "sku": sku,
        "name": f"Porcelain mug {sku}",
        "category": "mugs",
        "category_name": "Mugs",
        "net_price": 1_250,
        "currency": "EUR",
        "tax_class": "standard",
        "weight_g": 300,
        "on_hand": 7,
    } | changes


async def made(platform: Platform, **changes: Any) -> dict[str, Any]:
    """A product of our own, and its ETag."""
    sku = f"MUG-{uuid.uuid4().hex[:8].upper()}"
    answer = await platform.shop.call(
        "POST", "/products", platform.oscar, key=sku, json=mug(sku, **changes)
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_product_that_an_employee_makes_is_found_and_sold(platform: Platform) -> None:
    product = await made(platform)

    found = await platform.shop.product_with_sku(platform.alice, product["sku"])
    order = await platform.shop.place(platform.alice, {product["id"]: 2})

    assert found["available"] == 7
    await assert_sold(platform, await platform.shop.settled(platform.alice, order["id"]))


async def test_a_change_is_seen_at_once_and_needs_the_version_that_was_read(
    platform: Platform,
) -> None:
    product = await made(platform)
    path = f"/products/{product['id']}"
    read = await platform.shop.call("GET", path, platform.alice)
    body = mug(product["sku"], net_price=999) | {"on_hand": None}
    del body["sku"]

    changed = await platform.shop.call(
        "PUT", path, platform.oscar, json=body, if_match=read.headers["ETag"]
    )
    stale = await platform.shop.call(
        "PUT", path, platform.oscar, json=body, if_match=read.headers["ETag"]
    )
    seen = await platform.shop.call("GET", path, platform.alice)

    assert (changed.status_code, stale.status_code) == (200, 412)
    assert (seen.json()["net_price"], seen.headers["ETag"]) == (999, changed.headers["ETag"])


async def test_clients_make_no_products(platform: Platform) -> None:
    answer = await platform.shop.call(
        "POST", "/products", platform.alice, key="mine", json=mug("MUG-MINE")
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_lists_are_filtered_sorted_and_counted(platform: Platform) -> None:
    category = f"c{uuid.uuid4().hex[:8]}"
    for price, on_hand in ((300, 1), (100, 1), (200, 0)):
        await made(platform, category=category, net_price=price, on_hand=on_hand)
    params = {"category": category, "in_stock": "true", "sort": "-price", "facets": "true"}

    first = await platform.shop.call(
        "GET", "/products", platform.alice, params=params | {"limit": "1"}
    )
    second = await platform.shop.call(
        "GET",
        "/products",
        platform.alice,
        params=params | {"limit": "1", "cursor": first.json()["next_cursor"]},
    )

    pages = [first.json(), second.json()]
    assert [page["items"][0]["net_price"] for page in pages] == [300, 100]
    assert pages[1]["next_cursor"] is None
    facets = pages[0]["facets"]
    assert (facets["in_stock"], facets["sold_out"]) == (2, 1)


async def test_search_forgives_typing_errors(platform: Platform) -> None:
    product = await made(platform, name="Xylophone of rosewood")

    answer = await platform.shop.call(
        "GET", "/products/search", platform.alice, params={"q": "xylophnoe"}
    )

    assert answer.json()["similar"] is True
    assert answer.json()["items"][0]["id"] == product["id"]


async def test_a_sync_reports_what_differed_and_keeps_what_employees_wrote(
    platform: Platform,
) -> None:
    product = await platform.shop.product_with_sku(platform.oscar, platform.products[0]["sku"])
    path = f"/products/{product['id']}"
    read = await platform.shop.call("GET", path, platform.oscar)
    facts = read.json()
    fields = ("category", "net_price", "currency", "tax_class", "weight_g", "description", "active")
    body = {field: facts[field] for field in fields} | {"name": "As we call it"}
    named = await platform.shop.call(
        "PUT", path, platform.oscar, json=body, if_match=read.headers["ETag"]
    )
    assert (named.status_code, named.json()["pinned"]) == (200, ["name"])
    answer = await platform.erp.http.put(
        f"/control/products/{product['sku']}",
        json={"net_price_minor": facts["net_price"] + 100},
    )
    assert answer.is_success, answer.text

    started = await platform.shop.call("POST", "/products/erp-sync", platform.oscar)
    run = f"/products/erp-sync/{started.json()['id']}"

    async def ended() -> bool:
        found = await platform.shop.call("GET", run, platform.oscar)
        return bool(found.json()["status"] != "running")

    await eventually(ended, "the end of the sync")
    report = (await platform.shop.call("GET", run, platform.oscar)).json()
    ours = {drift["kind"]: drift for drift in report["drifts"] if drift["sku"] == product["sku"]}
    now = (await platform.shop.call("GET", path, platform.oscar)).json()
    assert report["status"] == "succeeded"
    assert ours["pinned"]["fields"] == ["name"]
    assert (ours["price"]["ours"], ours["price"]["erps"]) == (
        facts["net_price"],
        facts["net_price"] + 100,
    )
    assert (now["name"], now["net_price"]) == ("As we call it", facts["net_price"] + 100)
