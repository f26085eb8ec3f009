import re

from localcloud.tests.dashboard.conftest import Get, words
from localcloud.tests.durable.sdk import Hub, until


async def test_a_chain_is_shown_with_its_head_its_lanes_and_its_events(hub: Hub, get: Get) -> None:
    await hub.run("chain", {"tour": 1}, instance_id="tour-1")
    page = await get("/orchestrations/tour-1")

    assert page.status == 200
    assert page.text("//title") == "chain tour-1 – local cloud"
    assert page.text("//h1") == "chain ✓ Completed"
    assert page.fact("id") == "tour-1"
    assert page.fact("input") == '{"tour": 1}'
    assert page.fact("custom status") == '{"city": "London"}'
    assert page.fact("output") == '["Hello Tokyo", "Hello Seattle", "Hello London"]'
    assert len(page.all("//section[@id='facts']//time[@datetime]")) == 2
    assert page.steps() == ["say activity"] * 3
    assert page.texts("//ol[@class='lanes']/li//span[@class='how']/code") == [
        '"Hello Tokyo"',
        '"Hello Seattle"',
        '"Hello London"',
    ]
    assert [row[1:4] for row in page.rows("events")] == [
        ["ExecutionStarted", "chain", "–"],
        ["TaskScheduled", "say", "–"],
        ["TaskCompleted", "say", '"Hello Tokyo"'],
        ["TaskScheduled", "say", "–"],
        ["TaskCompleted", "say", '"Hello Seattle"'],
        ["TaskScheduled", "say", "–"],
        ["TaskCompleted", "say", '"Hello London"'],
        ["ExecutionCompleted", "–", 'Completed["Hello Tokyo", "Hello Seattle", "Hello London"]'],
    ]


async def test_times_are_utc_to_the_millisecond_and_machine_readable(hub: Hub, get: Get) -> None:
    await hub.run("chain", instance_id="tour-2")
    page = await get("/orchestrations/tour-2")
    times = page.all("//time")
    assert len(times) > 10
    for time in times:
        exact = time.get("datetime") or ""
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", exact)
        assert time.text == exact.removesuffix("Z").replace("T", " ")


async def test_retries_are_bars_of_one_lane_and_the_failed_say_so_in_words(
    hub: Hub, get: Get
) -> None:
    await hub.run("fan", instance_id="fan-1")
    page = await get("/orchestrations/fan-1")

    lanes = {name: re.sub(r"[\d.]+ m?s", "T", how) for name, how in page.lanes().items()}
    assert lanes == {
        "square activity": "T",
        "shaky activity": "T, 3 attempts",
        "boom activity": "✕ failed after T, 3 attempts",
    }
    assert page.bars("square") == ["completed"]
    assert page.bars("shaky") == ["failed", "failed", "completed"]
    assert page.bars("boom") == ["failed", "failed", "failed"]
    pauses = "//ol[@class='lanes']/li[.//b='shaky']//*[@class='gap']"
    assert len(page.all(pauses)) == 2
    marks = "//ol[@class='lanes']/li[.//b='boom']//*[@class='mark failed']"
    assert page.texts(marks) == ["✕"]
    failed = page.all("//table[@class='events']//tr[@class='failed']")
    assert len(failed) == 5
    reasons = page.texts("//li[.//b='boom']//ol[@class='attempts']/li//dl/div[dt='reason']/dd")
    assert reasons == ["Activity function 'boom' failed: boom lost"] * 3


async def test_pauses_of_the_orchestrators_own_belong_to_the_attempts_they_part(
    hub: Hub, get: Get
) -> None:
    await hub.run("patient", instance_id="patient-1")
    page = await get("/orchestrations/patient-1")
    assert page.texts("//ol[@class='lanes']//summary//b") == ["shaky"]
    assert page.bars("shaky") == ["failed", "failed", "completed"]
    assert len(page.all("//ol[@class='lanes']//*[@class='gap']")) == 2


async def test_a_failed_instance_shows_why(hub: Hub, get: Get) -> None:
    await hub.run("doomed", instance_id="doomed-1")
    page = await get("/orchestrations/doomed-1")
    assert page.text("//h1") == "doomed ✕ Failed"
    why = "Orchestrator function 'doomed' failed: Activity function 'boom' failed: boom now"
    assert page.fact("output").startswith(why)
    assert page.bars("boom") == ["failed"]
    assert page.rows("events")[-1][1:3] == ["✕ ExecutionCompleted", "–"]


async def test_a_timer_is_a_lane(hub: Hub, get: Get) -> None:
    await hub.run("nap", instance_id="nap-1")
    page = await get("/orchestrations/nap-1")
    (step,) = page.steps()
    assert re.fullmatch(r"(19\d|200) ms timer", step)
    assert page.bars(step.removesuffix(" timer")) == ["completed"]
    assert [row[1] for row in page.rows("events")] == [
        "ExecutionStarted",
        "TimerCreated",
        "TimerFired",
        "ExecutionCompleted",
    ]


async def waiting_for_approval(hub: Hub, get: Get, instance_id: str) -> None:
    """Start an approval, and return once it waits."""
    await hub.client.start_new("approval", instance_id)

    async def waits() -> bool:
        page = await get(f"/orchestrations/{instance_id}")
        return page.texts("//dl/div[dt='waits for']/dd") == ["Approval"]

    await until(waits, timeout_s=30)


async def test_an_instance_that_waits_says_for_what_and_refreshes(hub: Hub, get: Get) -> None:
    await waiting_for_approval(hub, get, "wish-1")
    page = await get("/orchestrations/wish-1")

    assert page.text("//h1") == "approval ▸ Running"
    assert page.one("//div[@id='live']").get("data-refresh") == "2000"
    assert page.one("//div[@id='live']").get("data-say") == "Running; 1 of 3 steps have ended."
    said = page.one("//p[@id='said']")
    assert (said.get("role"), said.get("aria-live")) == ("status", "polite")
    assert page.steps() == ["say activity", "5 h 00 min timer", "Approval external event"]
    lanes = page.lanes()
    assert lanes["Approval external event"].startswith("open for ")
    assert lanes["5 h 00 min timer"] == "fires in 4 h 59 min"
    assert page.bars("Approval") == page.bars("5 h 00 min") == ["open"]
    assert page.fact("output") == "none yet"


async def test_an_event_that_came_ends_its_wait_and_its_timer_did_not_fire(
    hub: Hub, get: Get
) -> None:
    await waiting_for_approval(hub, get, "wish-2")
    await hub.client.raise_event("wish-2", "approval", {"by": "ann"})
    await hub.wait("wish-2")
    page = await get("/orchestrations/wish-2")

    assert page.steps() == [
        "say activity",
        "5 h 00 min timer",
        "Approval external event",
        "say activity",
    ]
    assert page.bars("Approval") == ["completed"]
    assert page.bars("5 h 00 min") == ["unfired"]
    assert page.lanes()["5 h 00 min timer"] == "did not fire"
    assert page.one("//div[@id='live']").get("data-refresh") is None
    data = "//li[.//b='Approval']//dl/div[dt='data']/dd"
    assert page.text(data) == '{"by": "ann"}'
    began, ended = page.texts("//li[.//b='Approval']//time")
    asked = page.text("(//li[.//b='say'])[1]//dl/div[dt='ended']/dd")
    assert asked <= began <= ended


async def test_a_child_and_its_parent_lead_to_each_other(hub: Hub, get: Get) -> None:
    await hub.run("parent", instance_id="family")
    above = await get("/orchestrations/family")
    below = await get("/orchestrations/family%3Achild")

    assert list(above.lanes()) == ["chain sub-orchestration"]
    assert above.bars("chain") == ["completed"]
    assert len(above.all("//li[.//b='chain']//*[@class='queued']")) == 1
    child = "/orchestrations/family%3Achild"
    assert above.links("//dl/div[dt='children']//a") == [child]
    assert above.fact("children") == "family:child chain ✓ Completed"
    assert above.links("//li[.//b='chain']//dl/div[dt='instance']//a") == [child]
    assert below.links("//dl/div[dt='parent']//a") == ["/orchestrations/family"]
    assert below.text("//h1") == "chain ✓ Completed"


async def test_signals_calls_and_failures_of_entities_are_lanes(hub: Hub, get: Get) -> None:
    await hub.run("bank", instance_id="bank-1")
    page = await get("/orchestrations/bank-1")

    lanes = {name: re.sub(r"[\d.]+ m?s", "T", how) for name, how in page.lanes().items()}
    assert lanes == {
        "@account@a1 add entity signal": "sent",
        "@account@a1 get entity call": "T",
        "@account@a1 explode entity call": "✕ failed after T",
    }
    assert page.text("//li[.//b='@account@a1 get']//span[@class='how']/code") == "5"
    entities = [row[1:3] for row in page.rows("events") if row[1].startswith("EventSent")]
    assert entities == [
        ["EventSent", "@account@a1 add"],
        ["EventSent", "@account@a1 get"],
        ["EventSent", "@account@a1 explode"],
    ]


async def test_a_suspended_instance_shows_its_rest(hub: Hub, get: Get) -> None:
    await waiting_for_approval(hub, get, "wish-3")
    await hub.client.suspend("wish-3", "lunch")
    await hub.wait("wish-3", status="Suspended")
    page = await get("/orchestrations/wish-3")
    assert page.text("//h1") == "approval ‖ Suspended"
    assert page.bars("suspended") == ["open"]
    assert page.text("//li[.//b='suspended']//dl/div[dt='reason']/dd") == "lunch"


async def test_a_terminated_instance_leaves_its_waits_unmet(hub: Hub, get: Get) -> None:
    await waiting_for_approval(hub, get, "wish-4")
    await hub.client.terminate("wish-4", "enough")
    await hub.wait("wish-4")
    page = await get("/orchestrations/wish-4")
    assert page.text("//h1") == "approval ■ Terminated"
    assert page.fact("output") == "enough"
    assert page.bars("Approval") == ["missed"]
    assert page.lanes()["Approval external event"] == "never came"
    assert page.bars("5 h 00 min") == ["unfired"]


async def test_the_fragment_is_what_changes_and_nothing_else(hub: Hub, get: Get) -> None:
    await hub.run("chain", instance_id="tour-3")
    whole = await get("/orchestrations/tour-3")
    fragment = await get("/orchestrations/tour-3", fragment="1")
    assert fragment.root.get("id") == "live"
    assert words(fragment.root) == whole.text("//div[@id='live']")


async def test_an_unknown_instance_is_a_page_with_404(get: Get) -> None:
    page = await get("/orchestrations/no%20such%00one")
    assert page.status == 404
    assert page.text("//h1") == "Not found"
    assert page.text("//main/p[1]") == "There is no orchestration instance “no such␀one”."
    assert page.links("//main//a") == ["/orchestrations", "/messages"]


async def test_an_entity_is_no_orchestration(hub: Hub, get: Get) -> None:
    await hub.run("bank", instance_id="bank-2")
    assert (await get("/orchestrations/@account@a1")).status == 404
