import socket
from typing import Any

import pytest
from psycopg import AsyncConnection, errors

from localcloud.dashboard.hub import TaskHub, Unreadable
from localcloud.dashboard.listing import read_page
from localcloud.dashboard.wanted import Wanted
from localcloud.tests.dashboard.conftest import Page, client_of
from localcloud.tests.durable.sdk import until

DOWN = (
    "`python -m localcloud status` shows whether it runs, `python -m localcloud logs postgres` "
    "what it says. A crashed server is started again within seconds; then this page works again."
)
NEW = [
    "There is no task hub yet.",
    "The Functions host makes it at its first start: see `python -m localcloud logs functions`.",
]


@pytest.fixture
def closed() -> str:
    """The address of a server that does not run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"postgresql://durable@127.0.0.1:{port}/hub"


@pytest.mark.parametrize("path", ["/orchestrations", "/orchestrations/some-id"])
async def test_while_the_database_is_down_the_page_says_so_and_what_to_do(
    closed: str, path: str
) -> None:
    async with client_of(closed) as client:
        page = Page(await client.get(path))
    assert page.status == 503
    first, *rest = page.texts("//div[@role='alert']/p")
    assert first.startswith("PostgreSQL does not answer: connection failed: ")
    assert rest == [DOWN]
    assert "Traceback" not in page.answer.text


async def test_the_list_keeps_its_form_and_goes_on_asking_while_the_database_is_down(
    closed: str,
) -> None:
    async with client_of(closed) as client:
        page = Page(await client.get("/orchestrations", params={"prefix": "a"}))
    assert page.one("//input[@name='prefix']").get("value") == "a"
    assert page.one("//div[@id='live']").get("data-refresh") == "5000"


async def test_the_overview_answers_without_the_database(closed: str) -> None:
    async with client_of(closed) as client:
        page = Page(await client.get("/"))
    assert page.status == 200
    assert page.texts("//section[@id='numbers']//p")[1:] == [DOWN]


@pytest.mark.parametrize("database", ["postgres", "nowhere"])
async def test_before_the_first_start_of_the_host_there_is_no_hub(
    postgres: str, database: str
) -> None:
    async with client_of(f"{postgres}/{database}") as client:
        page = Page(await client.get("/orchestrations"))
    assert page.status == 503
    assert page.texts("//div[@role='alert']/p") == NEW


async def test_a_slow_database_is_not_waited_for_long(
    dsn: str, database: AsyncConnection[Any]
) -> None:
    hub = TaskHub(dsn, statement_s=0.2)
    async with database.transaction():
        await database.execute("LOCK TABLE durable.instances IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unreadable, match=r"^The database took too long to answer\.$"):
            await read_page(hub, Wanted(), limit=1)
    assert (await read_page(hub, Wanted(), limit=1)).rows == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM durable.instances",
        "CREATE TABLE durable.mine (x integer)",
        "SELECT durable.purge('x')",
        "SELECT nextval('durable.host_numbers')",
    ],
)
async def test_a_session_of_the_dashboard_cannot_write(dsn: str, statement: str) -> None:
    with pytest.raises(errors.ReadOnlySqlTransaction):
        async with TaskHub(dsn).session() as session:
            await session.execute(statement.encode())


async def test_a_page_leaves_no_connection_behind(dsn: str, database: AsyncConnection[Any]) -> None:
    async with client_of(dsn) as client:
        assert (await client.get("/orchestrations")).status_code == 200

    async def gone() -> bool:
        cursor = await database.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dashboard'"
        )
        return await cursor.fetchone() == (0,)

    await until(gone, timeout_s=30)


async def test_a_fault_of_the_dashboard_itself_is_a_page_that_says_nothing_of_its_inside(
    dsn: str,
) -> None:
    def broken() -> Any:
        raise RuntimeError("secret inside")

    async with client_of(dsn, broken) as client:
        page = Page(await client.get("/"))
    assert page.status == 500
    assert page.text("//h1") == "Something is broken"
    assert "secret inside" not in page.answer.text
    assert page.answer.headers["content-security-policy"].startswith("default-src 'none'; ")
