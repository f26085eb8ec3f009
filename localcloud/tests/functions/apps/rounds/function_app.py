"""An app of Service Bus triggers that take batches and sessions, and of outputs."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any, List  # noqa: UP035 - the worker knows a batch by it

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
EVIDENCE = Path(os.environ["EVIDENCE"])


def note(name: str, **facts: Any) -> None:
    """Append a line of JSON to the file `name`."""
    with (EVIDENCE / name).open("a") as file:
        file.write(json.dumps(facts, default=str) + "\n")


@app.service_bus_queue_trigger(
    arg_name="messages", queue_name="parcels", connection="Bus", cardinality="many"
)
async def take_parcels(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    """Note the batch; refuse one with a fragile parcel the first time."""
    note(
        "parcels",
        bodies=[message.get_body().decode() for message in messages],
        ids=[message.message_id for message in messages],
        deliveries=[message.delivery_count for message in messages],
        kinds=[message.application_properties.get("kind") for message in messages],
    )
    if any(m.get_body() == b"fragile" and m.delivery_count == 1 for m in messages):
        raise ValueError("broken")


@app.service_bus_queue_trigger(
    arg_name="messages",
    queue_name="tours",
    connection="Bus",
    cardinality="many",
    is_sessions_enabled=True,
)
async def guide(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    """Note the batch and its sessions."""
    note(
        "tours",
        bodies=[message.get_body().decode() for message in messages],
        sessions=[message.session_id for message in messages],
    )


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="talks", connection="Bus", is_sessions_enabled=True
)
async def listen(message: func.ServiceBusMessage) -> None:
    """Note what is said, and take the seconds that it takes, or until a file says to end."""
    order = json.loads(message.get_body())
    note("talk", session=message.session_id, n=order["n"], at="begin")
    await asyncio.sleep(order.get("for_s", 0))
    while "until" in order and not (EVIDENCE / order["until"]).exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.02)
    note("talk", session=message.session_id, n=order["n"], at="end")


@app.service_bus_queue_trigger(arg_name="text", queue_name="in", connection="Bus")
@app.service_bus_queue_output(arg_name="copy", queue_name="out", connection="Bus")
@app.service_bus_topic_output(arg_name="$return", topic_name="news", connection="Bus")
def forward(text: str, copy: func.Out[str]) -> str:
    """Pass on what came, and tell of it."""
    copy.set(text)
    return f"passed on {len(text)}"


@app.route("order/{what}", methods=["POST"])
@app.service_bus_queue_output(arg_name="order", queue_name="%ORDERS%", connection="Bus")
def order_it(req: func.HttpRequest, order: func.Out[bytes]) -> func.HttpResponse:
    """Put an order in the queue, if something is ordered."""
    if req.route_params["what"] != "nothing":
        order.set(req.get_body())
    return func.HttpResponse(status_code=202)
