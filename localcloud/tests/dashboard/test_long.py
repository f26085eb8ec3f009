"""Histories that are too long for one page."""

import pytest

from localcloud.dashboard.instance_page import EVENTS, LANES
from localcloud.tests.dashboard.conftest import Get, MakeHub, Page
from localcloud.tests.dashboard.scenarios import ORCHESTRATORS, activities
from localcloud.tests.durable.sdk import Hub

WIDTH = 1000
URL = "/orchestrations/wide-1"


def unlucky(number: int) -> int:
    if number % 250 == 7:
        raise ValueError(f"number {number} is unlucky")
    return number


@pytest.fixture
async def wide(make_hub: MakeHub) -> Hub:
    """An instance with 2,002 events."""
    hub = await make_hub(ORCHESTRATORS, activities(square=unlucky))
    await hub.client.start_new("wide", "wide-1", WIDTH)
    await hub.wait("wide-1", timeout_s=60)
    return hub


def given(page: Page) -> list[str]:
    """The inputs of the lanes on the page."""
    return page.texts("//ol[@class='lanes']/li//span[@class='what']/code")


@pytest.mark.usefixtures("wide")
async def test_lanes_and_events_have_pages_of_their_own(get: Get) -> None:
    first = await get(URL)
    assert given(first) == [str(number) for number in range(LANES)]
    assert first.texts("//section[@id='lanes']/nav[@class='pager']/*") == [
        "1–100 of 1000",
        "Next",
        "Last",
    ]
    assert first.links("//section[@id='lanes']/nav[@class='pager']/a") == [
        f"{URL}?page=2#lanes",
        f"{URL}?page=10#lanes",
    ]
    assert len(first.rows("events")) == EVENTS
    assert first.texts("//section[@id='events']/nav/*") == ["1–200 of 2002", "Next", "Last"]
    assert len(first.answer.content) < 400_000

    last = await get(URL, page="10", events="11")
    assert given(last) == [str(number) for number in range(WIDTH - LANES, WIDTH)]
    assert last.texts("//section[@id='lanes']/nav[@class='pager']/*") == [
        "901–1000 of 1000",
        "First",
        "Previous",
    ]
    assert last.links("//section[@id='lanes']/nav[@class='pager']/a") == [
        f"{URL}?events=11#lanes",
        f"{URL}?page=9&events=11#lanes",
    ]
    assert [row[1] for row in last.rows("events")][-1] == "✕ ExecutionCompleted"
    assert last.text("//caption") == "Events 2001 to 2002, oldest first"
    assert [row.get("id") for row in last.all("//table[@class='events']/tbody/tr")] == [
        "event-2001",
        "event-2002",
    ]
    assert given(await get(URL, page="999")) == given(last)


@pytest.mark.usefixtures("wide")
async def test_the_failed_can_be_had_alone(get: Get) -> None:
    page = await get(URL, lanes="failed")
    assert given(page) == ["7", "257", "507", "757"]
    assert page.texts("//nav[@aria-label='Which steps']/a") == ["all 1000", "failed 4", "open 0"]
    assert page.texts("//nav[@aria-label='Which steps']/a[@aria-current]") == ["failed 4"]
    nothing = await get(URL, lanes="open")
    assert nothing.text("//p[@class='empty']") == "No step is like that."


@pytest.mark.usefixtures("wide")
async def test_no_id_stands_twice_on_a_page(get: Get) -> None:
    page = await get(URL, page="3")
    ids = [str(found) for found in page.root.xpath("//@id")]
    assert sorted(ids) == sorted(set(ids))
