from typing import Any

import pytest
from psycopg import AsyncConnection

from localcloud.dashboard.list_page import PAGE
from localcloud.tests.dashboard.conftest import Get, Page
from localcloud.tests.durable.sdk import Hub

INSERT = """
    INSERT INTO durable.instances (
        instance_id, execution_id, name, status, created_at, completed_at, quarantined_at,
        custom_status
    )
    VALUES (
        %(id)s, 'e', %(name)s, %(status)s,
        '2026-11-24T08:00:00Z'::timestamptz + make_interval(secs => %(at)s),
        CASE WHEN %(status)s NOT IN ('Pending', 'Running', 'Suspended')
            THEN '2026-11-24T08:00:09Z'::timestamptz + make_interval(secs => %(at)s) END,
        CASE WHEN %(quarantined)s THEN now() END,
        %(custom)s
    )
"""


async def put(database: AsyncConnection[Any], id_: str, **facts: Any) -> None:
    """One instance, without a history."""
    usual = {"name": "chain", "status": "Completed", "at": 0, "quarantined": False, "custom": None}
    await database.execute(INSERT, {"id": id_, **usual, **facts})


def ids(page: Page) -> list[str]:
    return page.texts("//table[@class='instances']//td[@data-label='Id']/a")


def counts(page: Page) -> dict[str, int]:
    chips = [text.rsplit(" ", 1) for text in page.texts("//section[@id='counts']//a")]
    return {name: int(number) for name, number in chips}


@pytest.fixture
async def mixture(database: AsyncConnection[Any]) -> None:
    """One instance of each kind, a second apart; the last is the newest."""
    await put(database, "a-1", at=1)
    await put(database, "a-2", at=2, status="Failed", name="doomed")
    await put(database, "b-1", at=3, status="Running", custom='{"step": 2}')
    await put(database, "b-2", at=4, status="Suspended", name="Chain")
    await put(database, "b-3", at=5, status="Terminated")
    await put(database, "c-1", at=6, status="Running", quarantined=True)
    await put(database, "c-2", at=7, status="Pending", name="doomed")
    await put(database, "@account@a1", at=8, status="Running", name="account")


@pytest.mark.usefixtures("mixture")
async def test_the_newest_come_first_and_entities_are_left_out(get: Get) -> None:
    page = await get("/orchestrations")
    assert page.status == 200
    assert ids(page) == ["c-2", "c-1", "b-3", "b-2", "b-1", "a-2", "a-1"]
    assert page.texts("//table[@class='instances']//td[@data-label='Status']") == [
        "○ Pending",
        "▸ Running ! Quarantined",
        "■ Terminated",
        "‖ Suspended",
        "▸ Running",
        "✕ Failed",
        "✓ Completed",
    ]
    cells = page.rows("instances")[-1]
    assert cells == ["✓ Completed", "chain", "a-1", "2026-11-24 08:00:01.000", "9.00 s", "–"]
    assert page.rows("instances")[4][5] == '{"step": 2}'
    assert page.links("(//td[@data-label='Id'])[1]/a") == ["/orchestrations/c-2"]


@pytest.mark.usefixtures("mixture")
async def test_the_numbers_are_those_of_each_status(get: Get) -> None:
    assert counts(await get("/orchestrations")) == {
        "All": 7,
        "Open": 4,
        "Suspended": 1,
        "Completed": 1,
        "Failed": 1,
        "Terminated": 1,
        "Quarantined": 1,
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "open"}, ["c-2", "c-1", "b-2", "b-1"]),
        ({"status": "FAILED"}, ["a-2"]),
        ({"status": "quarantined"}, ["c-1"]),
        ({"name": "CHAIN"}, ["c-1", "b-3", "b-2", "b-1", "a-1"]),
        ({"prefix": "a-"}, ["a-2", "a-1"]),
        ({"prefix": "a%"}, []),
        ({"from": "2026-11-24T08:00:05"}, ["c-2", "c-1", "b-3"]),
        ({"to": "2026-11-24T08:00:02"}, ["a-2", "a-1"]),
        ({"from": "2026-11-24T09:00:02+01:00", "to": "2026-11-24T08:00:03Z"}, ["b-1", "a-2"]),
        ({"status": "open", "name": "doomed", "prefix": "c"}, ["c-2"]),
        ({"prefix": "nothing\0like"}, []),
    ],
)
@pytest.mark.usefixtures("mixture")
async def test_filters_narrow_the_list(get: Get, query: dict[str, str], found: list[str]) -> None:
    page = await get("/orchestrations", **query)
    assert page.status == 200
    assert ids(page) == found
    if not found:
        assert page.text("//p[@class='empty']") == "No instance is like that. Show all"


@pytest.mark.usefixtures("mixture")
async def test_the_numbers_follow_the_other_filters_and_keep_them(get: Get) -> None:
    page = await get("/orchestrations", name="doomed", status="failed")
    assert counts(page) == {
        "All": 2,
        "Open": 1,
        "Suspended": 0,
        "Completed": 0,
        "Failed": 1,
        "Terminated": 0,
        "Quarantined": 0,
    }
    assert page.links("//section[@id='counts']//a")[:2] == [
        "/orchestrations?name=doomed",
        "/orchestrations?status=open&name=doomed",
    ]
    assert page.texts("//section[@id='counts']//a[@aria-current]") == ["Failed 1"]


@pytest.mark.usefixtures("mixture")
async def test_the_form_shows_what_was_asked(get: Get) -> None:
    page = await get(
        "/orchestrations",
        status="open",
        name="doomed",
        prefix="c",
        **{"from": "2026-11-24T09:00+01:00"},
    )
    assert page.one("//input[@name='status']").get("value") == "open"
    assert page.texts("//select/option[@selected]") == ["doomed"]
    assert page.texts("//select/option") == ["any", "chain", "doomed"]
    assert page.one("//input[@name='prefix']").get("value") == "c"
    assert page.one("//input[@name='from']").get("value") == "2026-11-24T08:00:00"
    assert page.one("//input[@name='to']").get("value") == ""
    named = {label.get("for") for label in page.all("//form//label")}
    assert named == {control.get("id") for control in page.all("//form//*[@id]")}


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"from": "soon"}, "“soon” is no time; write 2026-11-24T08:00, in UTC."),
        (
            {"to": "0001-01-01T00:00+14:00"},
            "“0001-01-01T00:00+14:00” is no time; write 2026-11-24T08:00, in UTC.",
        ),
        ({"status": "<b>"}, "There is no status “<b>”."),
        ({"before": "x"}, "The link to this page is damaged; these are the newest."),
        ({"after": "soon~\0"}, "The link to this page is damaged; these are the newest."),
    ],
)
@pytest.mark.usefixtures("mixture")
async def test_what_makes_no_sense_is_named_and_left_out(
    get: Get, query: dict[str, str], why: str
) -> None:
    page = await get("/orchestrations", **query)
    assert page.status == 400
    assert page.texts("//ul[@class='problem']/li") == [why]
    assert len(ids(page)) == 7


async def test_pages_lead_on_and_back_without_loss_while_others_arrive(
    database: AsyncConnection[Any], get: Get
) -> None:
    for number in range(2 * PAGE + 10):  # several are of the same moment
        await put(database, f"i-{number:03}", at=number // 3)
    await put(database, "other", at=1, name="doomed")
    expected = [f"i-{number:03}" for number in reversed(range(2 * PAGE + 10))]

    first = await get("/orchestrations", name="chain")
    assert ids(first) == expected[:PAGE]
    assert first.texts("//section[@id='list']//nav/a") == ["Older"]
    await put(database, "i-new", at=1000)
    second = await get(first.links("//a[@rel='next']")[0])
    assert ids(second) == expected[PAGE : 2 * PAGE]
    assert second.texts("//section[@id='list']//nav/a") == ["Newest", "Newer", "Older"]
    third = await get(second.links("//a[@rel='next']")[0])
    assert ids(third) == expected[2 * PAGE :]
    assert third.texts("//section[@id='list']//nav/a") == ["Newest", "Newer"]

    back = await get(third.links("//a[@rel='prev']")[0])
    assert ids(back) == expected[PAGE : 2 * PAGE]
    top = await get(back.links("//a[@rel='prev']")[0])
    assert ids(top) == expected[:PAGE]
    newest = await get(top.links("//a[@rel='prev']")[0])
    assert ids(newest) == ["i-new"]
    assert newest.texts("//section[@id='list']//nav/a") == ["Older"]


@pytest.mark.usefixtures("mixture")
async def test_only_the_newest_page_refreshes(get: Get) -> None:
    first = await get("/orchestrations")
    assert first.one("//div[@id='live']").get("data-refresh") == "5000"
    assert first.one("//div[@id='live']").get("data-say") == "7 instances, 4 open, 1 failed."
    later = await get("/orchestrations", before="2026-11-24T08:00:04Z~b-2")
    assert ids(later) == ["b-1", "a-2", "a-1"]
    assert later.one("//div[@id='live']").get("data-refresh") is None
    fragment = await get("/orchestrations", fragment="1")
    assert fragment.root.get("id") == "live"
    assert ids(fragment) == ids(first)


@pytest.mark.usefixtures("hub")
async def test_an_empty_hub_says_so(get: Get) -> None:
    page = await get("/orchestrations")
    assert page.status == 200
    assert page.text("//p[@class='empty']") == "No orchestration has been started yet."
    assert counts(page)["All"] == 0


async def test_real_instances_are_listed_with_their_parents(hub: Hub, get: Get) -> None:
    await hub.run("parent", instance_id="family")
    page = await get("/orchestrations")
    assert ids(page) == ["family:child", "family"]
    assert page.rows("instances")[0][2] == "family:childchild of family"
