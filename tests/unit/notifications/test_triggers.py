"""What the host starts: queues with and without sessions, and timers."""

import json
from typing import Any

import azure.functions as func

from blueprints.notifications import triggers


class Anything:
    """Notes which of its methods were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.handlers: dict[str, Any] = {}
        self.alarms: dict[str, Any] = {}
        self.gathered = 0

    async def receive_in_transaction(self, message: Any, *, consumer: str, types: Any) -> None:
        del message, types
        self.calls.append(consumer)

    async def receive(self, message: Any) -> None:
        del message
        self.calls.append("report")

    async def send_due(self) -> int:
        self.calls.append("send_due")
        return 0

    async def gather(self) -> int:
        self.calls.append("gather")
        return self.gathered

    def kick(self) -> None:
        self.calls.append("kick")


def functions(everything: Any) -> dict[str, Any]:
    app = func.FunctionApp()
    app.register_functions(
        triggers.blueprint(everything, everything, everything, everything, everything)
    )
    return {str(f.get_function_name()): f for f in app.get_functions()}


def test_each_trigger_listens_where_its_events_come_in() -> None:
    bindings = {
        name: json.loads(function.get_function_json())["bindings"][0]
        for name, function in functions(Anything()).items()
    }
    listens = {
        name: (b.get("queueName"), b.get("isSessionsEnabled", False), b.get("schedule"))
        for name, b in bindings.items()
    }

    assert listens == {
        "on_event_to_notify": ("notifications", True, None),
        "on_attention_needed": ("attention", False, None),
        "on_delivery_report": ("delivery-reports", False, None),
        "send_due_notifications": (None, False, "%NOTIFICATION_SENDING_SCHEDULE%"),
        "gather_digests": (None, False, "%NOTIFICATION_DIGEST_SCHEDULE%"),
    }


async def test_what_was_taken_in_is_sent_at_once() -> None:
    everything = Anything()
    found = {name: f.get_user_function() for name, f in functions(everything).items()}

    await found["on_event_to_notify"](None)
    await found["on_attention_needed"](None)

    assert everything.calls == ["notifications", "kick", "attention", "kick"]


async def test_digests_are_sent_when_there_are_some() -> None:
    everything = Anything()
    gather_digests = functions(everything)["gather_digests"].get_user_function()

    await gather_digests(None)
    everything.gathered = 2
    await gather_digests(None)

    assert everything.calls == ["gather", "gather", "kick"]


async def test_the_clock_sends_what_is_left_over_and_reports_are_booked() -> None:
    everything = Anything()
    found = {name: f.get_user_function() for name, f in functions(everything).items()}

    await found["send_due_notifications"](None)
    await found["on_delivery_report"](None)

    assert everything.calls == ["send_due", "report"]
