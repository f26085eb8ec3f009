"""Orchestrations with everything that a history can hold."""

import contextlib
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from localcloud.tests.durable.sdk import Activity, Entity, Orchestrator

type Steps = Generator[Any, Any, Any]
type Context = df.DurableOrchestrationContext

SOON = df.RetryOptions(first_retry_interval_in_milliseconds=30, max_number_of_attempts=3)
FAR = timedelta(hours=5)


def chain(context: Context) -> Steps:
    """Three activities, one after the other."""
    said = []
    for city in ("Tokyo", "Seattle", "London"):
        context.set_custom_status({"city": city})
        said += [(yield context.call_activity("say", city))]
    return said


def fan(context: Context) -> Steps:
    """Activities side by side; one is mended by its retries, one is not."""
    tasks = [
        context.call_activity("square", 2),
        context.call_activity_with_retry("shaky", SOON, "mended"),
        context.call_activity_with_retry("boom", SOON, "lost"),
    ]
    try:
        yield context.task_all(tasks)
    except Exception:  # noqa: BLE001 - the SDK rethrows every fault as Exception
        return "one was lost"


def wide(context: Context) -> Steps:
    """As many activities as the input says, side by side."""
    tasks = [context.call_activity("square", n) for n in range(context.get_input())]
    return sum((yield context.task_all(tasks)))


def doomed(context: Context) -> Steps:
    """Fails with its one activity."""
    return (yield context.call_activity("boom", "now"))


def nap(context: Context) -> Steps:
    """Waits for a timer."""
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=0.2))
    return "woke"


def approval(context: Context) -> Steps:
    """After an activity waits for an event, or for a timer that is far away."""
    yield context.call_activity("say", "please")
    timeout = context.create_timer(context.current_utc_datetime + FAR)
    answer = context.wait_for_external_event("Approval")
    winner = yield context.task_any([answer, timeout])
    if winner is answer:
        timeout.cancel()
    return (yield context.call_activity("say", "thanks"))


def parent(context: Context) -> Steps:
    """Waits for a child that it names."""
    return (yield context.call_sub_orchestrator("chain", None, f"{context.instance_id}:child"))


def bank(context: Context) -> Steps:
    """Signals an entity, calls it, and calls it once more for something that fails."""
    account = df.EntityId("account", "a1")
    context.signal_entity(account, "add", 5)
    balance = yield context.call_entity(account, "get")
    try:
        yield context.call_entity(account, "explode")
    except Exception:  # noqa: BLE001 - the SDK rethrows every fault as Exception
        return balance


def patient(context: Context) -> Steps:
    """Tries again by timers of its own, as the product's sagas do."""
    for wait_s in (0.05, 0.05, None):
        try:
            return (yield context.call_activity("shaky", "patient"))
        except Exception:
            if wait_s is None:
                raise
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=wait_s))


def guarded(context: Context) -> Steps:
    """After a failure waits for a person, but not for ever."""
    with contextlib.suppress(Exception):  # which the SDK raises for every fault
        yield context.call_activity("boom", "once")
    timeout = context.create_timer(context.current_utc_datetime + FAR)
    return (yield context.task_any([context.wait_for_external_event("Mended"), timeout]))


def stubborn(context: Context) -> Steps:
    """Tries again, but not soon."""
    return (yield context.call_activity_with_retry("boom", df.RetryOptions(3_600_000, 2), "now"))


def dogged(context: Context) -> Steps:
    """Tries again by a timer of its own, but not soon."""
    with contextlib.suppress(Exception):  # which the SDK raises for every fault
        yield context.call_activity("boom", "now")
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    return (yield context.call_activity("boom", "now"))


def echo(context: Context) -> Steps:
    """Gives its input to an activity, its custom status and its output."""
    value = context.get_input()
    context.set_custom_status(value)
    return (yield context.call_activity("echo", value))


def eternal(context: Context) -> Steps:
    """Counts down by continuing as new, then says so."""
    left = context.get_input()
    yield context.call_activity("say", left)
    if left:
        context.continue_as_new(left - 1)
        return None
    return "done"


def fetch(context: Context) -> Steps:
    """Calls the address that is its input."""
    response = yield context.call_http("GET", context.get_input())
    return response["statusCode"]


def late(context: Context) -> Steps:
    """Waits for the same event twice, after a rest."""
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=0.3))
    first = yield context.wait_for_external_event("Go")
    second = yield context.wait_for_external_event("Go")
    return [first, second]


def account(context: df.DurableEntityContext) -> None:
    """A sum that can be added to, read, and made to fail."""
    balance = context.get_state(lambda: 0)
    match context.operation_name:
        case "add":
            context.set_state(balance + int(context.get_input()))
        case "get":
            context.set_result(balance)
        case _:
            raise ValueError("the vault is gone")


def boom(what: Any) -> None:
    raise ValueError(f"boom {what}")


def shaky() -> Activity:
    """An activity that fails twice for each input, then works."""
    failed: dict[str, int] = {}

    def run(what: str) -> str:
        failed[what] = failed.get(what, 0) + 1
        if failed[what] < 3:
            raise ValueError(f"not yet, {what}")
        return what

    return run


ORCHESTRATORS: dict[str, Orchestrator] = {
    function.__name__: function
    for function in (
        *(chain, fan, wide, doomed, nap, approval, parent, bank, patient, echo),
        *(eternal, fetch, late, guarded, stubborn, dogged),
    )
}
ENTITIES: dict[str, Entity] = {"account": account}


def activities(**others: Callable[[Any], Any]) -> dict[str, Activity]:
    """Fresh activities for one hub, with `others` added or in their place."""
    return {
        "say": lambda name: f"Hello {name}",
        "square": lambda number: number * number,
        "echo": lambda value: value,
        "boom": boom,
        "shaky": shaky(),
        **others,
    }
