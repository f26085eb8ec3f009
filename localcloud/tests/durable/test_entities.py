"""Entities through the real SDK: calls, signals, state, order, errors, their HTTP API."""

import asyncio
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import httpx
import pytest
from psycopg import AsyncConnection

from localcloud.durable import events
from localcloud.durable.entities import Operated
from localcloud.durable.store import leased_turn
from localcloud.tests.durable.conftest import MakeHub
from localcloud.tests.durable.sdk import Hub, WorkerCrashed, until

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext

COUNTER = df.EntityId("Counter", "k")


def counter(context: df.DurableEntityContext) -> None:
    total = context.get_state(lambda: 0)
    match context.operation_name:
        case "add":
            total += context.get_input()
            context.set_state(total)
            context.set_result(total)
        case "get":
            context.set_result(total)
        case "nothing":
            pass
        case "delete":
            context.destruct_on_exit()
        case name:
            raise ValueError(f"cannot {name}")


def log(context: df.DurableEntityContext) -> None:
    entries = context.get_state(list)
    entries.append(context.get_input())
    context.set_state(entries)
    context.set_result(entries)


def adding(context: Context) -> Steps:
    return (yield context.call_entity(COUNTER, "add", context.get_input()))


async def _total(hub: Hub, key: str = "k") -> Any:
    state = await hub.client.read_entity_state(df.EntityId("Counter", key))
    return state.entity_state if state.entity_exists else None


async def test_a_call_gives_the_result_and_keeps_the_state(make_hub: MakeHub) -> None:
    hub = await make_hub({"adding": adding}, entities={"Counter": counter})
    assert await _total(hub) is None
    assert (await hub.run("adding", 5)).output == 5
    assert (await hub.run("adding", 3)).output == 8
    assert await _total(hub) == 8


@pytest.mark.conforms(
    "Entities",
    "operations from one sender keep their order",
    source="learn:azure/azure-functions/durable/durable-functions-entities",
)
async def test_operations_of_one_orchestration_keep_their_order(make_hub: MakeHub) -> None:
    def writing(context: Context) -> Steps:
        journal = df.EntityId("log", "j")
        for number in range(5):
            context.signal_entity(journal, "write", number + 1)
        return (yield context.call_entity(journal, "write", "end"))

    hub = await make_hub({"writing": writing}, entities={"log": log})
    assert (await hub.run("writing")).output == [1, 2, 3, 4, 5, "end"]


@pytest.mark.conforms(
    "Entities",
    "the operations of an entity run one after the other",
    source="learn:azure/azure-functions/durable/durable-functions-entities",
)
async def test_many_callers_lose_no_update(make_hub: MakeHub) -> None:
    hub = await make_hub({"adding": adding}, entities={"counter": counter})
    ids = [await hub.client.start_new("adding", None, 1) for _ in range(20)]
    results = [(await hub.wait(each)).output for each in ids]
    assert sorted(results) == list(range(1, 21))
    assert await _total(hub) == 20


@pytest.mark.conforms(
    "Entities",
    "an exception reaches the caller as a failure, and the entity lives on",
    source="learn:azure/azure-functions/durable/durable-functions-entities",
)
async def test_an_error_reaches_the_caller_and_only_the_caller(make_hub: MakeHub) -> None:
    def trying(context: Context) -> Steps:
        try:
            yield context.call_entity(COUNTER, "juggle")
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
            after = yield context.call_entity(COUNTER, "add", 1)
            return [str(error), after]

    hub = await make_hub({"trying": trying}, entities={"counter": counter})
    assert (await hub.run("trying")).output == ["cannot juggle", 1]


async def test_an_operation_without_result_gives_none_not_its_predecessors(
    make_hub: MakeHub,
) -> None:
    def both(context: Context) -> Steps:
        return (
            yield context.task_all(
                [context.call_entity(COUNTER, "add", 1), context.call_entity(COUNTER, "nothing")]
            )
        )

    hub = await make_hub({"both": both}, entities={"counter": counter})
    assert (await hub.run("both")).output == [1, None]


@pytest.mark.conforms(
    "Entities",
    "an entity without state is deleted",
    source="learn:azure/azure-functions/durable/durable-functions-entities",
)
async def test_a_deleted_entity_leaves_nothing_behind(
    make_hub: MakeHub, database: AsyncConnection[Any]
) -> None:
    def life(context: Context) -> Steps:
        yield context.call_entity(COUNTER, "add", 7)
        yield context.call_entity(COUNTER, "delete")
        return (yield context.call_entity(COUNTER, "add", 1))

    hub = await make_hub({"life": life}, entities={"counter": counter})
    assert (await hub.run("life")).output == 1
    await hub.client.signal_entity(COUNTER, "delete")

    async def gone() -> bool:
        cursor = await database.execute(
            "SELECT count(*) FROM durable.instances WHERE instance_id LIKE '@%'"
        )
        return await cursor.fetchone() == (0,)

    await until(gone)
    assert await _total(hub) is None


async def test_clients_signal_and_list_entities(make_hub: MakeHub) -> None:
    hub = await make_hub({"adding": adding}, entities={"counter": counter, "log": log})
    for key in ("a", "b", ""):
        await hub.client.signal_entity(df.EntityId("Counter", key or "$"), "add", 4)
    await hub.client.signal_entity(df.EntityId("log", "a"), "write", "x")

    async def all_there() -> bool:
        return [await _total(hub, key) for key in ("a", "b", "$")] == [4, 4, 4]

    await until(all_there)
    url = f"{hub.base}/runtime/webhooks/durabletask/entities"
    async with httpx.AsyncClient() as http:
        page = await http.get(f"{url}/counter?top=2&fetchState=true")
        token = page.headers["x-ms-continuation-token"]
        rest = await http.get(f"{url}/counter?top=2", headers={"x-ms-continuation-token": token})
        unknown = await http.post(f"{url}/nobody/k?op=add", json=1)
        missing = await http.get(f"{url}/counter/none")
        not_json = await http.post(f"{url}/counter/k?op=add", content=b"{")
        deleted = await http.delete(f"{url}/counter/a")
    assert [entity["entityId"]["key"] for entity in page.json()] == ["a", "b"]
    assert [entity["state"] for entity in page.json()] == [4, 4]
    assert [entity["entityId"] for entity in rest.json()] == [{"name": "counter", "key": ""}]
    assert "state" not in rest.json()[0]
    assert "'nobody' doesn't exist" in unknown.json()["ExceptionMessage"]
    assert (unknown.status_code, missing.status_code, not_json.status_code) == (400, 404, 400)
    assert deleted.status_code == 202


async def test_entities_are_not_listed_among_instances(make_hub: MakeHub) -> None:
    hub = await make_hub({"adding": adding}, entities={"counter": counter})
    await hub.run("adding", 1, instance_id="i")
    assert [each.instance_id for each in await hub.client.get_status_all()] == ["i"]


async def test_an_unknown_entity_fails_the_orchestrator(make_hub: MakeHub) -> None:
    hub = await make_hub({"adding": adding})
    assert "The function 'counter' doesn't exist" in (await hub.run("adding", 1)).output


async def test_an_operation_that_crashes_its_worker_fails_and_lets_the_next_run(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    def poisoned(context: Context) -> Steps:
        try:
            yield context.call_entity(COUNTER, "add", 1)
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
            return [str(error), (yield context.call_entity(COUNTER, "add", 2))]

    crashes: list[str] = []

    def crash(_: str) -> None:
        if len(crashes) < 3:
            crashes.append("crash")
            raise WorkerCrashed

    hub = await make_hub({"poisoned": poisoned}, entities={"counter": counter}, max_attempts=3)
    hub.invoker.after_entity = crash
    status = await hub.run("poisoned")
    assert status.output == ["the worker gave it up 3 times", 2]
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["operation 'add' of @counter@k is given up after 3 attempts"]


async def test_signals_of_clients_are_done_in_the_order_they_came(make_hub: MakeHub) -> None:
    hub = await make_hub({}, entities={"log": log})
    journal = df.EntityId("log", "j")
    for number in range(40):
        await hub.client.signal_entity(journal, "write", number + 1)

    async def full() -> Any:
        state = await hub.client.read_entity_state(journal)
        entries = state.entity_state if state.entity_exists else []
        await asyncio.sleep(0)
        return entries if len(entries) == 40 else None

    assert await until(full) == list(range(1, 41))


async def test_a_host_that_lost_an_entity_cannot_write_to_its_successor(
    make_hub: MakeHub, database: AsyncConnection[Any]
) -> None:
    hub = await make_hub({"adding": adding}, entities={"counter": counter})
    store = hub.backend.instances._store
    add = events.event_raised("op", events.request("add", "r", '"5"', caller=None))
    async with database.transaction():
        await database.execute(
            "SELECT durable.deliver('@counter@k', NULL, %s, 'counter', 0)", [add]
        )
        cursor = await database.execute("SELECT * FROM durable.take('@counter@k', 99, 60)")
        stale = leased_turn(await cursor.fetchone() or [None])
    assert stale is not None
    await database.execute("SELECT durable.purge('@counter@k')")
    assert (await hub.run("adding", 1)).output == 1

    assert await store.commit_entity(stale, Operated(state="666")) == (False, None)
    assert await _total(hub) == 1
