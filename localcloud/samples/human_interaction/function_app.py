"""Human interaction: asks a person for an approval, and escalates when none comes in time."""

import json
from collections.abc import Generator
from datetime import timedelta
from typing import Any, TypedDict

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
EVENT = "ApprovalEvent"


class Decision(TypedDict):
    """What was asked, and the answer's body."""

    what: str
    answer: dict[str, bool]


@app.route(route="requests", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_request(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Ask for an approval: `{"what": "...", "within_s": 3600}`."""
    instance_id = await client.start_new("ask_for_approval", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="requests/{instance}/answer", methods=["POST"])
@app.durable_client_input(client_name="client")
async def answer_request(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """The person's answer: `{"approved": true}`."""
    await client.raise_event(req.route_params["instance"], EVENT, req.get_json())
    return func.HttpResponse(status_code=202)


@app.orchestration_trigger(context_name="context")
def ask_for_approval(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Wait for the answer or the time limit, whichever comes first."""
    order: dict[str, Any] = context.get_input()
    yield context.call_activity("send_request", order["what"])
    due = context.current_utc_datetime + timedelta(seconds=order["within_s"])
    time_limit = context.create_timer(due)
    answer = context.wait_for_external_event(EVENT)
    winner = yield context.task_any([answer, time_limit])
    if winner is time_limit:
        return (yield context.call_activity("escalate", order["what"]))
    time_limit.cancel()
    # The SDK's client wraps what it raises into JSON text; whoever posts to the link does not.
    said = answer.result
    decision = {
        "what": order["what"],
        "answer": json.loads(said) if isinstance(said, str) else said,
    }
    return (yield context.call_activity("process_answer", decision))


@app.activity_trigger(input_name="what")
def send_request(what: str) -> str:
    """Tell the person what is asked."""
    return f"Please approve: {what}"


@app.activity_trigger(input_name="decision")
def process_answer(decision: Decision) -> str:
    """Do what the person decided."""
    verb = "approved" if decision["answer"]["approved"] else "rejected"
    return f"{decision['what']} was {verb}"


@app.activity_trigger(input_name="what")
def escalate(what: str) -> str:
    """Ask somebody higher up."""
    return f"{what} was escalated"
