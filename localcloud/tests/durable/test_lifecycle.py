"""Children, executions that continue as new, and what operators do to instances."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import httpx
import pytest
from psycopg import AsyncConnection

from localcloud.durable.instances import Filter
from localcloud.tests.durable.conftest import MakeHub
from localcloud.tests.durable.sdk import Hub, until

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext
type Database = AsyncConnection[Any]


def child(context: Context) -> Steps:
    value = yield context.call_activity("double", context.get_input())
    return {"parent": context.parent_instance_id, "value": value}


def broken(_: Context) -> Any:
    raise ValueError("broken")


def wait(context: Context) -> Steps:
    return (yield context.wait_for_external_event("Go"))


def double(number: int) -> int:
    return 2 * number


async def _status(hub: Hub, instance_id: str) -> str:
    found = await hub.client.get_status(instance_id)
    assert found.runtime_status is not None
    return str(found.runtime_status.value)


async def test_children_run_side_by_side_and_give_their_outputs(make_hub: MakeHub) -> None:
    def parent(context: Context) -> Steps:
        return (
            yield context.task_all(
                [
                    context.call_sub_orchestrator("child", 1),
                    context.call_sub_orchestrator("CHILD", 2, "my-child"),
                ]
            )
        )

    hub = await make_hub({"parent": parent, "child": child}, {"double": double})
    status = await hub.run("parent", instance_id="p")

    assert status.output == [{"parent": "p", "value": 2}, {"parent": "p", "value": 4}]
    assert (await hub.client.get_status("my-child")).output == {"parent": "p", "value": 4}
    ids = {
        each.instance_id for each in await hub.backend.instances.page(Filter(), after=None, limit=9)
    }
    parent_execution = (await hub.backend.instances.status("p")).execution_id  # type: ignore[union-attr]
    assert ids == {"p", "my-child", f"{parent_execution}:0"}


@pytest.mark.conforms(
    "Sub-orchestrations",
    "a child's failure is raised in its parent, which may catch it",
    source="learn:azure/azure-functions/durable/durable-functions-sub-orchestrations",
)
async def test_a_childs_failure_is_its_parents_to_catch(make_hub: MakeHub) -> None:
    def parent(context: Context) -> Steps:
        try:
            yield context.call_sub_orchestrator("broken")
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
            return str(error)

    hub = await make_hub({"parent": parent, "broken": broken})
    assert (await hub.run("parent")).output == "Orchestrator function 'broken' failed: broken \n "


async def test_a_child_with_retry_is_started_again_until_it_succeeds(make_hub: MakeHub) -> None:
    attempts: list[int] = []

    def moody(context: Context) -> Steps:
        yield context.call_activity("note")
        if len(attempts) < 3:
            raise ValueError("not yet")
        return context.instance_id

    def parent(context: Context) -> Steps:
        options = df.RetryOptions(1, 5)
        named = context.call_sub_orchestrator_with_retry("moody", options, None, "again")
        first = yield named
        last = yield context.call_activity("double", 4)
        return [first, last]

    hub = await make_hub(
        {"parent": parent, "moody": moody},
        {"note": lambda _: attempts.append(1), "double": double},
    )
    assert (await hub.run("parent")).output == ["again", 8]
    assert len(attempts) == 3


async def test_a_terminated_child_fails_its_parents_call(make_hub: MakeHub) -> None:
    def parent(context: Context) -> Steps:
        yield context.call_sub_orchestrator("wait", None, "c")

    hub = await make_hub({"parent": parent, "wait": wait})
    parent_id = await hub.client.start_new("parent")

    async def waits() -> bool:
        found = await hub.backend.instances.status("c")
        return found is not None and found.status == "Running"

    await until(waits)
    await hub.client.terminate("c", "enough")
    assert (await hub.wait(parent_id)).output == "Orchestrator function 'parent' failed: enough \n "


async def test_a_child_cannot_take_the_id_of_a_running_instance(make_hub: MakeHub) -> None:
    def parent(context: Context) -> Steps:
        yield context.call_sub_orchestrator("wait", None, "taken")

    hub = await make_hub({"parent": parent, "wait": wait})
    await hub.client.start_new("wait", "taken")
    status = await hub.run("parent")
    assert status.output == (
        "Orchestrator function 'parent' failed: "
        "An Orchestration instance with the id taken is still running. \n "
    )


async def test_an_unknown_child_fails_the_orchestrator(make_hub: MakeHub) -> None:
    def parent(context: Context) -> Steps:
        yield context.call_sub_orchestrator("nobody")

    hub = await make_hub({"parent": parent})
    output = (await hub.run("parent")).output
    assert "The function 'nobody' doesn't exist" in output


@pytest.mark.conforms(
    "Orchestrators",
    "continue-as-new truncates the history and keeps the id",
    source="learn:azure/azure-functions/durable/durable-functions-eternal-orchestrations",
)
async def test_continuing_as_new_counts_ids_anew_and_keeps_no_history(
    make_hub: MakeHub, database: Database
) -> None:
    def countdown(context: Context) -> Steps:
        left = context.get_input()
        context.set_custom_status(f"{left} left")
        # What the next execution must not mistake for its own.
        context.create_timer(context.current_utc_datetime + timedelta(milliseconds=1))
        doubled = yield context.call_activity("double", left)
        if left:
            context.continue_as_new(left - 1)
            return None
        return ["done", doubled, len(context.histories)]

    hub = await make_hub({"countdown": countdown}, {"double": double}, await_open=False)
    status = await hub.run("countdown", 5)
    assert status.output[:2] == ["done", 0]
    assert status.output[2] < 12
    assert status.custom_status == "0 left"
    assert status.input_ == "0"
    cursor = await database.execute("SELECT count(DISTINCT execution_id) FROM durable.history")
    assert await cursor.fetchone() == (1,)


@pytest.mark.conforms(
    "Events and timers",
    "events that were not taken outlive continue-as-new",
    source="learn:azure/azure-functions/durable/durable-functions-eternal-orchestrations",
)
async def test_events_outlive_the_execution_that_did_not_take_them(make_hub: MakeHub) -> None:
    def total(context: Context) -> Steps:
        so_far = context.get_input()
        so_far.append((yield context.wait_for_external_event("Add")))
        if len(so_far) == 4:
            return so_far
        context.continue_as_new(so_far)
        return None

    hub = await make_hub({"total": total})
    instance_id = await hub.client.start_new("total", None, [])
    for number in range(4):
        await hub.client.raise_event(instance_id, "add", number)
    assert (await hub.wait(instance_id)).output == ["0", "1", "2", "3"]


@pytest.mark.conforms(
    "Instance management",
    "a suspended instance processes nothing until it is resumed",
    source="learn:azure/azure-functions/durable/durable-functions-instance-management",
)
async def test_a_suspended_instance_rests_until_it_is_resumed(make_hub: MakeHub) -> None:
    hub = await make_hub({"wait": wait}, {"double": double})
    instance_id = await hub.client.start_new("wait")
    await hub.wait(instance_id, status="Running")
    await hub.client.suspend(instance_id, "lunch")
    await hub.wait(instance_id, status="Suspended")

    with pytest.raises(Exception, match="unexpected status code 500"):
        await hub.client.suspend(instance_id, "again")
    await hub.client.raise_event(instance_id, "go", 1)

    async def held() -> bool:
        found = await hub.backend.instances._store.rows("SELECT held FROM durable.inbox", {})
        return found == [(True,)]

    await until(held)
    assert await _status(hub, instance_id) == "Suspended"
    await hub.client.resume(instance_id, "back")
    assert (await hub.wait(instance_id)).output == "1"
    with pytest.raises(Exception, match="No instance with ID 'nobody' found"):
        await hub.client.suspend("nobody", "x")
    await hub.client.suspend(instance_id, "finished: no error")


async def test_a_suspended_instance_can_be_terminated(make_hub: MakeHub) -> None:
    hub = await make_hub({"wait": wait})
    instance_id = await hub.client.start_new("wait")
    await hub.client.suspend(instance_id, "lunch")
    await hub.wait(instance_id, status="Suspended")
    await hub.client.terminate(instance_id, "no more")
    assert (await hub.wait(instance_id)).output == "no more"


async def test_activities_end_while_their_instance_is_suspended(
    make_hub: MakeHub, database: Database
) -> None:
    def work(context: Context) -> Steps:
        return (yield context.call_activity("slow"))

    async def slow(_: Any) -> str:
        await hub.client.suspend("s", "now")
        await hub.wait("s", status="Suspended")
        return "done"

    hub = await make_hub({"work": work}, {"slow": slow})
    await hub.client.start_new("work", "s")

    async def answered() -> bool:
        cursor = await database.execute("SELECT held FROM durable.inbox")
        return await cursor.fetchall() == [(True,)]

    await until(answered)
    assert await _status(hub, "s") == "Suspended"
    await hub.client.resume("s", "go")
    assert (await hub.wait("s")).output == "done"


@pytest.mark.conforms(
    "Instance management",
    "restart begins anew with the same input, under a new id or the old one",
    source="learn:azure/azure-functions/durable/durable-functions-http-api#restart-instance",
)
async def test_restarting_uses_the_same_input(make_hub: MakeHub) -> None:
    def echo(context: Context) -> Steps:
        yield context.call_activity("double", 1)
        return [context.get_input(), context.instance_id]

    hub = await make_hub({"echo": echo}, {"double": double})
    await hub.run("echo", {"a": 1}, instance_id="e")
    links = await hub.client.restart("e")
    assert links["id"] != "e"
    assert (await hub.wait(links["id"])).output == [{"a": 1}, links["id"]]
    assert (await hub.client.restart("e", restart_with_new_instance_id=False))["id"] == "e"
    assert (await hub.wait("e")).output == [{"a": 1}, "e"]
    with pytest.raises(Exception, match="unexpected status code 400"):
        await hub.client.restart("nobody")


@pytest.mark.conforms(
    "Instance management",
    "rewind repeats what failed; what succeeded is not run again",
    source="learn:azure/azure-functions/durable/durable-functions-instance-management",
)
async def test_rewinding_repeats_what_failed_and_nothing_else(make_hub: MakeHub) -> None:
    repaired: list[bool] = []

    def fragile(number: int) -> int:
        if number == 2 and not repaired:
            raise ValueError("out of order")
        return double(number)

    def inner(context: Context) -> Steps:
        first = yield context.call_activity("double", 10)
        results = yield context.task_all([context.call_activity("fragile", n) for n in (1, 2, 3)])
        return [first, *results]

    def outer(context: Context) -> Steps:
        inside = yield context.call_sub_orchestrator("inner", None, "inside")
        return [*inside, (yield context.call_activity("double", 50))]

    hub = await make_hub({"inner": inner, "outer": outer}, {"double": double, "fragile": fragile})
    assert "out of order" in (await hub.run("outer", instance_id="o")).output
    repaired.append(True)
    await hub.client.rewind("o", "repaired")
    assert (await hub.wait("o", status="Completed")).output == [20, 2, 4, 6, 100]
    assert sorted(hub.invoker.ran) == [
        ("double", 10),
        ("double", 50),
        ("fragile", 1),
        ("fragile", 2),
        ("fragile", 2),
        ("fragile", 3),
    ]
    assert await hub.backend.instances.rewind("o", None) is False


async def test_rewinding_replays_an_orchestrator_that_broke(make_hub: MakeHub) -> None:
    repaired: list[bool] = []

    def work(context: Context) -> Steps:
        done = yield context.call_activity("double", 1)
        if not repaired:
            raise ValueError("not yet")
        return done

    hub = await make_hub({"work": work, "wait": wait}, {"double": double})
    assert (await hub.run("work", instance_id="w")).runtime_status.value == "Failed"
    repaired.append(True)
    await hub.client.rewind("w", "repaired")
    assert (await hub.wait("w", status="Completed")).output == 2
    assert hub.invoker.ran == [("double", 1)]
    await hub.client.start_new("wait", "r")
    with pytest.raises(Exception, match="Cannot rewind an instance in the"):
        await hub.client.rewind("r", "still running")


@pytest.mark.conforms(
    "Instance management",
    "purging deletes instances that are over, and no others",
    source="learn:azure/azure-functions/durable/durable-functions-http-api#purge-multiple-instance-histories",
)
async def test_purging_by_filter_spares_what_still_runs(make_hub: MakeHub) -> None:
    hub = await make_hub({"wait": wait, "broken": broken, "child": child}, {"double": double})
    await hub.client.start_new("wait", "w")
    await hub.run("broken", instance_id="b")
    await hub.run("child", 1, instance_id="c")
    began = (await hub.client.get_status("w")).created_time
    assert began is not None

    url = f"{hub.base}/runtime/webhooks/durabletask/instances/"
    async with httpx.AsyncClient() as http:
        answer = await http.delete(url)
        assert answer.status_code == 400
        assert "createdTimeFrom" in answer.json()["ExceptionMessage"]
    failed = await hub.client.purge_instance_history_by(
        began, runtime_status=[df.OrchestrationRuntimeStatus.Failed]
    )
    assert failed.instances_deleted == 1
    assert (await hub.client.purge_instance_history_by(began)).instances_deleted == 1
    assert (await hub.client.purge_instance_history_by(began)).instances_deleted == 0
    assert await _status(hub, "w") in {"Running", "Pending"}


async def test_a_version_given_at_the_start_reaches_the_orchestrator(make_hub: MakeHub) -> None:
    def versioned(context: Context) -> Any:
        return context.version

    hub = await make_hub({"versioned": versioned})
    instance_id = await hub.client.start_new("versioned", version="2.1")
    assert (await hub.wait(instance_id)).output == "2.1"
    restarted = await hub.client.restart(instance_id)
    assert (await hub.wait(restarted["id"])).output == "2.1"


async def test_starting_can_wait_for_the_end(make_hub: MakeHub) -> None:
    hub = await make_hub({"child": child, "wait": wait, "broken": broken}, {"double": double})
    url = f"{hub.base}/runtime/webhooks/durabletask/orchestrators"
    async with httpx.AsyncClient() as http:
        done = await http.post(f"{url}/child?timeout=10&pollingInterval=0.02", json="4")
        failed = await http.post(f"{url}/broken?timeout=10&pollingInterval=0.02")
        late = await http.post(f"{url}/wait?timeout=0.05&pollingInterval=0.02")
    assert (done.status_code, done.json()["value"]) == (200, 8)
    assert (failed.status_code, failed.json()["runtimeStatus"]) == (500, "Failed")
    assert late.status_code == 202
