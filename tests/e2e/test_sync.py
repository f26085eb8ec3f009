"""The ERP sync while the ERP, or our own host, goes down under it."""

from typing import Any

from tests.rig.platform import Platform, eventually
from tests.rig.postgres import contents

PRODUCTS, PAGES = 1000, 5
CATALOGUE = {
    "products.product_categories",
    "products.products",
    "products.inventory",
    "products.reservations",
}


async def catalogue(platform: Platform) -> dict[str, str]:
    """A digest of every table that the catalogue is made of."""
    return {
        name: digest for name, digest in (await contents(platform.db)).items() if name in CATALOGUE
    }


async def start_sync(platform: Platform) -> str:
    """The id of a run that has just begun."""
    answer = await platform.shop.call("POST", "/products/erp-sync", platform.oscar)
    assert (answer.status_code, answer.json()["status"]) == (202, "running"), answer.text
    return str(answer.json()["id"])


async def ended(platform: Platform, run_id: str) -> dict[str, Any]:
    """The run once it is over. AssertionError if that takes a minute."""
    run: dict[str, Any] = {}

    async def is_over() -> bool:
        answer = await platform.shop.call("GET", f"/products/erp-sync/{run_id}", platform.oscar)
        run.update(answer.json())
        return bool(run["status"] != "running")

    await eventually(is_over, "the end of the sync", within_s=60)
    return run


async def pages_listed(platform: Platform, after: int = 0) -> list[int]:
    """Numbers of the pages that the ERP has listed after that many, in order."""
    ledger = (await platform.erp.http.get("/control/ledger")).json()["entries"]
    listed = [e["page_number"] for e in ledger if e["operation"] == "list_products"]
    return listed[after:]


async def test_an_erp_that_goes_down_fails_the_run_and_leaves_the_catalogue_alone(
    platform: Platform,
) -> None:
    await platform.quiet()
    product = (
        await platform.shop.call("GET", f"/products/{platform.product()}", platform.oscar)
    ).json()
    changed = await platform.erp.http.put(
        f"/control/products/{product['sku']}", json={"description": "Now with a handle."}
    )
    assert changed.is_success, changed.text
    before = await catalogue(platform)

    async with platform.erp.barrier("list_products", "before_effect") as asked:
        broken = await start_sync(platform)
        await asked.reached()
        await platform.kill("erp")
        failed = await ended(platform, broken)
        unchanged = await catalogue(platform)
        await platform.start("erp")
    good = await ended(platform, await start_sync(platform))

    assert (failed["status"], failed["pages"]) == ("failed", 0)
    assert failed["failure"] == "the ERP did not answer: ConnectionError"
    assert unchanged == before
    assert (good["status"], good["pages"], good["seen"]) == ("succeeded", PAGES, PRODUCTS)
    assert (good["created"], good["changed"], good["deactivated"]) == (0, 1, 0)
    now = await platform.shop.call("GET", f"/products/{product['id']}", platform.oscar)
    assert now.json()["description"] == "Now with a handle."


async def test_a_sync_goes_on_where_it_was_when_the_host_is_killed(platform: Platform) -> None:
    before = len(await pages_listed(platform))
    async with platform.erp.barrier(
        "list_products", "before_effect", match={"page_number": 3}
    ) as third:
        run_id = await start_sync(platform)
        await third.reached()
        await platform.kill("functions")
    await platform.start("functions")

    run = await ended(platform, run_id)

    assert (run["status"], run["pages"], run["seen"]) == ("succeeded", PAGES, PRODUCTS)
    assert (run["created"], run["deactivated"], run["failure"]) == (0, 0, None)
    # The third page was listed for the host that died, too.
    assert await pages_listed(platform, before) == [1, 2, 3, 3, 4, 5]
