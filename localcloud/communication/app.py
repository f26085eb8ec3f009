"""The service: its REST APIs, its pages, its control, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localcloud.communication import mailbox, reports, suppressions
from localcloud.communication.access import Access
from localcloud.communication.email_api import EmailApi
from localcloud.communication.guard import Guard
from localcloud.communication.mailbox import Mailbox
from localcloud.communication.models import is_phone_number
from localcloud.communication.ordering import OPERATIONS, Orders
from localcloud.communication.publisher import Publisher
from localcloud.communication.receiver import Receiver
from localcloud.communication.sms_api import SmsApi
from localcloud.communication.views import NoSuchPage, Views, no_such_page
from localcloud.communication.web import HANDLERS
from localcloud.partners.control import Control
from localcloud.partners.store import Store
from localcloud.partners.web import Abortable

FILE: Final = "mailbox.db"


@dataclass(frozen=True)
class Setup:
    """What a resource of Communication Services is given."""

    state: Path
    access: Access
    senders: Sequence[str]
    """MailFrom addresses and phone numbers."""
    eventgrid_url: str | None
    eventgrid_key: str
    keep: int


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def create_app(setup: Setup) -> ASGIApp:
    """The service with its mailbox in the state folder."""
    schema = mailbox.SCHEMA + reports.SCHEMA + suppressions.SCHEMA
    store = Store(setup.state / FILE, schema)
    publisher = Publisher(store, setup.eventgrid_url, setup.eventgrid_key)
    receiver = Receiver(store, publisher)
    control = Control(store, OPERATIONS)
    box = Mailbox(store, setup.keep)
    numbers = frozenset(sender for sender in setup.senders if is_phone_number(sender))
    addresses = frozenset(sender.lower() for sender in setup.senders if sender not in numbers)
    emails = EmailApi(setup.access, box, receiver, control, addresses)
    texts = SmsApi(setup.access, box, receiver, control, numbers)
    orders = Orders(store, receiver, setup.senders[0])

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(receiver.run()), group.create_task(publisher.run())]
            yield
            for task in running:
                task.cancel()
        store.close()

    app = Starlette(
        routes=[
            Route("/health", _health),
            Route("/emails:send", emails.send, methods=["POST"]),
            Route("/emails/operations/{operation_id}", emails.operation, methods=["GET"]),
            Route("/sms", texts.send, methods=["POST"]),
            *Views(store, publisher, setup.senders).routes(),
            control.mount(*orders.routes()),
        ],
        exception_handlers={**HANDLERS, NoSuchPage: no_such_page},
        lifespan=lifespan,
    )
    return Abortable(Guard(app))
