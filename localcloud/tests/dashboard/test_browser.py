"""The pages in a real browser: they stay fresh by themselves and disturb nobody who reads."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from playwright.async_api import Browser, Page

from localcloud.dashboard.app import create_app
from localcloud.dashboard.hub import TaskHub
from localcloud.dashboard.surroundings import Surroundings
from localcloud.tests.dashboard.posts import (
    EVENT_GRID,
    HOSTILE,
    MAILBOX,
    QUEUES,
    TOPICS,
    addresses,
    answering,
    fill,
)
from localcloud.tests.dashboard.test_overview import PARTS
from localcloud.tests.servicebus.rig import BrokerProcess, write_topology
from tests.rig.browser import chromium

PATIENCE_S = 30.0
PATHS = ("/", "/messages", "/messages/dead-letters?entity=ledger", "/events", "/mail")
SHIFTS = """
    window.shifts = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shifts += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""


@dataclass
class Site:
    """A dashboard that is served, and the broker that it shows."""

    url: str
    broker: BrokerProcess
    folder: Path

    def send(self, count: int) -> None:
        """Put messages into the queue `quiet`."""
        with (
            ServiceBusClient.from_connection_string(self.broker.connection_string()) as client,
            client.get_queue_sender("quiet") as sender,
        ):
            sender.send_messages([ServiceBusMessage("x") for _ in range(count)])


@contextlib.asynccontextmanager
async def serving(site: Site, eventgrid: str, communication: str) -> AsyncIterator[None]:
    nowhere = "postgresql://durable@127.0.0.1:1/hub"
    app = create_app(
        TaskHub(nowhere),
        lambda: Surroundings("ready", PARTS, []),
        lambda: addresses(site.broker, nowhere, eventgrid=eventgrid, communication=communication),
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    await eventually(lambda: asyncio.sleep(0, server.started))
    site.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield
    server.should_exit = True
    await task


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    topology = write_topology(folder / "topology.json", TOPICS, QUEUES)
    broker = BrokerProcess(topology, folder / "state", "--admin-port", "0")
    made = Site("", broker, folder)
    with answering(EVENT_GRID) as eventgrid, answering(MAILBOX) as communication:
        async with serving(made, eventgrid, communication):
            (await asyncio.to_thread(fill, broker)).close()
            yield made
    made.broker.stop()


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as launched:
        yield launched


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.02)


async def quick(page: Page) -> None:
    """Let the page ask twice a second, not every five seconds."""
    await page.evaluate("document.getElementById('live').dataset.refresh = '500'")
    await page.get_by_role("button", name="Pause refreshing").click()
    await page.get_by_role("button", name="Refresh again").click()


def active(page: Page, queue: str) -> Callable[[], Awaitable[str]]:
    """Reads how many messages a queue has, as the page shows it."""
    row = page.locator(".queues tr", has=page.locator("b", has_text=queue))
    return row.locator("[data-label=Active]").inner_text


async def test_the_page_follows_the_queues_without_disturbing_who_reads_it(
    site: Site, browser: Browser
) -> None:
    page = await browser.new_page()
    await page.add_init_script(SHIFTS)
    await page.goto(f"{site.url}/messages")
    await quick(page)
    letters = page.locator(".queues a", has_text="! 1").first
    await letters.focus()
    before = await letters.get_attribute("href")
    await asyncio.to_thread(site.send, 3)

    async def shows_three() -> bool:
        return await active(page, "quiet")() == "3"

    await eventually(shows_three)
    assert await page.evaluate("document.activeElement.getAttribute('href')") == before
    assert await page.evaluate("window.shifts") == 0
    await page.close()


async def test_a_dead_letter_is_reached_with_the_keyboard_alone(
    site: Site, browser: Browser
) -> None:
    page = await browser.new_page()
    await page.goto(f"{site.url}/messages/dead-letters?entity=ledger")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to content"
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.closest('td') !== null"):
            break
    await page.keyboard.press("Enter")
    await page.wait_for_url("**sequence=1")
    assert await page.locator("h1").inner_text() == "Message 1"
    assert HOSTILE in await page.locator("#facts").inner_text()
    await page.close()


async def test_every_page_fits_its_window_and_runs_without_an_error(
    site: Site, browser: Browser
) -> None:
    page = await browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for path in PATHS:
        answer = await page.goto(f"{site.url}{path}")
        assert answer is not None
        assert answer.status == 200
        for width in (360, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            beyond = await page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert (path, width, beyond) == (path, width, 0)
    assert said == []
    await page.close()


async def test_a_broker_that_dies_is_named_on_the_open_page_until_it_is_back(
    site: Site, browser: Browser
) -> None:
    page = await browser.new_page()
    await page.goto(f"{site.url}/messages")
    await quick(page)
    port, admin_port = site.broker.port, site.broker.admin_port
    site.broker.kill()
    why = page.locator("#live [role=alert] p", has_text="The broker does not answer: ")
    await why.wait_for(timeout=PATIENCE_S * 1000)

    site.broker = await asyncio.to_thread(
        lambda: BrokerProcess(
            site.folder / "topology.json",
            site.folder / "state",
            *("--admin-port", str(admin_port)),
            port=port,
        )
    )
    await page.locator(".queues").wait_for(timeout=PATIENCE_S * 1000)
    assert await page.locator("#live [role=alert]").count() == 0
    await page.close()
