"""An app of orchestrations: a chain, a fan-out, a wait, failures, and the ways to start them."""

import asyncio
import json
import os
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from azure.durable_functions.models.Task import TaskBase

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
EVIDENCE = Path(os.environ["EVIDENCE"])
ONCE_MORE = df.RetryOptions(first_retry_interval_in_milliseconds=50, max_number_of_attempts=2)
Orchestration = Generator[TaskBase, Any, Any]


@app.route(route="start/{name}/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Start an orchestration with the body as its input."""
    instance_id = await client.start_new(
        req.route_params["name"], req.route_params["id"], req.get_json()
    )
    return client.create_check_status_response(req, instance_id)


@app.route(route="raise/{id}/{event}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def tell(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Raise an event with the body as its data."""
    route = req.route_params
    await client.raise_event(route["id"], route["event"], req.get_json())
    return func.HttpResponse(status_code=202)


@app.route(route="late/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_late(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Start an orchestration only when a file appears."""
    await asyncio.to_thread((EVIDENCE / "late_begun").touch)
    await appearance(EVIDENCE / "late_go")
    await client.start_new("chain", req.route_params["id"], 1)
    return func.HttpResponse("started")


async def appearance(file: Path) -> None:
    """Wait until `file` is there."""
    while not file.exists():  # noqa: ASYNC110, ASYNC240 - another process makes this local file
        await asyncio.sleep(0.02)


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext) -> Orchestration:
    """Three steps, one after the other."""
    number = context.get_input()
    for _ in range(3):
        number = yield context.call_activity("add_one", number)
    return number


@app.orchestration_trigger(context_name="context", orchestration="Fan Out")
def fan_out(context: df.DurableOrchestrationContext) -> Orchestration:
    """As many steps at once as the input says."""
    tasks = [context.call_activity("add_one", n) for n in range(context.get_input())]
    numbers = yield context.task_all(tasks)
    return sum(numbers)


@app.orchestration_trigger(context_name="context")
def wait(context: df.DurableOrchestrationContext) -> Orchestration:
    """An event, or a time-out."""
    answer = context.wait_for_external_event("answer")
    timeout = context.create_timer(context.current_utc_datetime + timedelta(minutes=5))
    winner = yield context.task_any([answer, timeout])
    timeout.cancel()
    return json.loads(answer.result) if winner is answer else "too late"


@app.orchestration_trigger(context_name="context")
def fail(context: df.DurableOrchestrationContext) -> Orchestration:
    """A step that fails twice, then the orchestration itself."""
    try:
        yield context.call_activity_with_retry("refuse", ONCE_MORE, "step")
    except Exception as error:  # noqa: BLE001 - the SDK raises every failure as Exception
        raise RuntimeError(f"gave up: {error}") from None


@app.orchestration_trigger(context_name="context")
def slow(context: df.DurableOrchestrationContext) -> Orchestration:
    """A step that waits for a file."""
    return (yield context.call_activity("wait_for_file", context.get_input()))


@app.activity_trigger(input_name="number", activity="add_one")
def add(number: int) -> int:
    """One more."""
    return number + 1


@app.activity_trigger(input_name="what")
async def refuse(what: str) -> None:
    """Fail, and count it."""
    with (EVIDENCE / "refusals").open("a") as file:
        file.write(f"{what}\n")
    raise ValueError(f"no {what}")


@app.activity_trigger(input_name="name")
async def wait_for_file(name: str) -> str:
    """Wait until a file appears."""
    await asyncio.to_thread((EVIDENCE / f"{name}_begun").touch)
    await appearance(EVIDENCE / name)
    return "seen"
