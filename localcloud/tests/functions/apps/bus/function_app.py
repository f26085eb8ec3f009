"""An app of Service Bus triggers that note each delivery in a file."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import azure.functions as func

app = func.FunctionApp()
EVIDENCE = Path(os.environ["EVIDENCE"])


def note(name: str, **facts: Any) -> None:
    """Append a line of JSON to the file `name`."""
    with (EVIDENCE / name).open("a") as file:
        file.write(json.dumps(facts, default=str) + "\n")


async def appearance(file: Path) -> None:
    """Wait until `file` is there."""
    while not file.exists():  # noqa: ASYNC110, ASYNC240 - another process makes this local file
        await asyncio.sleep(0.02)


@app.service_bus_topic_trigger(
    arg_name="message", topic_name="%WORK_TOPIC%", subscription_name="all", connection="Bus"
)
async def work(message: func.ServiceBusMessage, context: func.Context) -> None:
    """Do what the body says: nothing, fail, or wait for a file to appear."""
    order = json.loads(message.get_body())
    note(
        "work",
        order=order,
        message_id=message.message_id,
        delivery_count=message.delivery_count,
        sequence_number=message.sequence_number,
        properties=message.application_properties,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        subject=message.subject,
        enqueued=message.enqueued_time_utc,
        traceparent=context.trace_context.trace_parent,
        tracestate=context.trace_context.trace_state,
    )
    if order["do"] == "fail":
        raise ValueError("told to fail")
    if order["do"] == "wait":
        await appearance(EVIDENCE / order["for"])
    note("work_done", order=order)


@app.service_bus_topic_trigger(
    arg_name="text", topic_name="notes", subscription_name="all", connection="Bus"
)
def take_text(text: str) -> None:
    """Take the body as text."""
    note("text", text=text)


@app.service_bus_topic_trigger(
    arg_name="message", topic_name="hasty", subscription_name="all", connection="Bus"
)
async def hasty(message: func.ServiceBusMessage) -> None:
    """Work for as many seconds as the body says."""
    note("hasty", message_id=message.message_id, delivery_count=message.delivery_count)
    await asyncio.sleep(float(message.get_body()))
    note("hasty_done", message_id=message.message_id)
