"""Steps that need more than one look at the history."""

import asyncio
import re
from typing import Any

import pytest
from psycopg import AsyncConnection

from localcloud.tests.dashboard.conftest import Get, MakeHub, Page
from localcloud.tests.dashboard.scenarios import ORCHESTRATORS, activities
from localcloud.tests.durable.sdk import Hub, until


async def test_the_history_of_one_that_continued_as_new_begins_with_its_last_execution(
    hub: Hub, get: Get
) -> None:
    await hub.client.start_new("eternal", "again", 3)
    await hub.wait("again", timeout_s=30)
    page = await get("/orchestrations/again")
    assert page.steps() == ["say activity"]
    created, began = page.fact("created"), page.fact("continued as new, lately")
    assert created < began
    assert page.rows("events")[0][0] == f"{began}+0 ms"
    first = page.one("(//ol[@class='lanes']//*[contains(@class, 'bar ')])[1]")
    assert float((first.get("x") or "").removesuffix("%")) < 100


async def test_one_that_began_once_does_not_claim_to_have_continued(hub: Hub, get: Get) -> None:
    await hub.run("parent", instance_id="once")
    for path in ("/orchestrations/once", "/orchestrations/once%3Achild"):
        page = await get(path)
        assert page.all("//dt[.='continued as new, lately']") == []


async def test_an_http_call_is_named_after_its_request(hub: Hub, get: Get) -> None:
    address = f"{hub.base}/durabletask/instances/nobody"
    await hub.client.start_new("fetch", "fetch-1", address)
    await hub.wait("fetch-1", timeout_s=30)
    page = await get("/orchestrations/fetch-1")
    assert page.steps() == [f"GET {address} HTTP call"]
    assert page.bars(f"GET {address}") == ["completed"]
    assert page.fact("output") == "404"


async def test_an_event_that_came_early_says_so_and_each_wait_has_its_own(
    hub: Hub, get: Get, database: AsyncConnection[Any]
) -> None:
    await hub.client.start_new("late", "late-1")
    await hub.client.raise_event("late-1", "go", 1)

    async def second_wait() -> bool:
        cursor = await database.execute(
            "SELECT progress LIKE %s FROM durable.instances WHERE instance_id = 'late-1'",
            ['%"6:go","6:go"]%"waits":{"Go":1}%'],
        )
        return await cursor.fetchone() == (True,)

    await until(second_wait, timeout_s=30)
    page = await get("/orchestrations/late-1")
    assert page.steps()[1:] == ["Go external event"] * 2
    assert page.bars("Go") == ["completed", "open"]
    notes = page.texts("//li[.//b='Go']//dl/div[dt='note']/dd")
    assert notes == ["it came before anybody waited for it"]
    assert page.fact("waits for") == "Go"

    await hub.client.raise_event("late-1", "go", 2)
    await hub.wait("late-1", timeout_s=30)
    page = await get("/orchestrations/late-1")
    assert page.bars("Go") == ["completed", "completed"]
    data = page.texts("//li[.//b='Go']//dl/div[dt='data']/dd")
    assert data == ['"1"', '"2"']


async def failing(hub: Hub, get: Get, name: str) -> Page:
    """The page of an instance of that name whose activity has failed."""
    await hub.client.start_new(name, name)

    async def failed() -> Page | None:
        page = await get(f"/orchestrations/{name}")
        return page if page.bars("boom") == ["failed"] and len(page.rows("events")) == 4 else None

    return await until(failed, timeout_s=30)


@pytest.mark.parametrize("name", ["stubborn", "dogged"])
async def test_a_step_that_will_be_tried_again_says_when(hub: Hub, get: Get, name: str) -> None:
    page = await failing(hub, get, name)
    assert page.steps() == ["boom activity"]
    how = page.lanes()["boom activity"]
    assert re.fullmatch(r"✕ failed, tries again in 5\d min \d\d s", how)
    assert page.text("//span[@class='how']/code") == "boom now"
    assert len(page.all("//ol[@class='lanes']//*[@class='gap']")) == 1
    assert page.all("//dl/div[dt='next attempt']//time")
    assert page.texts("//nav[@aria-label='Which steps']/a") == []


async def test_a_timeout_after_a_failure_is_not_taken_for_the_pause_before_another_attempt(
    hub: Hub, get: Get
) -> None:
    page = await failing(hub, get, "guarded")
    assert page.steps() == ["boom activity", "5 h 00 min timer", "Mended external event"]
    assert page.lanes()["boom activity"].startswith("✕ failed after ")
    assert page.all("//ol[@class='lanes']//*[@class='gap']") == []


async def test_an_activity_under_way_says_where_it_is(make_hub: MakeHub, get: Get) -> None:
    gate = asyncio.Event()

    async def held(_: Any) -> None:
        await gate.wait()

    hub = await make_hub(ORCHESTRATORS, activities(square=held), max_activities=2)
    await hub.client.start_new("wide", "held-1", 3)

    async def shown() -> bool:
        page = await get("/orchestrations/held-1")
        nows = page.texts("//ol[@class='lanes']//dl/div[dt='now']/dd")
        return sorted(nows) == ["running", "running", "waiting for a free place"]

    await until(shown, timeout_s=30)
    page = await get("/orchestrations/held-1")
    assert page.bars("square") == ["open"] * 3
    assert page.all("//nav[@aria-label='Which steps']") == []
    gate.set()
    await hub.wait("held-1", timeout_s=30)
