"""An app with one function that reads events in sessions, as a consumer of several topics does."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
EVIDENCE = Path(os.environ["EVIDENCE"])


def note(**facts: Any) -> None:
    """Append a line of JSON."""
    with (EVIDENCE / "letters").open("a") as file:
        file.write(json.dumps(facts) + "\n")


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="letters", connection="Bus", is_sessions_enabled=True
)
async def read_letter(message: func.ServiceBusMessage) -> None:
    """Note that it began and ended; stop between them until a file is there; fail so many times."""
    letter = json.loads(message.get_body())
    facts = {"session": message.session_id, "n": letter["n"], "host": os.environ["HOST_NAME"]}
    note(**facts, at="begin")
    while "until" in letter and not (EVIDENCE / letter["until"]).exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.02)
    if (message.delivery_count or 0) <= letter.get("failures", 0):
        raise ValueError("not yet")
    note(**facts, at="end")
