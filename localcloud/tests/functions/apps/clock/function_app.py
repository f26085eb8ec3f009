"""An app of timers that leave a line in a file for each run."""
# ruff: noqa: ARG001 - a trigger's parameter is there whether the function wants it or not

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


def note(name: str, **facts: object) -> None:
    """Append a line of JSON to this function's file."""
    with (Path(os.environ["EVIDENCE"]) / name).open("a") as file:
        now = datetime.now(UTC).isoformat()
        file.write(json.dumps({"at": now, "pid": os.getpid(), **facts}) + "\n")


@app.timer_trigger(arg_name="timer", schedule="00:00:01", use_monitor=False)
def every_second(timer: func.TimerRequest) -> None:
    """Run each second."""
    note("every_second", past_due=timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="%SLOW_SCHEDULE%", run_on_startup=True)
def slow(timer: func.TimerRequest) -> None:
    """Take longer than its interval."""
    note("slow_begin")
    time.sleep(0.7)
    note("slow_end")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
async def nightly(timer: func.TimerRequest) -> None:
    """Run at three in the morning, or when that was missed."""
    # The SDK's abstract class leaves the status out; what the worker passes has it.
    status = timer.schedule_status  # type: ignore[attr-defined]
    note("nightly", past_due=timer.past_due, status=status)


@app.timer_trigger(arg_name="timer", schedule="00:00:01")
def switched_off(timer: func.TimerRequest) -> None:
    """Be disabled by a setting."""
    note("switched_off")


@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:01")
@app.timer_trigger(arg_name="timer", schedule="0 0 4 * * *")
async def stubborn(timer: func.TimerRequest, context: func.Context) -> None:
    """Fail at first."""
    retry = context.retry_context
    note("stubborn", retry=retry.retry_count, most=retry.max_retry_count)
    if retry.retry_count < 1:
        raise ValueError("not yet")
