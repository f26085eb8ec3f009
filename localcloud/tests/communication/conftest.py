"""Communication Services as a running process, with a topic that takes its reports."""

import base64
import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.communication.email import EmailClient
from azure.communication.sms import SmsClient
from azure.core.credentials import AzureKeyCredential
from azure.core.rest import HttpRequest, HttpResponse

from localcloud.tests.communication.grid import Grid
from localcloud.tests.partners.part import Part, running

MODULE = "localcloud.communication"
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
GRID_KEY = "a-key-of-the-topic"
SENDER = "orders@shop.example"
NUMBER = "+4915000000000"
_NUMBERS = itertools.count()


def options(grid: Grid) -> list[str]:
    return ["--key", KEY, "--eventgrid-url", grid.url, "--eventgrid-key", GRID_KEY]


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("communication")


@pytest.fixture(scope="session")
def identity(state: Path) -> Iterator[Part]:
    with running("localcloud.identity", state) as part:
        yield part


@pytest.fixture(scope="session")
def shared_grid() -> Iterator[Grid]:
    grid = Grid()
    yield grid
    grid.stop()


@pytest.fixture
def grid(shared_grid: Grid) -> Iterator[Grid]:
    """The topic, which takes everything unless a test says otherwise."""
    yield shared_grid
    shared_grid.answers.clear()
    shared_grid.unacceptable = None


@pytest.fixture(scope="session")
def part(state: Path, identity: Part, shared_grid: Grid) -> Iterator[Part]:
    with running(MODULE, state, *options(shared_grid), "--identity-url", identity.url) as part:
        yield part


@pytest.fixture(scope="session")
def onlooker(part: Part) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=part.url, timeout=30) as client:
        yield client


@pytest.fixture
def http(onlooker: httpx.Client) -> Iterator[httpx.Client]:
    """Whoever looks on, and orders faults; they end with the test."""
    yield onlooker
    onlooker.post("/control/reset")
    onlooker.delete("/control/suppressions")


@pytest.fixture(scope="session")
def emails(part: Part) -> Iterator[EmailClient]:
    """The SDK as it comes, except that it does not retry behind a test's back."""
    with EmailClient(part.url, AzureKeyCredential(KEY), retry_total=0) as client:
        yield client


@pytest.fixture(scope="session")
def texts(part: Part) -> Any:
    """The SDK as it comes, too."""
    return sms_client(part)


def sms_client(part: Part, key: str = KEY, **options: Any) -> Any:
    """The SDK of SMS, whose annotations are wrong: it takes a key, and its `self` is no string."""
    credential: Any = key
    return SmsClient(part.url, credential, retry_total=0, **options)


def address(name: str = "alice") -> str:
    """An address of its own, with the fate of that name."""
    return f"{name}+{uuid.uuid4().hex[:12]}@clients.example"


def number(end: str = "7777") -> str:
    """A phone number of its own that ends so."""
    return f"+49151{next(_NUMBERS):06}{end}"


def email(to: str | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "senderAddress": SENDER,
        "recipients": {"to": [{"address": to or address()}]},
        "content": {"subject": "Your order 1001", "plainText": "It is on its way."},
    } | changes


def send(client: EmailClient, message: dict[str, Any], operation_id: str | None = None) -> str:
    """The id of the operation, which is not waited for."""
    poller = client.begin_send(message, operation_id=operation_id, polling=False)
    answer: str = poller.result()["id"]
    return answer


def ask(client: EmailClient, operation_id: str) -> HttpResponse:
    """How the operation stands, asked as the SDK asks."""
    url = f"{{endpoint}}/emails/operations/{operation_id}"
    return client.send_request(HttpRequest("GET", url, params={"api-version": "2025-09-01"}))


def sent_to(http: httpx.Client, to: str) -> list[dict[str, Any]]:
    """The messages to an address, in full."""
    messages: list[dict[str, Any]] = http.get("/messages", params={"to": to}).json()["messages"]
    return messages
