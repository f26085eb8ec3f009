"""An app of storage and Event Grid bindings that notes each execution in a file."""

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
EVIDENCE = Path(os.environ["EVIDENCE"])
STORE = "Store"


def note(what: str, /, **facts: Any) -> None:
    """Append a line of JSON to the file `what`."""
    with (EVIDENCE / what).open("a") as file:
        file.write(json.dumps(facts, default=str) + "\n")


async def appearance(file: Path) -> None:
    """Wait until `file` is there."""
    while not file.exists():  # noqa: ASYNC110, ASYNC240 - another process makes this local file
        await asyncio.sleep(0.02)


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection=STORE)
async def work(message: func.QueueMessage) -> None:
    """Do what the body says: nothing, fail, or wait for a file to appear."""
    body = message.get_body()
    note(
        "work",
        body=body.decode(errors="replace"),
        size=len(body),
        id=message.id,
        dequeue_count=message.dequeue_count,
        inserted=message.insertion_time,
        expires=message.expiration_time,
        visible=message.time_next_visible,
        pop_receipt=message.pop_receipt,
    )
    if not body.startswith(b"{"):
        return
    order = message.get_json()
    if order["do"] == "fail":
        raise ValueError("told to fail")
    if order["do"] == "wait":
        await appearance(EVIDENCE / order["for"])
    note("work_done", order=order)


@app.queue_trigger(arg_name="message", queue_name="work-poison", connection=STORE)
def bury(message: func.QueueMessage) -> None:
    """Take what `work` failed on, and fail on what says so."""
    note("buried", body=message.get_body().decode(), dequeue_count=message.dequeue_count)
    if b"undead" in message.get_body():
        raise ValueError("told to fail")


@app.blob_trigger(arg_name="blob", path="inbox/{name}.{ext}", connection=STORE)
@app.blob_output(arg_name="copy", path="outbox/{ext}/{name}.copy", connection=STORE)
def copy(blob: func.InputStream, copy: func.Out[bytes]) -> None:
    """Copy a blob."""
    content = blob.read()
    told: Any = blob  # the interface does not name all that there is
    note(
        "copied",
        name=blob.name,
        uri=blob.uri,
        length=blob.length,
        properties=told.blob_properties,
        metadata=told.metadata,
        content=content[:100].decode(errors="replace"),
    )
    copy.set(content)


@app.blob_trigger(arg_name="blob", path="%BOX%/{name}", connection=STORE)
async def pick(blob: func.InputStream) -> None:
    """Fail on a blob, or wait for a file, as its content says."""
    content = blob.read().decode()
    note("picked", name=blob.name, content=content)
    if content == "fail":
        raise ValueError("told to fail")
    if content.startswith("wait for "):
        await appearance(EVIDENCE / content.removeprefix("wait for "))
    note("picked_done", name=blob.name)


@app.queue_trigger(arg_name="message", queue_name="labels", connection=STORE)
@app.blob_input(arg_name="text", path="texts/{page.title}.txt", connection=STORE)
@app.blob_output(
    arg_name="$return", path="printed/{page.title}-{number}-{dequeueCount}.txt", connection=STORE
)
def label(message: func.QueueMessage, text: func.InputStream) -> str:
    """Print a text under its number."""
    words = "nothing" if text is None else text.read().decode()
    return f"{message.get_json()['number']}: {words}"


@app.queue_trigger(arg_name="message", queue_name="names", connection=STORE)
@app.blob_output(
    arg_name="made", path="made/{queueTrigger}/{DateTime}/{rand-guid}", connection=STORE
)
def make(message: func.QueueMessage, made: func.Out[str]) -> None:
    """Write a blob whose name is the message's text."""
    made.set(f"for {message.get_body().decode()}")


@app.queue_trigger(arg_name="message", queue_name="forward", connection=STORE)
@app.queue_output(arg_name="$return", queue_name="{to}", connection=STORE)
def forward(message: func.QueueMessage) -> str:
    """Send the message's text on to the queue that it names."""
    note("forwarded", body=message.get_json(), dequeue_count=message.dequeue_count)
    return str(message.get_json()["text"])


@app.route("put", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out-%WORK_QUEUE%", connection=STORE)
def put(req: func.HttpRequest, out: func.Out[str]) -> str:
    """Put out what the request asks for, of the type that it asks for."""
    kind, body = req.params["kind"], req.get_body()
    value: Any = body
    match kind:
        case "str":
            value = body.decode()
        case "list":
            value = json.loads(body)
    out.set(value)
    return f"put {kind}"


@app.route("put_message", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out-%WORK_QUEUE%", connection=STORE)
def put_message(req: func.HttpRequest, out: func.Out[func.QueueMessage]) -> str:
    """Put out a message object."""
    out.set(func.QueueMessage(body=req.get_body().decode()))
    return "message"


@app.route("pages/{title}", methods=["POST"])
@app.blob_input(arg_name="old", path="pages/{title}.txt", connection=STORE)
@app.blob_output(arg_name="new", path="pages/{title}.txt", connection=STORE)
async def write_page(req: func.HttpRequest, old: str, new: func.Out[str]) -> str:
    """Replace a page; the answer is what it said before."""
    new.set(req.get_body().decode())
    return old if isinstance(old, str) else "none"


@app.event_grid_trigger(arg_name="event")
async def hear(event: func.EventGridEvent) -> None:
    """Note an event; fail, or wait until all of a number of them are there, if it says so."""
    data = event.get_json()
    note("heard", id=event.id, type=event.event_type, subject=event.subject, data=data)
    if data.get("do") == "fail":
        raise ValueError("told to fail")
    for other in data.get("beside", []):
        note(f"here-{event.id}")
        await appearance(EVIDENCE / f"here-{other}")


@app.event_grid_trigger(arg_name="event")
@app.blob_input(arg_name="blob", path="{data.url}", connection=STORE)
def hear_cloud(event: func.CloudEvent, blob: func.InputStream) -> None:
    """Note a CloudEvent and the blob that it tells of."""
    content = None if blob is None else blob.read().decode()
    note("heard_cloud", id=event.id, type=event.type, source=event.source, blob=content)


@app.route("announce", methods=["POST"])
@app.event_grid_output(
    arg_name="out", topic_endpoint_uri="TOPIC_URI", topic_key_setting="TOPIC_KEY"
)
def announce(req: func.HttpRequest, out: func.Out[func.EventGridOutputEvent]) -> str:
    """Put out one event, or as many as the request asks for."""
    event = func.EventGridOutputEvent(
        id="1",
        data={"order": 7},
        subject="orders/7",
        event_type="order.placed",
        event_time=datetime(2026, 11, 24, tzinfo=UTC),
        data_version="1.0",
    )
    count = int(req.params["count"])
    value: Any = event if count == 1 else [event] * count
    out.set(value)
    return "announced"


@app.route("announce_text", methods=["POST"])
@app.event_grid_output(
    arg_name="out", topic_endpoint_uri="TOPIC_URI", topic_key_setting="TOPIC_KEY"
)
def announce_text(req: func.HttpRequest, out: func.Out[str]) -> str:
    """Put out the text of the request."""
    out.set(req.get_body().decode())
    return "announced"
