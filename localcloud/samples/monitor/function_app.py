"""Monitor: looks again and again at a job until it is done or nobody wants to wait longer."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

_jobs: dict[str, str] = {}
"""The outside system, imagined: the state of each job."""


@app.route(route="jobs/{job}", methods=["PUT"])
def set_job(req: func.HttpRequest) -> func.HttpResponse:
    """Say in the body how a job stands."""
    _jobs[req.route_params["job"]] = req.get_body().decode()
    return func.HttpResponse(status_code=204)


@app.route(route="monitors", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_monitor(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Watch a job: `{"job": "...", "interval_s": 1, "within_s": 60}`."""
    instance_id = await client.start_new("watch_job", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def watch_job(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Poll until the job is completed; tell somebody when that does not happen in time."""
    order: dict[str, Any] = context.get_input()
    expires = context.current_utc_datetime + timedelta(seconds=order["within_s"])
    looked = 0
    while context.current_utc_datetime < expires:
        state = yield context.call_activity("look_at_job", order["job"])
        looked += 1
        if state == "completed":
            return {"outcome": "completed", "looked": looked}
        following = context.current_utc_datetime + timedelta(seconds=order["interval_s"])
        yield context.create_timer(following)
    alert = yield context.call_activity("send_alert", order["job"])
    return {"outcome": alert, "looked": looked}


@app.activity_trigger(input_name="job")
async def look_at_job(job: str) -> str:
    """The job's state as the outside system tells it."""
    return _jobs.get(job, "unknown")


@app.activity_trigger(input_name="job")
def send_alert(job: str) -> str:
    """Tell somebody that the job takes too long."""
    return f"{job} is late"
