"""Whatever an application stores is shown as text, in every place where it appears."""

import contextlib
import json
from typing import Any

import azure.durable_functions as df
import pytest
from psycopg import AsyncConnection

from localcloud.dashboard.wanted import instance_url
from localcloud.tests.dashboard.conftest import Get, MakeHub, Page
from localcloud.tests.dashboard.scenarios import (
    ENTITIES,
    ORCHESTRATORS,
    Context,
    Steps,
    activities,
)
from localcloud.tests.durable.sdk import until

ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt;\u202e{{7*7}}"
ID = "<script>alert(1)<\"'& 50%;+"
NAME = "<u>hostile</u>"
KNOWN_TAGS = {
    *("html", "head", "meta", "title", "link", "script", "body", "a", "header", "nav", "ul", "li"),
    *("main", "div", "section", "h1", "h2", "h4", "p", "span", "b", "small", "dl", "dt", "dd"),
    *("code", "pre", "time", "details", "summary", "ol", "table", "caption", "thead", "tbody"),
    *("tr", "th", "td", "svg", "defs", "pattern", "rect", "path", "line", "text"),
    *("form", "label", "select", "option", "input", "button"),
}


def assert_harmless(page: Page) -> None:
    """No element and no attribute that the dashboard does not make itself."""
    assert "<script>" not in page.answer.text
    assert "<img" not in page.answer.text
    for element in page.root.iter():
        assert element.tag in KNOWN_TAGS
        for name, value in element.attrib.items():
            assert not str(name).startswith("on")
            assert name != "style"
            if name in {"href", "src", "action"}:
                assert str(value).startswith(("/", "#"))
    (script,) = page.all("//script") or [None]
    if script is not None:
        assert script.get("src") == "/static/dashboard.js"
        assert not script.text


def hostile(context: Context) -> Steps:
    """Hands the attack to everything that an orchestrator can call."""
    context.set_custom_status(ATTACK)
    yield context.call_activity(ATTACK, context.get_input())
    yield context.call_sub_orchestrator("echo", ATTACK, "child <b>")
    yield context.call_entity(df.EntityId("account", "<b>a1</b>"), "get", ATTACK)
    with contextlib.suppress(Exception):  # it only has to be there
        yield context.call_activity("boom", ATTACK)
    yield context.wait_for_external_event("<i>go</i>")
    return ATTACK


@pytest.fixture
async def attacked(make_hub: MakeHub, database: AsyncConnection[Any]) -> str:
    """An instance whose id, name, input, output, custom status, activity, child, event, entity and
    failure are all hostile. Its id.
    """
    hub = await make_hub(
        {**ORCHESTRATORS, NAME: hostile}, activities(**{ATTACK: lambda value: value}), ENTITIES
    )
    instances = hub.backend.instances
    input_ = json.dumps(json.dumps({ATTACK: ATTACK}))
    await instances.start(NAME, instance_id=ID, input_=input_)

    async def waiting() -> bool:
        cursor = await database.execute(
            "SELECT progress LIKE %s FROM durable.instances WHERE instance_id = %s",
            ['%"waits":{"<i>go</i>":1}%', ID],
        )
        row = await cursor.fetchone()
        return row == (True,)

    await until(waiting, timeout_s=30)
    await instances.raise_event(ID, "<i>go</i>", json.dumps(ATTACK))
    await hub.wait(ID, timeout_s=30)
    await database.execute(
        "UPDATE durable.instances SET attempts = 3, quarantined_at = now() WHERE name = 'echo'"
    )
    return ID


async def test_a_hostile_instance_is_shown_as_text(attacked: str, get: Get) -> None:
    page = await get(instance_url(attacked))
    assert page.status == 200
    assert_harmless(page)
    assert page.fact("id") == attacked
    assert page.text("//h1") == "<u>hostile</u> ✓ Completed"
    assert page.fact("custom status") == json.dumps(ATTACK, ensure_ascii=False)
    assert page.fact("output") == json.dumps(ATTACK, ensure_ascii=False)
    assert ATTACK in page.fact("input").replace("\\", "")
    assert page.steps() == [
        f"{ATTACK} activity",
        "echo sub-orchestration",
        "@account@<b>a1</b> get entity call",
        "boom activity",
        "<i>go</i> external event",
    ]
    assert f"boom {ATTACK}" in page.text("//li[.//b='boom']//dl/div[dt='reason']/dd")


@pytest.mark.parametrize("path", ["/", "/orchestrations"])
async def test_a_hostile_instance_is_listed_as_text(attacked: str, get: Get, path: str) -> None:
    page = await get(path)
    assert page.status == 200
    assert_harmless(page)
    if path == "/orchestrations":
        assert page.texts("//td[@data-label='Id']/a") == ["child <b>", attacked]
        links = page.links("//td[@data-label='Id']/a")
        for link in links:
            assert (await get(link)).status == 200


@pytest.mark.parametrize(
    "query",
    [
        {"status": ATTACK},
        {"name": ATTACK},
        {"prefix": ATTACK},
        {"from": ATTACK, "to": ATTACK},
        {"before": ATTACK},
        {"before": f"2026-11-24T08:00:00~{ATTACK}"},
        {"fragment": ATTACK},
    ],
)
async def test_a_hostile_query_is_shown_as_text(
    attacked: str, get: Get, query: dict[str, str]
) -> None:
    assert attacked
    assert_harmless(await get("/orchestrations", **query))


@pytest.mark.parametrize(
    "query",
    [{"lanes": ATTACK}, {"page": ATTACK}, {"page": "-1", "events": "99999999999"}, {"page": "0"}],
)
async def test_a_hostile_view_counts_as_none(
    attacked: str, get: Get, query: dict[str, str]
) -> None:
    page = await get(instance_url(attacked), **query)
    assert page.status == 200
    assert_harmless(page)
    assert len(page.steps()) == 5


async def test_a_hostile_path_is_shown_as_text(get: Get) -> None:
    page = await get("/orchestrations/%3Cscript%3Ealert(1)%3C/script%3E")
    assert page.status == 404
    assert_harmless(page)
    said = page.text("//main/p[1]")
    assert said == "There is no orchestration instance “<script>alert(1)</script>”."
