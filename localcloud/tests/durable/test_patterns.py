"""Every pattern of the SDK that the back end runs, through the real SDK."""

import json
import re
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df
import pytest
from psycopg import AsyncConnection

from localcloud.tests.durable.conftest import MakeHub
from localcloud.tests.durable.sdk import until

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext


def say(name: str) -> str:
    return f"Hello {name}"


def square(number: int) -> int:
    return number * number


def boom(what: Any) -> None:
    raise ValueError(f"boom {what}")


async def _waits(database: AsyncConnection[Any], instance_id: str, name: str) -> None:
    async def waiting() -> bool:
        cursor = await database.execute(
            "SELECT progress FROM durable.instances WHERE instance_id = %s", [instance_id]
        )
        row = await cursor.fetchone()
        return bool(row and row[0] and name in json.loads(row[0])["waits"])

    await until(waiting)


async def test_a_chain_runs_its_activities_in_order(make_hub: MakeHub) -> None:
    def chain(context: Context) -> Steps:
        said = []
        for city in ("Tokyo", "Seattle", "London"):
            said += [(yield context.call_activity("say", city))]
        return said

    hub = await make_hub({"chain": chain}, {"say": say})
    status = await hub.run("chain")

    assert status.runtime_status.value == "Completed"
    assert status.output == ["Hello Tokyo", "Hello Seattle", "Hello London"]
    assert hub.invoker.ran == [("say", "Tokyo"), ("say", "Seattle"), ("say", "London")]
    assert hub.invoker.turns == 4


async def test_input_and_names_reach_functions_whatever_the_case(make_hub: MakeHub) -> None:
    def Greet(context: Context) -> Steps:  # noqa: N802 - a name in another case is the point
        order = context.get_input()
        return (yield context.call_activity("SAY", order["who"]))

    hub = await make_hub({"Greet": Greet}, {"say": say})
    status = await hub.run("gREET", {"who": "é\u0000\U0001f600"})

    assert status.output == "Hello é\u0000\U0001f600"


async def test_a_fan_out_of_200_activities_drains_in_few_turns(make_hub: MakeHub) -> None:
    def fan(context: Context) -> Steps:
        tasks = [context.call_activity("square", n) for n in range(context.get_input())]
        return sum((yield context.task_all(tasks)))

    hub = await make_hub({"fan": fan}, {"square": square})
    status = await hub.run("fan", 200)

    assert status.output == sum(n * n for n in range(200))
    assert len(hub.invoker.ran) == 200
    assert hub.invoker.turns <= 15


def approval(context: Context) -> Steps:
    timeout = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    answer = context.wait_for_external_event("Approval")
    winner = yield context.task_any([answer, timeout])
    if winner is answer:
        timeout.cancel()
        return ["answered", answer.result]
    return ["timed out", None]


@pytest.mark.conforms(
    "Events and timers",
    "names of events compare without regard to case",
    source="learn:azure/azure-functions/durable/durable-functions-external-events",
)
async def test_an_event_in_another_case_wins_and_its_timer_is_cancelled(
    make_hub: MakeHub, database: AsyncConnection[Any]
) -> None:
    hub = await make_hub({"approval": approval})
    instance_id = await hub.client.start_new("approval")
    await _waits(database, instance_id, "Approval")
    await hub.client.raise_event(instance_id, "aPPROVAL", {"by": "ann"})

    status = await hub.wait(instance_id)
    assert status.runtime_status.value == "Completed"
    # The SDK encodes event data twice; Azure's orchestrators see the text too.
    assert status.output == ["answered", '{"by": "ann"}']
    cursor = await database.execute("SELECT count(*) FROM durable.inbox")
    assert await cursor.fetchone() == (0,)


async def test_a_timer_fires_when_it_is_due(make_hub: MakeHub) -> None:
    def nap(context: Context) -> Steps:
        began = context.current_utc_datetime
        yield context.create_timer(began + timedelta(seconds=0.3))
        return [began.isoformat(), context.current_utc_datetime.isoformat()]

    hub = await make_hub({"nap": nap})
    began, woke = (await hub.run("nap")).output

    slept_s = (datetime.fromisoformat(woke) - datetime.fromisoformat(began)).total_seconds()
    assert 0.3 <= slept_s < 0.8


async def test_the_timeout_wins_when_no_event_comes(make_hub: MakeHub) -> None:
    def impatient(context: Context) -> Steps:
        timeout = context.create_timer(context.current_utc_datetime + timedelta(seconds=0.1))
        answer = context.wait_for_external_event("Answer")
        winner = yield context.task_any([answer, timeout])
        return winner is timeout

    hub = await make_hub({"impatient": impatient})
    assert (await hub.run("impatient")).output is True


def collect(context: Context) -> Steps:
    yield context.call_activity("say", "warm-up")
    items = []
    for _ in range(3):
        items += [(yield context.wait_for_external_event("Item"))]
    return items


@pytest.mark.conforms(
    "Events and timers",
    "an event that nobody waits for yet is kept, in order",
    source="learn:azure/azure-functions/durable/durable-functions-external-events",
)
async def test_events_before_their_waiter_are_held_and_come_in_order(make_hub: MakeHub) -> None:
    hub = await make_hub({"collect": collect}, {"say": say})
    instance_id = await hub.client.start_new("collect")
    for number, name in enumerate(("item", "Item", "ITEM"), 1):
        await hub.client.raise_event(instance_id, name, number)

    assert (await hub.wait(instance_id)).output == ["1", "2", "3"]


async def test_one_event_serves_one_waiter_though_several_names_wait(make_hub: MakeHub) -> None:
    def both(context: Context) -> Steps:
        first = context.wait_for_external_event("A")
        second = context.wait_for_external_event("B")
        return (yield context.task_all([first, second]))

    hub = await make_hub({"both": both})
    instance_id = await hub.client.start_new("both")
    for name in ("B", "B", "A"):
        await hub.client.raise_event(instance_id, name, name.lower())

    assert (await hub.wait(instance_id)).output == ['"a"', '"b"']


@pytest.mark.conforms(
    "Errors",
    "an activity with retry options is tried again after its interval",
    source="learn:azure/azure-functions/durable/durable-functions-error-handling#automatic-retry-on-failure",
)
async def test_a_retried_activity_succeeds_at_its_third_attempt(make_hub: MakeHub) -> None:
    attempts = []

    def flaky(key: str) -> int:
        attempts.append(key)
        if len(attempts) < 3:
            raise RuntimeError(f"flaky {len(attempts)}")
        return len(attempts)

    def retry(context: Context) -> Steps:
        got = yield context.call_activity_with_retry("flaky", df.RetryOptions(50, 3), "key")
        then = yield context.call_activity("say", "after")
        return [got, then]

    hub = await make_hub({"retry": retry}, {"flaky": flaky, "say": say})
    assert (await hub.run("retry")).output == [3, "Hello after"]
    assert attempts == ["key", "key", "key"]


@pytest.mark.conforms(
    "Errors",
    "the last failure reaches the orchestrator once the attempts are used up",
    source="learn:azure/azure-functions/durable/durable-functions-error-handling#automatic-retry-on-failure",
)
async def test_exhausted_retries_raise_the_last_failure(make_hub: MakeHub) -> None:
    def retry(context: Context) -> Steps:
        try:
            yield context.call_activity_with_retry("boom", df.RetryOptions(10, 3), 1)
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
            return [str(error).split("\n")[0], (yield context.call_activity("say", "after"))]

    hub = await make_hub({"retry": retry}, {"boom": boom, "say": say})
    status = await hub.run("retry")

    assert status.output == ["Activity function 'boom' failed: boom 1 ", "Hello after"]
    assert hub.invoker.ran == [("boom", 1), ("boom", 1), ("boom", 1), ("say", "after")]


async def test_parallel_retries_beside_plain_work_keep_their_results_apart(
    make_hub: MakeHub,
) -> None:
    seen: dict[str, int] = {}

    def flaky(key: str) -> str:
        seen[key] = seen.get(key, 0) + 1
        if seen[key] < 3:
            raise RuntimeError("not yet")
        return key

    def mixed(context: Context) -> Steps:
        options = df.RetryOptions(20, 4)
        tasks = [context.call_activity_with_retry("flaky", options, f"k{n}") for n in range(4)]
        tasks += [context.call_activity("square", n) for n in range(4)]
        yield context.task_any([tasks[0], tasks[4]])
        nine = yield context.call_activity("square", 3)
        results = yield context.task_all(tasks)
        return [nine, results]

    hub = await make_hub({"mixed": mixed}, {"flaky": flaky, "square": square})
    assert (await hub.run("mixed")).output == [9, ["k0", "k1", "k2", "k3", 0, 1, 4, 9]]


async def test_a_failed_orchestrator_keeps_its_custom_status_and_compensations(
    make_hub: MakeHub,
) -> None:
    def saga(context: Context) -> Steps:
        done = []
        try:
            for what in ("flight", "hotel"):
                done += [(yield context.call_activity("say", what))]
            yield context.call_activity("boom", "card")
        except Exception as error:
            context.set_custom_status({"undoing": done})
            for what in reversed(done):
                yield context.call_activity("say", what)
            raise RuntimeError("the trip is off") from error

    hub = await make_hub({"saga": saga}, {"say": say, "boom": boom})
    status = await hub.run("saga")

    assert status.runtime_status.value == "Failed"
    assert status.output == "Orchestrator function 'saga' failed: the trip is off"
    assert status.custom_status == {"undoing": ["Hello flight", "Hello hotel"]}
    assert [value for _, value in hub.invoker.ran] == [
        "flight",
        "hotel",
        "card",
        "Hello hotel",
        "Hello flight",
    ]


async def test_custom_status_shows_while_the_orchestrator_waits(
    make_hub: MakeHub, database: AsyncConnection[Any]
) -> None:
    def progress(context: Context) -> Steps:
        context.set_custom_status("step 1")
        yield context.wait_for_external_event("go")
        context.set_custom_status({"step": 2})
        yield context.wait_for_external_event("end")

    hub = await make_hub({"progress": progress})
    instance_id = await hub.client.start_new("progress")
    await _waits(database, instance_id, "go")
    assert (await hub.client.get_status(instance_id)).custom_status == "step 1"
    await hub.client.raise_event(instance_id, "go")
    await _waits(database, instance_id, "end")
    assert (await hub.client.get_status(instance_id)).custom_status == {"step": 2}
    await hub.client.raise_event(instance_id, "end")
    assert (await hub.wait(instance_id)).output is None


@pytest.mark.conforms(
    "Orchestrators",
    "an orchestrator that does not repeat itself is found out and fails",
    source="learn:azure/azure-functions/durable/durable-functions-code-constraints",
)
async def test_an_orchestrator_that_changes_its_mind_fails(make_hub: MakeHub) -> None:
    runs = []

    def fickle(context: Context) -> Steps:
        runs.append(1)
        yield context.call_activity("say" if len(runs) == 1 else "square", 3)
        yield context.call_activity("say", 4)

    hub = await make_hub({"fickle": fickle}, {"say": say, "square": square})
    status = await hub.run("fickle")

    assert status.runtime_status.value == "Failed"
    assert status.output.startswith(
        "Orchestrator function 'fickle' failed: Non-Deterministic workflow detected: action 0 was "
        "call_activity 'say' in a previous execution, but this replay did call_activity 'square'."
    )


async def test_an_orchestrator_that_does_less_than_before_fails(make_hub: MakeHub) -> None:
    runs = []

    def shrinking(context: Context) -> Steps:
        runs.append(1)
        if len(runs) == 1:
            yield context.call_activity("say", 3)
        return "nothing to do"

    hub = await make_hub({"shrinking": shrinking}, {"say": say})
    status = await hub.run("shrinking")

    assert status.runtime_status.value == "Failed"
    assert "action 0 was call_activity 'say'" in status.output
    assert "this replay did nothing more" in status.output


def leave_a_timer(context: Context) -> Steps:
    context_timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=0.5))
    quick = context.call_activity("say", "x")
    yield context.task_any([quick, context_timer])
    return "done"


@pytest.mark.conforms(
    "Events and timers",
    "an orchestration stays Running until its open timers fire or are cancelled",
    source="learn:azure/azure-functions/durable/durable-functions-timers#usage-for-timeout",
)
async def test_a_finished_orchestrator_stays_running_while_a_timer_is_open(
    make_hub: MakeHub,
) -> None:
    hub = await make_hub({"leave_a_timer": leave_a_timer}, {"say": say})
    instance_id = await hub.client.start_new("leave_a_timer")

    async def second_turn() -> bool:
        return hub.invoker.turns >= 2

    await until(second_turn)
    status = await hub.client.get_status(instance_id)
    assert status.runtime_status is df.OrchestrationRuntimeStatus.Running
    assert status.output is None
    assert (await hub.wait(instance_id)).output == "done"
    assert hub.invoker.turns == 3


async def test_a_setting_ends_instances_though_timers_are_open(make_hub: MakeHub) -> None:
    hub = await make_hub({"leave_a_timer": leave_a_timer}, {"say": say}, await_open=False)
    assert (await hub.run("leave_a_timer")).output == "done"
    assert hub.invoker.turns == 2


async def test_an_orchestrator_without_yields_completes_at_once(make_hub: MakeHub) -> None:
    def plain(context: Context) -> Any:
        return {"instance": context.instance_id, "replaying": context.is_replaying}

    hub = await make_hub({"plain": plain})
    status = await hub.run("plain", instance_id="an id")
    assert status.output == {"instance": "an id", "replaying": False}


async def test_replays_are_told_from_new_events(make_hub: MakeHub) -> None:
    fresh = []

    def steps(context: Context) -> Steps:
        for n in range(3):
            yield context.call_activity("square", n)
            if not context.is_replaying:
                fresh.append(n)

    hub = await make_hub({"steps": steps}, {"square": square})
    await hub.run("steps")
    assert fresh == [0, 1, 2]


@pytest.mark.conforms(
    "Orchestrators",
    "current_utc_datetime and new_guid repeat in every replay",
    source="learn:azure/azure-functions/durable/durable-functions-code-constraints",
)
async def test_generated_ids_and_the_clock_repeat_in_every_replay(make_hub: MakeHub) -> None:
    seen = []

    def deterministic(context: Context) -> Steps:
        values = [context.new_uuid(), str(context.new_guid()), str(context.current_utc_datetime)]
        seen.append(values)
        yield context.call_activity("square", 1)
        yield context.call_activity("square", 2)

    hub = await make_hub({"deterministic": deterministic}, {"square": square})
    await hub.run("deterministic")
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.conforms(
    "Orchestrators",
    "an activity that does not exist fails the orchestrator",
    source="durable:src/WebJobs.Extensions.DurableTask/OutOfProcMiddleware.cs",
)
async def test_an_unknown_activity_fails_the_orchestrator(make_hub: MakeHub) -> None:
    def lost(context: Context) -> Steps:
        yield context.call_activity("nowhere")

    hub = await make_hub({"lost": lost}, {"say": say})
    assert (await hub.run("lost")).output == (
        "Orchestrator function 'lost' failed: The function 'nowhere' doesn't exist, is disabled, "
        "or is not an activity function. Additional info: the following are the known activity "
        "functions: 'say'"
    )


@pytest.mark.conforms(
    "Orchestrators",
    "the history has DTFx's events in DTFx's order",
    source="dtfx:src/DurableTask.Core/TaskOrchestrationDispatcher.cs",
)
async def test_history_is_what_azure_writes(
    make_hub: MakeHub, database: AsyncConnection[Any]
) -> None:
    def one(context: Context) -> Steps:
        return (yield context.call_activity("say", context.get_input()))

    hub = await make_hub({"one": one}, {"say": say})
    status = await hub.run("one", "ann", instance_id="i-1")
    assert status.output == "Hello ann"
    cursor = await database.execute(
        "SELECT '[' || string_agg(events, ',' ORDER BY turn) || ']' FROM durable.history"
    )
    row = await cursor.fetchone()
    assert row is not None
    events = json.loads(row[0])

    assert [(event["EventType"], event["EventId"], event["IsPlayed"]) for event in events] == [
        (12, -1, False),
        (0, -1, True),
        (4, 0, False),
        (13, -1, False),
        (12, -1, False),
        (5, -1, True),
        (1, 1, False),
        (13, -1, False),
    ]
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")
    assert all(stamp.fullmatch(event["Timestamp"]) for event in events)
    assert events[1]["Input"] == '"\\"ann\\""'
    assert events[2]["Input"] == '["\\"ann\\""]'
    assert events[5]["Result"] == '"Hello ann"'
    assert events[6]["Result"] == '"Hello ann"'
    assert json.loads(hub.invoker.bodies[1])["history"][:4] == events[:4]
