"""Counter entity: a small piece of state with a name, changed by one operation after the other."""

import json
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="counters/{key}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def read_counter(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """The counter's value; 404 when there is none."""
    state = await client.read_entity_state(df.EntityId("Counter", req.route_params["key"]))
    if not state.entity_exists:
        return func.HttpResponse("no such counter", status_code=404)
    return func.HttpResponse(json.dumps(state.entity_state), mimetype="application/json")


@app.route(route="counters/{key}/{operation}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def signal_counter(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Send the counter an operation with the body as its input, and do not wait."""
    entity = df.EntityId("Counter", req.route_params["key"])
    given = req.get_json() if req.get_body() else None
    await client.signal_entity(entity, req.route_params["operation"], given)
    return func.HttpResponse(status_code=202)


@app.route(route="transfers", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_transfer(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    """Move an amount: `{"source": "...", "target": "...", "amount": 1}`."""
    instance_id = await client.start_new("transfer", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def transfer(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Take from one counter what the other gets, unless it holds less than that."""
    order: dict[str, Any] = context.get_input()
    source = df.EntityId("Counter", order["source"])
    target = df.EntityId("Counter", order["target"])
    held = yield context.call_entity(source, "get")
    if held < order["amount"]:
        return {"moved": 0, "source": held}
    left = yield context.call_entity(source, "add", -order["amount"])
    context.signal_entity(target, "add", order["amount"])
    return {"moved": order["amount"], "source": left}


@app.entity_trigger(context_name="context", entity_name="Counter")
def counter(context: df.DurableEntityContext) -> None:
    """Add, reset, get and delete."""
    value = context.get_state(lambda: 0)
    match context.operation_name:
        case "add":
            value += context.get_input()
        case "reset":
            value = 0
        case "get":
            pass
        case "delete":
            context.destruct_on_exit()
            return
        case unknown:
            raise ValueError(f"a counter cannot {unknown}")
    context.set_state(value)
    context.set_result(value)
