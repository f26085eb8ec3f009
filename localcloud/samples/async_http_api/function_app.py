"""Async HTTP API: long work is accepted with 202 and a place to ask how it goes."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="reports", methods=["POST"])
@app.durable_client_input(client_name="client")
async def request_report(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Begin a report; 202 with `Location` and `Retry-After`."""
    instance_id = await client.start_new("write_report", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="reports/now", methods=["POST"])
@app.durable_client_input(client_name="client")
async def wait_for_report(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Begin a report; 200 with it if it is done within `?timeout=` seconds, else 202."""
    instance_id = await client.start_new("write_report", client_input=req.get_json())
    return await client.wait_for_completion_or_create_check_status_response(
        req,
        instance_id,
        timeout_in_milliseconds=round(float(req.params.get("timeout", "10")) * 1000),
        retry_interval_in_milliseconds=200,
    )


@app.route(route="reports/{instance}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def report_progress(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Where a report stands, in the application's own words; 404 for one that nobody asked for."""
    status = await client.get_status(req.route_params["instance"])
    if status is None or status.runtime_status is None:
        return func.HttpResponse("no such report", status_code=404)
    return func.HttpResponse(f"{status.runtime_status.value}: {status.custom_status}")


@app.orchestration_trigger(context_name="context")
def write_report(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Write chapter after chapter, pausing in between, and tell the progress."""
    order: dict[str, Any] = context.get_input()
    chapters = []
    for number, title in enumerate(order["chapters"], start=1):
        chapters.append((yield context.call_activity("write_chapter", title)))
        context.set_custom_status(f"{number} of {len(order['chapters'])} chapters")
        pause = timedelta(seconds=order.get("pause_s", 0))
        yield context.create_timer(context.current_utc_datetime + pause)
    return "\n".join(chapters)


@app.activity_trigger(input_name="title")
async def write_chapter(title: str) -> str:
    """One chapter."""
    return f"{title}: all is well."
