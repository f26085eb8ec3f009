"""Megabytes, months, orphans, and what keeps failing."""

import json
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import pytest
from psycopg import AsyncConnection

from localcloud.tests.durable.conftest import MakeHub
from localcloud.tests.durable.sdk import WorkerCrashed, until

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext
type Database = AsyncConnection[Any]

MEGABYTES = "é☂\U0001f600x" * 200_000


async def _rows(database: Database, query: Any) -> list[Any]:
    return await (await database.execute(query)).fetchall()


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_megabytes_pass_through_inputs_results_events_and_outputs(
    make_hub: MakeHub,
) -> None:
    def large(context: Context) -> Steps:
        echoed = yield context.call_activity("same", context.get_input())
        event = yield context.wait_for_external_event("Bulk")
        return [echoed, json.loads(event) == MEGABYTES]

    hub = await make_hub({"large": large}, {"same": lambda value: value})
    instance_id = await hub.client.start_new("large", None, MEGABYTES)
    await hub.client.raise_event(instance_id, "Bulk", MEGABYTES)
    status = await hub.wait(instance_id)
    assert status.output == [MEGABYTES, True]


async def test_a_timer_of_months_is_one_timer(make_hub: MakeHub, database: Database) -> None:
    def patient(context: Context) -> Steps:
        long = context.create_timer(context.current_utc_datetime + timedelta(days=200))
        yield context.task_any([long, context.wait_for_external_event("Stop")])
        long.cancel()

    hub = await make_hub({"patient": patient})
    instance_id = await hub.client.start_new("patient")

    async def asleep() -> bool:
        return len(await _rows(database, "SELECT FROM durable.inbox WHERE timer_id = 0")) == 1

    await until(asleep)
    due = await _rows(
        database,
        "SELECT visible_at - now() BETWEEN interval '199 days' AND interval '200 days'"
        " FROM durable.inbox",
    )
    assert due == [(True,)]
    await hub.client.raise_event(instance_id, "Stop", 1)
    await hub.wait(instance_id)
    assert await _rows(database, "SELECT FROM durable.inbox") == []


async def test_what_a_purged_instance_left_running_ends_without_a_trace(
    make_hub: MakeHub, database: Database
) -> None:
    def parent(context: Context) -> Steps:
        yield context.call_sub_orchestrator("working", None, "child")

    def working(context: Context) -> Steps:
        yield context.call_activity("slow")

    async def slow(_: Any) -> None:
        await hub.backend.instances.purge("p")
        await hub.backend.instances.purge("child")

    hub = await make_hub({"parent": parent, "working": working}, {"slow": slow})
    await hub.client.start_new("parent", "p")

    async def ran() -> bool:
        return bool(hub.invoker.ran) and not hub.backend._activities.running

    await until(ran)
    for table in ("instances", "inbox", "tasks", "history"):
        assert await _rows(database, f"SELECT FROM durable.{table}") == []


async def test_the_database_shows_what_keeps_failing(make_hub: MakeHub, database: Database) -> None:
    def doomed(context: Context) -> Steps:
        yield context.call_activity("poison")

    def poison(_: Any) -> None:
        raise WorkerCrashed

    def crash(function: str) -> None:
        if function == "hopeless":
            raise WorkerCrashed

    hub = await make_hub(
        {"doomed": doomed, "hopeless": doomed},
        {"poison": poison},
        max_attempts=2,
        first_pause_s=0.3,
    )
    hub.invoker.after = crash
    await hub.client.start_new("hopeless", "h")
    await hub.client.start_new("doomed", "d")
    shown = "SELECT sort, instance_id, name, attempts, given_up FROM durable.failing ORDER BY sort"

    async def retried() -> bool:
        return ("activity", "d", "poison", 2, False) in await _rows(database, shown)

    await until(retried)
    await hub.wait("d", status="Failed")
    set_aside = "SELECT FROM durable.failing WHERE given_up"

    async def quarantined() -> bool:
        return len(await _rows(database, set_aside)) == 1

    await until(quarantined)
    assert await _rows(database, shown) == [("turn", "h", "hopeless", 3, True)]
