"""An app whose functions end its process, each in a way of its own."""
# ruff: noqa: ARG001 - a trigger's parameter is there whether the function wants it or not

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from azure.durable_functions.models.Task import TaskBase

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
EVIDENCE = Path(os.environ["EVIDENCE"])


def die(how: str) -> None:
    """End this process, or try to."""
    match how:
        case "exit":
            os._exit(7)
        case "segfault":
            ctypes.string_at(0)
        case "killed":  # as the kernel does when memory runs out
            os.kill(os.getpid(), signal.SIGKILL)
        case "sys.exit":
            sys.exit(3)
        case "memory":
            bytearray(1 << 62)


def first_time(name: str) -> bool:
    """Whether nobody asked before with this name; each time is noted."""
    file = EVIDENCE / name
    seen = file.exists()
    with file.open("a") as out:
        out.write(f"{os.getpid()}\n")
    return not seen


@app.route(route="die/{how}")
async def die_on_the_loop(req: func.HttpRequest) -> func.HttpResponse:
    """End the process from an async function."""
    die(req.route_params["how"])
    return func.HttpResponse("alive")


@app.route(route="die_in_thread/{how}")
def die_in_a_thread(req: func.HttpRequest) -> func.HttpResponse:
    """End the process from a sync function."""
    die(req.route_params["how"])
    return func.HttpResponse("alive")


@app.route(route="wait/{number}")
async def wait(req: func.HttpRequest) -> func.HttpResponse:
    """Be under way when another function ends the process."""
    (EVIDENCE / f"waiting_{req.route_params['number']}").touch()
    await asyncio.sleep(60)
    return func.HttpResponse("waited")


@app.route(route="pid")
async def pid(req: func.HttpRequest) -> str:
    """Tell which process this is."""
    return f"pid {os.getpid()}"


@app.route(route="start/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Start the orchestration."""
    instance_id = await client.start_new("errand", req.route_params["id"])
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def errand(context: df.DurableOrchestrationContext) -> Generator[TaskBase, Any, Any]:
    """A step that ends the process once, between two that do not."""
    before = yield context.call_activity("run_step", "before")
    deadly = yield context.call_activity("run_step", "deadly")
    after = yield context.call_activity("run_step", "after")
    return [before, deadly, after]


@app.activity_trigger(input_name="step")
def run_step(step: str) -> str:
    """End the process the first time, if told to."""
    if first_time(f"step_{step}") and step == "deadly":
        die("exit")
    return step


@app.service_bus_topic_trigger(
    arg_name="message", topic_name="work", subscription_name="all", connection="Bus"
)
def take(message: func.ServiceBusMessage) -> None:
    """End the process at the first delivery."""
    first = first_time("delivered")
    (EVIDENCE / f"delivery_{message.delivery_count}").touch()
    if first:
        die("killed")
