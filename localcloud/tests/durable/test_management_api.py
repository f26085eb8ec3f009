"""The HTTP API: what the SDK's client does with it, and what it answers to anybody."""

import json
from collections.abc import AsyncIterator, Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import httpx
import pytest
from psycopg import AsyncConnection

from localcloud.tests.durable.conftest import MakeHub
from localcloud.tests.durable.sdk import KEY, Hub

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext

PUBLIC = "/runtime/webhooks/durabletask"


def echo(context: Context) -> Steps:
    return (yield context.call_activity("same", context.get_input()))


def wait(context: Context) -> Steps:
    return (yield context.wait_for_external_event("Go"))


def broken(_: Context) -> Any:
    raise ValueError("broken")


def same(value: Any) -> Any:
    return value


@pytest.fixture
async def hub(make_hub: MakeHub) -> Hub:
    return await make_hub({"echo": echo, "wait": wait, "broken": broken}, {"same": same})


@pytest.fixture
async def http(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=hub.base + PUBLIC) as client:
        yield client


@pytest.mark.conforms(
    "HTTP API",
    "starting answers 202 with the management links, Location and Retry-After",
    source="learn:azure/azure-functions/durable/durable-functions-http-api#start-orchestration",
)
async def test_starting_answers_the_management_links(hub: Hub, http: httpx.AsyncClient) -> None:
    answer = await http.post("/orchestrators/echo/my-id", json={"a": 1})

    assert answer.status_code == 202
    base = "http://public.example/runtime/webhooks/durabletask/instances/my-id"
    query = "taskHub=TestHub&connection=Storage&code=a%20key/with%3Dsigns"
    assert answer.json() == {
        "id": "my-id",
        "statusQueryGetUri": f"{base}?{query}",
        "sendEventPostUri": f"{base}/raiseEvent/{{eventName}}?{query}",
        "terminatePostUri": f"{base}/terminate?reason={{text}}&{query}",
        "purgeHistoryDeleteUri": f"{base}?{query}",
        "restartPostUri": f"{base}/restart?{query}",
        "suspendPostUri": f"{base}/suspend?reason={{text}}&{query}",
        "resumePostUri": f"{base}/resume?reason={{text}}&{query}",
    }
    assert answer.headers["location"] == f"{base}?{query}"
    assert answer.headers["retry-after"] == "10"
    assert (await hub.wait("my-id")).output == {"a": 1}


@pytest.mark.conforms(
    "HTTP API",
    "starting an id that still runs is a 409",
    source="learn:azure/azure-functions/durable/durable-functions-singletons",
)
async def test_an_id_that_still_runs_is_refused_in_azures_words(hub: Hub) -> None:
    await hub.client.start_new("wait", "taken")
    with pytest.raises(Exception, match="An Orchestration instance with the status") as refusal:
        await hub.client.start_new("wait", "taken")

    error: dict[str, str] = refusal.value.args[0]
    assert error["ExceptionMessage"] in {
        "An Orchestration instance with the status Pending already exists.",
        "An Orchestration instance with the status Running already exists.",
    }
    assert error["ExceptionType"].endswith("OrchestrationAlreadyExistsException")


async def test_an_id_that_has_finished_starts_anew(
    hub: Hub, database: AsyncConnection[Any]
) -> None:
    assert (await hub.run("echo", 1, instance_id="again")).output == 1
    assert (await hub.run("echo", 2, instance_id="again")).output == 2
    cursor = await database.execute("SELECT count(DISTINCT execution_id) FROM durable.history")
    assert await cursor.fetchone() == (1,)


async def test_an_unknown_orchestrator_is_a_bad_request(hub: Hub) -> None:
    with pytest.raises(
        Exception, match="The function 'Nope' doesn't exist, is disabled, or is not"
    ):
        await hub.client.start_new("Nope")


async def test_input_that_is_not_json_is_refused(http: httpx.AsyncClient) -> None:
    for body in (b"{", b"\xff", b"plain"):
        answer = await http.post("/orchestrators/echo", content=body)
        assert answer.status_code == 400
        assert answer.json()["ExceptionMessage"] == "Invalid JSON content"


async def test_ids_that_azure_refuses_are_refused(http: httpx.AsyncClient) -> None:
    for bad in ("@id", "x" * 257, "a%5Cb", "a%23b", "a%3Fb", "a%07b", "a%00b"):
        assert (await http.post(f"/orchestrators/echo/{bad}")).status_code == 400


@pytest.mark.conforms(
    "HTTP API",
    "the status is 202 while it runs and 200 when it is over",
    source="learn:azure/azure-functions/durable/durable-functions-http-api#get-instance-status",
)
async def test_a_running_instance_answers_202_and_a_finished_one_200(
    hub: Hub, http: httpx.AsyncClient
) -> None:
    await hub.client.start_new("wait", "w", {"x": 1})
    running = await http.get("/instances/w")
    assert running.status_code == 202
    assert running.headers["retry-after"] == "5"
    assert running.headers["location"].endswith("/instances/w")

    await hub.client.raise_event("w", "go", "ok")
    await hub.wait("w")
    finished = await http.get("/instances/w")
    assert finished.status_code == 200
    status = finished.json()
    assert status.pop("createdTime").endswith("Z")
    assert status.pop("lastUpdatedTime").endswith("Z")
    assert status == {
        "name": "wait",
        "instanceId": "w",
        "runtimeStatus": "Completed",
        "input": '{"x": 1}',
        "customStatus": None,
        "output": '"ok"',
    }
    assert (await http.get("/instances/w?showInput=false")).json()["input"] is None


async def test_a_raw_event_keeps_its_shape(hub: Hub, http: httpx.AsyncClient) -> None:
    await hub.client.start_new("wait", "w")
    sent = await http.post("/instances/w/raiseEvent/Go", json={"by": "ann"})
    assert sent.status_code == 202
    assert sent.content == b""
    assert (await hub.wait("w")).output == {"by": "ann"}


@pytest.mark.conforms(
    "HTTP API",
    "a failed instance is a 500 only with returnInternalServerErrorOnFailure",
    source="learn:azure/azure-functions/durable/durable-functions-http-api#get-instance-status",
)
async def test_a_failed_instance_answers_500_only_when_asked_to(
    hub: Hub, http: httpx.AsyncClient
) -> None:
    await hub.run("broken", instance_id="b")
    assert (await http.get("/instances/b")).status_code == 200
    asked = await http.get("/instances/b?returnInternalServerErrorOnFailure=true")
    assert asked.status_code == 500
    assert asked.json()["output"] == "Orchestrator function 'broken' failed: broken"


async def test_history_shows_each_activity_once_with_its_schedule(
    hub: Hub, http: httpx.AsyncClient
) -> None:
    await hub.run("echo", "x", instance_id="h")
    query = "showHistory=True&showHistoryOutput=True"
    shown = (await http.get(f"/instances/h?{query}")).json()["historyEvents"]

    assert [sorted(event) for event in shown] == [
        ["EventType", "FunctionName", "Input", "Timestamp"],
        ["EventType", "FunctionName", "Input", "Result", "ScheduledTime", "Timestamp"],
        ["EventType", "OrchestrationStatus", "Result", "Timestamp"],
    ]
    assert [event["EventType"] for event in shown] == [
        "ExecutionStarted",
        "TaskCompleted",
        "ExecutionCompleted",
    ]
    assert shown[1]["FunctionName"] == "same"
    assert shown[1]["Input"] == '["\\"x\\""]'
    assert shown[1]["Result"] == "x"
    assert len(shown[1]["ScheduledTime"]) == len("2026-11-24T03:04:05.1234560Z")

    bare = (await http.get("/instances/h?showHistory=true&showInput=false")).json()
    assert [sorted(event) for event in bare["historyEvents"]] == [
        ["EventType", "FunctionName", "Timestamp"],
        ["EventType", "FunctionName", "ScheduledTime", "Timestamp"],
        ["EventType", "OrchestrationStatus", "Timestamp"],
    ]


@pytest.mark.conforms(
    "HTTP API",
    "terminating ends an instance, with the reason as its output",
    source="learn:azure/azure-functions/durable/durable-functions-http-api#terminate-instance",
)
async def test_terminating_ends_an_instance_with_the_reason_as_output(hub: Hub) -> None:
    await hub.client.start_new("wait", "t")
    await hub.client.terminate("t", "stop & go")
    status = await hub.wait("t")
    assert status.runtime_status is df.OrchestrationRuntimeStatus.Terminated
    assert status.output == "stop & go"


@pytest.mark.conforms(
    "HTTP API",
    "raising an event: 410 for an instance that is over, 404 for none",
    source="learn:azure/azure-functions/durable/durable-functions-http-api#raise-event",
)
async def test_a_finished_or_missing_instance_takes_no_events(
    hub: Hub, http: httpx.AsyncClient, database: AsyncConnection[Any]
) -> None:
    await hub.run("echo", 1, instance_id="done")
    with pytest.raises(Exception, match="Instance with ID done is gone"):
        await hub.client.raise_event("done", "go", 1)
    with pytest.raises(Exception, match="No instance with ID missing found"):
        await hub.client.raise_event("missing", "go", 1)
    assert (await http.post("/instances/done/terminate?reason=x")).status_code == 410
    assert (await http.post("/instances/missing/terminate")).status_code == 404
    assert (await http.get("/instances/missing")).status_code == 404
    assert (await http.get("/instances/%00")).status_code == 404
    cursor = await database.execute("SELECT count(*) FROM durable.inbox")
    assert await cursor.fetchone() == (0,)


async def test_an_event_that_is_not_json_is_refused(hub: Hub, http: httpx.AsyncClient) -> None:
    await hub.client.start_new("wait", "w")
    path = "/instances/w/raiseEvent/Go"
    assert (await http.post(path, content=b"1")).status_code == 400
    headers = {"content-type": "application/json"}
    assert (await http.post(path, content=b"{", headers=headers)).status_code == 400


async def test_purging_deletes_an_instance_and_its_history(
    hub: Hub, database: AsyncConnection[Any]
) -> None:
    await hub.run("echo", 1, instance_id="p")
    assert (await hub.client.purge_instance_history("p")).instances_deleted == 1
    assert (await hub.client.purge_instance_history("p")).instances_deleted == 0
    assert not await hub.client.get_status("p")
    cursor = await database.execute(
        """
        SELECT (SELECT count(*) FROM durable.instances), (SELECT count(*) FROM durable.history),
            (SELECT count(*) FROM durable.inbox), (SELECT count(*) FROM durable.tasks)
        """
    )
    assert await cursor.fetchone() == (0, 0, 0, 0)


@pytest.mark.conforms(
    "HTTP API",
    "lists filter by status, time and id prefix, and continue by x-ms-continuation-token",
    source="learn:azure/azure-functions/durable/durable-functions-http-api#get-all-instances-status",
)
async def test_lists_filter_and_continue_where_they_stopped(
    hub: Hub, http: httpx.AsyncClient
) -> None:
    for number in range(3):
        await hub.run("echo", number, instance_id=f"a-{number}")
    await hub.client.start_new("wait", "b-0")

    async def ids(query: str, token: str = "") -> tuple[list[str], str]:
        answer = await http.get(f"/instances{query}", headers={"x-ms-continuation-token": token})
        assert answer.status_code == 200
        found = [status["instanceId"] for status in answer.json()]
        return found, answer.headers["x-ms-continuation-token"]

    assert await ids("/") == (["a-0", "a-1", "a-2", "b-0"], "")
    assert await ids("?runtimeStatus=Pending,Running") == (["b-0"], "")
    assert await ids("?instanceIdPrefix=a-&runtimeStatus=Completed") == (["a-0", "a-1", "a-2"], "")
    assert await ids(
        "?createdTimeFrom=2000-01-01T00:00:00Z&createdTimeTo=2001-01-01T00:00:00Z"
    ) == (
        [],
        "",
    )
    page, token = await ids("?top=3")
    assert page == ["a-0", "a-1", "a-2"]
    assert await ids("?top=3", token) == (["b-0"], "")
    for bad in ("top=x", "top=-1", "createdTimeFrom=x"):
        assert (await http.get(f"/instances?{bad}")).status_code == 400
    for forged in ("x", "W10=", "MQ=="):
        answer = await http.get("/instances", headers={"x-ms-continuation-token": forged})
        assert answer.status_code == 400
    statuses = await hub.client.get_status_all()
    assert [status.instance_id for status in statuses] == ["a-0", "a-1", "a-2", "b-0"]
    running = [df.OrchestrationRuntimeStatus.Completed]
    by = await hub.client.get_status_by(runtime_status=running, instance_id_prefix="a-1")
    assert [status.output for status in by] == [1]


async def test_the_clients_check_status_response_leads_back_here(
    hub: Hub, http: httpx.AsyncClient
) -> None:
    await hub.run("echo", 1, instance_id="c")
    request = func.HttpRequest("POST", hub.base + "/api/x", body=b"")
    response = hub.client.create_check_status_response(request, "c")
    assert response.status_code == 202
    links = json.loads(response.get_body())
    assert links["id"] == "c"
    assert (await http.get(links["statusQueryGetUri"])).json()["output"] == 1


async def test_waiting_for_completion_answers_the_output(hub: Hub) -> None:
    await hub.run("echo", [1, 2], instance_id="c")
    request = func.HttpRequest("POST", hub.base + "/api/x", body=b"")
    response = await hub.client.wait_for_completion_or_create_check_status_response(request, "c")
    assert response.status_code == 200
    assert json.loads(response.get_body()) == [1, 2]


async def test_the_public_prefix_wants_its_key_and_the_inner_one_does_not(
    make_hub: MakeHub,
) -> None:
    hub = await make_hub({"echo": echo}, {"same": same}, require_key=True)
    assert (await hub.run("echo", 1, instance_id="k")).output == 1
    async with httpx.AsyncClient(base_url=hub.base + PUBLIC) as http:
        assert (await http.get("/instances/k")).status_code == 401
        assert (await http.get("/instances/k?code=wrong")).status_code == 401
        assert (await http.get("/instances/k", params={"code": KEY})).status_code == 200
