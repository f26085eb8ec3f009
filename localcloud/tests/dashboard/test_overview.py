from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from localcloud.dashboard.mailboxes import Mailbox
from localcloud.dashboard.surroundings import Surroundings
from localcloud.inspection import PartStatus
from localcloud.tests.dashboard.conftest import Get, MakeHub, Page, client_of
from localcloud.tests.dashboard.scenarios import ORCHESTRATORS, activities
from localcloud.tests.durable.sdk import Hub, WorkerCrashed, until

PARTS = [
    PartStatus("postgres", "running", "ok", 11, [5433], 61.0, 52.4, 0, "data in /var/tmp"),
    PartStatus("functions", "running", "ok", 12, [7071, 17071], 3.5, 105.6, 2, ""),
    PartStatus("payment", "killed", "down", None, [7091], None, None, 0, ""),
    PartStatus("erp", "running", "GET /health answered 500", 13, [7090], 9.0, 30.0, 0, ""),
]


MAILBOXES = [Mailbox("letters", 3, 1, 0), Mailbox("news/<b>", 0, 0, 2)]


def look() -> Surroundings:
    return Surroundings("ready", PARTS, MAILBOXES)


@pytest.fixture
async def cloudy(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the dashboard of a cloud with these parts."""
    async with client_of(dsn, look) as client:
        yield client


async def test_every_part_is_shown_as_status_shows_it(cloudy: httpx.AsyncClient) -> None:
    page = Page(await cloudy.get("/"))
    assert page.status == 200
    assert page.rows("parts") == [
        ["postgres", "✓ ok", "5433", "11", "1 min 01 s", "52 MiB"],
        ["functionsrestarted 2×", "✓ ok", "7071, 17071", "12", "3.50 s", "106 MiB"],
        ["payment", "✕ killed: down", "7091", "–", "–", "–"],
        ["erp", "✕ GET /health answered 500", "7090", "13", "9.00 s", "30 MiB"],
    ]
    assert page.text("//section[@id='parts']/p") == (
        "The cloud is ready. payment, erp not healthy. Together they take 188 MiB."
    )
    assert page.texts("//section[@id='parts']/ul/li") == ["postgres: data in /var/tmp"]
    assert page.one("//div[@id='live']").get("data-refresh") == "5000"


async def test_every_mailbox_is_shown_with_its_dead_letters(cloudy: httpx.AsyncClient) -> None:
    page = Page(await cloudy.get("/"))
    assert page.text("//section[@id='messages']/p") == "2 dead letters."
    assert page.rows("messages") == [["letters", "3", "1", "0"], ["news/<b>", "0", "0", "! 2"]]


async def test_a_broker_that_does_not_answer_is_named(dsn: str) -> None:
    around = Surroundings("ready", PARTS, "The broker does not answer: refused")
    async with client_of(dsn, lambda: around) as client:
        page = Page(await client.get("/"))
    assert page.texts("//section[@id='messages']//p") == [
        "The broker does not answer: refused",
        "`python -m localcloud logs servicebus` may have the reason.",
    ]


async def test_without_a_cloud_it_says_how_to_start_one(get: Get) -> None:
    page = await get("/")
    assert page.status == 200
    assert page.all("//section[@id='messages']") == []
    assert page.texts("//section[@id='parts']//p") == [
        "No local cloud runs here.",
        "`python -m localcloud up` starts everything.",
    ]


async def test_the_numbers_lead_to_their_lists(hub: Hub, get: Get) -> None:
    await hub.run("chain", instance_id="c-1")
    await hub.run("doomed", instance_id="d-1")
    await hub.client.start_new("approval", "a-1")
    await hub.client.start_new("approval", "a-2")
    page = await get("/")
    assert page.texts("//a[contains(@class, 'number')]") == [
        "2open",
        "1failed",
        "0quarantined",
        "1completed",
    ]
    assert page.links("//a[contains(@class, 'number')]") == [
        "/orchestrations?status=open",
        "/orchestrations?status=failed",
        "/orchestrations?status=quarantined",
        "/orchestrations?status=completed",
    ]
    assert page.all("//table[@class='failing']") == []


async def test_what_is_quarantined_is_shown_here_and_on_its_page(
    make_hub: MakeHub, database: AsyncConnection[Any], get: Get
) -> None:
    hub = await make_hub(ORCHESTRATORS, activities(), max_attempts=2)

    def crash(_: str) -> None:
        raise WorkerCrashed

    hub.invoker.after = crash
    await hub.client.start_new("chain", "crash-1")

    async def set_aside() -> bool:
        cursor = await database.execute(
            "SELECT 1 FROM durable.instances WHERE quarantined_at > '-infinity'"
        )
        return await cursor.fetchone() is not None

    await until(set_aside, timeout_s=30)
    overview = await get("/")
    assert overview.rows("failing") == [["turn", "chain", "crash-1", "3", "! Quarantined"]]
    assert overview.links("//table[@class='failing']//a") == ["/orchestrations/crash-1"]
    page = await get("/orchestrations/crash-1")
    assert page.text("//h1") == "chain ○ Pending ! Quarantined"
    first, second = page.texts("//section[@id='facts']/div[@role='alert']/p")
    assert first.startswith("Set aside after 3 attempts at a turn, at 20")
    assert second == "It does nothing more until it is terminated or purged."
    assert page.text("//section[@id='lanes']/p") == (
        "It has called nothing and waited for nothing yet."
    )
    listed = await get("/orchestrations", status="quarantined")
    assert listed.texts("//td[@data-label='Id']/a") == ["crash-1"]
