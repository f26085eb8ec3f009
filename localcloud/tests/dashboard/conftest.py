"""A dashboard in this process, over a task hub in which real orchestrations have run."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from lxml import html

from localcloud.dashboard.addresses import Find
from localcloud.dashboard.app import create_app
from localcloud.dashboard.hub import TaskHub
from localcloud.dashboard.surroundings import Look, Surroundings
from localcloud.tests.dashboard.scenarios import ENTITIES, ORCHESTRATORS, activities
from localcloud.tests.durable.conftest import database as database  # noqa: PLC0414 - a fixture
from localcloud.tests.durable.conftest import doors as doors  # noqa: PLC0414 - a fixture
from localcloud.tests.durable.conftest import dsn as dsn  # noqa: PLC0414 - a fixture
from localcloud.tests.durable.conftest import make_hub as make_hub  # noqa: PLC0414 - a fixture
from localcloud.tests.durable.conftest import postgres as postgres  # noqa: PLC0414 - a fixture
from localcloud.tests.durable.conftest import (
    sdk_session as sdk_session,  # noqa: PLC0414 - a fixture
)
from localcloud.tests.durable.sdk import Hub

type MakeHub = Callable[..., Awaitable[Hub]]


@dataclass
class Page:
    """An answer of the dashboard, read as a browser would."""

    answer: httpx.Response

    def __post_init__(self) -> None:
        self.root: html.HtmlElement = html.fromstring(self.answer.text)

    @property
    def status(self) -> int:
        return self.answer.status_code

    def all(self, path: str) -> list[html.HtmlElement]:
        """The elements at an XPath."""
        found: Any = self.root.xpath(path)
        return list(found)

    def one(self, path: str) -> html.HtmlElement:
        """The only element at an XPath."""
        (element,) = self.all(path)
        return element

    def text(self, path: str) -> str:
        """The text of the only element at an XPath, its white space made single."""
        return words(self.one(path))

    def texts(self, path: str) -> list[str]:
        return [words(element) for element in self.all(path)]

    def fact(self, name: str) -> str:
        """The value beside a name in the head of the page."""
        return self.text(f"//section/dl/div[dt='{name}']/dd")

    def links(self, path: str) -> list[str]:
        return [element.get("href") or "" for element in self.all(path)]

    def steps(self) -> list[str]:
        """Every lane's name and sort, in their order."""
        names = self.texts("//ol[@class='lanes']/li//summary/span[@class='what']/b")
        sorts = self.texts("//ol[@class='lanes']/li//summary/span[@class='what']/small")
        return [f"{name} {sort}" for name, sort in zip(names, sorts, strict=True)]

    def lanes(self) -> dict[str, str]:
        """How each lane ended, by its name and sort."""
        hows = self.texts("//ol[@class='lanes']/li//summary/span[@class='how']/span")
        return dict(zip(self.steps(), hows, strict=True))

    def bars(self, lane: str) -> list[str]:
        """How the bars of the lanes of that name ended, in their order."""
        path = f"//ol[@class='lanes']/li[.//b='{lane}']//*[contains(@class, 'bar ')]/@class"
        return [str(found).removeprefix("bar ") for found in self.root.xpath(path)]

    def rows(self, table: str) -> list[list[str]]:
        """The cells of a table's rows."""
        return [
            [words(cell) for cell in row.xpath("./td")]
            for row in self.all(f"//table[@class='{table}']/tbody/tr")
        ]


def words(element: html.HtmlElement) -> str:
    """The text of an element, its white space made single."""
    return " ".join(str(element.text_content()).split())


type Get = Callable[..., Awaitable[Page]]


def nobody() -> Surroundings:
    """No local cloud runs."""
    return Surroundings("stopped", [], "No local cloud runs here.")


def client_of(dsn: str, look: Look = nobody, find: Find = lambda: None) -> httpx.AsyncClient:
    """A client for a dashboard over that database."""
    app = create_app(TaskHub(dsn), look, find)
    # What the application raises it has answered with a page first, as a server's client sees.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090")


@pytest.fixture
async def get(dsn: str) -> AsyncIterator[Get]:
    """Opens a page of the dashboard over the test's database."""
    async with client_of(dsn) as client:

        async def opened(path: str, **query: str) -> Page:
            return Page(await client.get(path, params=query or None))

        yield opened


@pytest.fixture
async def hub(make_hub: MakeHub) -> Hub:
    """A task hub that runs the scenarios."""
    return await make_hub(ORCHESTRATORS, activities(), ENTITIES)
