"""The pages of messages, over a real broker in which real clients left messages in every state."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from localcloud.tests.dashboard.conftest import Get, Page, client_of
from localcloud.tests.dashboard.posts import (
    HOSTILE,
    ORDER,
    QUEUES,
    TOPICS,
    addresses,
    event,
    fill,
)
from localcloud.tests.dashboard.test_hostile import assert_harmless
from localcloud.tests.servicebus.rig import BrokerProcess, running, write_topology

LETTERS = {"entity": "letters"}
LEDGER = {"entity": "ledger"}
AND = "and no subscription"
LAST = 2**63 - 1


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("post")
    topology = write_topology(folder / "topology.json", TOPICS, QUEUES)
    with running(topology, folder / "state", "--admin-port", "0") as broker, fill(broker):
        yield broker


@pytest.fixture
async def client(dsn: str, post: BrokerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Of a dashboard whose cloud has that broker, and no part with an HTTP face."""
    async with client_of(dsn, find=lambda: addresses(post, dsn)) as opened:
        yield opened


async def test_every_queue_is_shown_with_what_lies_in_it(client: httpx.AsyncClient) -> None:
    page = Page(await client.get("/messages"))
    assert page.status == 200
    rows = {row[0]: row[1:4] + row[5:] for row in page.rows("queues")}
    assert rows == {
        "ledger": ["51 locked, 1 deferred", "0", "! 1", "–", "–"],
        "lettersin sessions": ["4", "0", "! 1", "2", "–"],
        "quiet": ["0", "0", "0", "–", "–"],
    }
    ages = [row[4] for row in page.rows("queues")]
    assert ages[2] == "–"
    assert all(age.endswith((" s", " ms")) for age in ages[:2])
    assert page.text("//section[@id='queues']/p") == "2 dead letters."
    assert page.one("//div[@id='live']").get("data-refresh") == "5000"


async def test_every_subscription_is_shown_with_its_filter_in_words(
    client: httpx.AsyncClient,
) -> None:
    page = Page(await client.get("/messages"))
    rows = {row[0]: row[1:] for row in page.rows("subscriptions")}
    assert {name: row[:3] for name, row in rows.items()} == {
        "large": ["n > 100; SET rank = 1", "its readers", "0"],
        "ledger": ["everything", "ledger", "0"],
        "letters": ["type is placed or shipped", "letters", "0"],
    }
    assert page.texts("//section[@id='topic-orders']/p") == [
        "1 scheduled: they go on when it is their time."
    ]


async def test_a_second_look_says_what_has_changed(
    client: httpx.AsyncClient, post: BrokerProcess
) -> None:
    from azure.servicebus import ServiceBusClient  # noqa: PLC0415 - as the dashboard does

    await client.get("/messages")
    with (
        ServiceBusClient.from_connection_string(post.connection_string()) as sender_client,
        sender_client.get_queue_sender("quiet") as sender,
    ):
        sender.send_messages([event("placed", n) for n in (8, 9)])
        page = Page(await client.get("/messages", params={"fragment": "1"}))
        with sender_client.get_queue_receiver("quiet") as receiver:
            left = 2
            while left:
                for message in receiver.receive_messages(left, max_wait_time=30):
                    receiver.complete_message(message)
                    left -= 1
    assert page.all("//h1") == []
    (quiet,) = [row for row in page.rows("queues") if row[0] == "quiet"]
    assert quiet[1] == "2"
    assert quiet[-1].startswith("+2 waiting in ")


async def test_looking_locks_nothing_and_counts_as_no_delivery(
    client: httpx.AsyncClient,
) -> None:
    await client.get("/messages")
    await client.get("/messages/waiting", params=LETTERS)
    waiting = Page(await client.get("/messages/waiting", params=LETTERS))
    assert [(row[1], row[2], row[3]) for row in waiting.rows("letters")] == [
        ("placede-2", "active", "0"),
        ("placede-3", "active", "0"),
        ("shippede-4", "active", "0"),
        ("shippede-5", "active", "0"),
    ]


@pytest.fixture
async def rejections(database: AsyncConnection[Any]) -> AsyncIterator[None]:
    """What a consumer noted of the first letter."""
    await database.execute("CREATE SCHEMA messaging")
    await database.execute(
        "CREATE TABLE messaging.rejections (id bigint GENERATED ALWAYS AS IDENTITY,"
        " message_id text, consumer text, reason text, at timestamptz DEFAULT now())"
    )
    await database.execute(
        "INSERT INTO messaging.rejections (message_id, consumer, reason)"
        " VALUES ('e-1', 'notifications', 'malformed: data missing'), ('e-2', 'x', 'other')"
    )
    yield
    await database.execute("DROP SCHEMA messaging CASCADE")


@pytest.mark.usefixtures("rejections")
async def test_a_dead_letter_is_listed_with_its_reasons_and_its_order(
    client: httpx.AsyncClient,
) -> None:
    page = Page(await client.get("/messages/dead-letters", params=LETTERS))
    assert page.status == 200
    ((number, what, why, deliveries, _, order, correlation),) = page.rows("letters")
    assert (number, what, deliveries, order, correlation) == ("1", "placede-1", "0", ORDER, "c-1")
    assert why == "unreadableno linesnotifications: malformed: data missing"
    assert page.links("//td[@data-label='Order']/a") == [f"/orchestrations/{ORDER}"]
    assert page.text("//section[@id='letters']/p/code") == "docs/runbooks/dead-letters.md"

    one = Page(await client.get(page.links("//td[@data-label='Number']/a")[0]))
    assert one.status == 200
    assert one.text("//h1") == "Message 1"
    assert one.fact("message id") == "e-1"
    assert one.fact("order") == ORDER
    assert '"order_id": "' in one.text("//pre[@class='payload']")


async def test_without_the_platforms_database_the_brokers_reasons_stay(
    client: httpx.AsyncClient,
) -> None:
    page = Page(await client.get("/messages/dead-letters", params=LETTERS))
    assert page.status == 200
    assert page.texts("//section[@id='letters']/div[@role='alert']/p") == [
        "The consumers' own reasons cannot be read. There is no table messaging.rejections.",
        "The broker's own reasons are shown.",
    ]
    assert [row[2] for row in page.rows("letters")] == ["unreadableno lines"]


async def test_a_hostile_dead_letter_is_shown_as_text(client: httpx.AsyncClient) -> None:
    page = Page(await client.get("/messages/dead-letters", params=LEDGER))
    assert_harmless(page)
    assert page.rows("letters")[0][2] == HOSTILE * 2
    one = Page(await client.get("/messages/dead-letters", params=LEDGER | {"sequence": "1"}))
    assert_harmless(one)
    assert one.fact("event") == HOSTILE


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("dead-letters", {"entity": HOSTILE}, f"There is no queue {AND} “{HOSTILE}”."),
        ("waiting", {}, f"There is no queue {AND} “”."),
        ("waiting", LETTERS | {"sequence": "99"}, "Message 99 is not in letters any more."),
        (
            "waiting",
            LETTERS | {"sequence": "9" * 19},
            f"Message {LAST} is not in letters any more.",
        ),
    ],
)
async def test_what_is_not_there_is_said(
    client: httpx.AsyncClient, path: str, query: dict[str, str], said: str
) -> None:
    page = Page(await client.get(f"/messages/{path}", params=query))
    assert page.status == 404
    assert_harmless(page)
    assert page.text("//main/p[1]") == said


@pytest.mark.parametrize("begin", ["-1", "9" * 30])
async def test_a_senseless_beginning_is_the_beginning(
    client: httpx.AsyncClient, begin: str
) -> None:
    page = Page(await client.get("/messages/waiting", params=LETTERS | {"begin": begin}))
    assert page.status == 200
    assert len(page.rows("letters")) == 4


async def test_beyond_the_last_message_there_is_a_way_back(client: httpx.AsyncClient) -> None:
    page = Page(await client.get("/messages/waiting", params=LETTERS | {"begin": "500"}))
    assert page.text("//p[@class='empty']") == "There is nothing beyond this."
    assert page.links("//nav[@class='pager']/a") == ["/messages/waiting?entity=letters"]
    assert page.one("//div[@id='live']").get("data-refresh") is None


@pytest.mark.parametrize("path", ["/messages", "/messages/waiting?entity=letters"])
async def test_a_broker_that_is_down_is_named(dsn: str, post: BrokerProcess, path: str) -> None:
    found = addresses(post, dsn)
    gone = type(found.broker)("127.0.0.1", 1, "key", post.certificate)
    down = type(found)(gone, found.window, found.platform, found.eventgrid, found.communication)
    async with client_of(dsn, find=lambda: down) as client:
        page = Page(await client.get(path))
    assert page.status == 503
    why, advice = page.texts("//div[@id='live']//div[@role='alert']/p")
    assert why.startswith("The broker does not answer: [Errno ")
    assert advice == "`python -m localcloud logs servicebus` may have the reason."


@pytest.mark.parametrize("path", ["/messages", "/events", "/mail"])
async def test_without_a_cloud_every_page_says_so(get: Get, path: str) -> None:
    page = await get(path)
    assert page.status == 503
    assert page.texts("//div[@role='alert']/p")[0] == "No local cloud runs here."
