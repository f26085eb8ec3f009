"""Notifications on a real database, before a real Communication Services stand-in."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from blueprints.notifications.gateway import EmailGateway, SmsGateway
from shared.db import Database
from tests.integration.notifications.outbound import KEY, Outbound, email_gateway, sms_gateway
from tests.integration.payments.standins import Standin, running


@dataclass
class Reports:
    """Takes the place of Event Grid: keeps the delivery reports that the provider publishes."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.events += await request.json()
        return web.Response()

    async def of(self, recipient: str) -> dict[str, Any]:
        """The first report on a message to the recipient, once it is there."""
        async with asyncio.timeout(30):
            while True:
                for event in self.events:
                    if recipient in {event["data"].get("recipient"), event["data"].get("to")}:
                        return event
                await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
async def reports() -> AsyncIterator[Reports]:
    taken = Reports()
    app = web.Application()
    app.router.add_post("/communication/api/events", taken.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    taken.url = f"http://127.0.0.1:{port}/communication/api/events"
    yield taken
    await runner.cleanup()


@pytest.fixture(scope="session")
def communication(reports: Reports) -> Iterator[Standin]:
    """Email and SMS."""
    grid = ("--eventgrid-url", reports.url, "--eventgrid-key", "unused")
    with running("communication", "--key", KEY, *grid) as standin:
        yield standin


@dataclass
class Mailbox:
    """What the provider was given and took."""

    url: str

    async def messages(self, to: str, channel: str = "email") -> list[dict[str, Any]]:
        """The messages to an address, oldest first."""
        query = {"channel": channel, "to": to}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/messages", params=query) as answer,
        ):
            found: list[dict[str, Any]] = (await answer.json())["messages"]
            return found


@pytest.fixture(scope="session")
def mailbox(communication: Standin) -> Mailbox:
    return Mailbox(communication.url)


@pytest.fixture(scope="module")
async def email(communication: Standin) -> AsyncIterator[EmailGateway]:
    opened = email_gateway(communication.url)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def sms(communication: Standin) -> AsyncIterator[SmsGateway]:
    opened = sms_gateway(communication.url)
    yield opened
    await opened.close()


@pytest.fixture
async def outbound(
    database: Database, email: EmailGateway, sms: SmsGateway, communication: Standin
) -> AsyncIterator[Outbound]:
    """Nothing to be sent yet, on the module's database."""
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE notifications.notifications, notifications.people CASCADE")
    world = Outbound(database, email, sms)
    yield world
    await world.sending.close()
    communication.reset()
