"""Eternal orchestration: does its work, rests, and begins anew with a clean history."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
INSTANCE = "periodic-cleanup"

_cleaned: list[int] = []
"""What was cleaned up, round by round."""


@app.route(route="cleanup", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_cleanup(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Let the one cleanup run from now on: `{"round": 1, "rest_s": 3600}`."""
    await client.start_new("clean_up", INSTANCE, req.get_json())
    return client.create_check_status_response(req, INSTANCE)


@app.route(route="cleanup", methods=["DELETE"])
@app.durable_client_input(client_name="client")
async def stop_cleanup(
    req: func.HttpRequest,  # noqa: ARG001 - the trigger
    client: df.DurableOrchestrationClient,
) -> func.HttpResponse:
    """Let it end."""
    await client.terminate(INSTANCE, "asked to stop")
    return func.HttpResponse(status_code=202)


@app.route(route="cleanup/rounds", methods=["GET"])
def rounds(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger
    """How many rounds are done."""
    return func.HttpResponse(str(len(set(_cleaned))))


@app.orchestration_trigger(context_name="context")
def clean_up(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """One round, a rest, and then the next round as the same instance."""
    order: dict[str, Any] = context.get_input()
    yield context.call_activity("remove_leftovers", order["round"])
    rested = context.current_utc_datetime + timedelta(seconds=order["rest_s"])
    yield context.create_timer(rested)
    context.continue_as_new({"round": order["round"] + 1, "rest_s": order["rest_s"]})


@app.activity_trigger(input_name="number")
def remove_leftovers(number: int) -> int:
    """Clean up once."""
    _cleaned.append(number)
    return number
