"""Plays an orchestrator without a Durable back end: answers steps, fires timers, raises events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import azure.durable_functions as df

ORDER: dict[str, Any] = {
    "order_id": "0192f0c1-0000-7000-8000-000000000001",
    "correlation_id": "corr-1",
}
WAITS_S = (0.5, 2, 7)
INPUT = ORDER | {"waits_s": list(WAITS_S)}
START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
FAULT = Exception("the step broke")

type Answer = Mapping[str, Any] | Exception


@dataclass
class Activity:
    name: str
    subject: Mapping[str, Any]


@dataclass
class Timer:
    due: datetime
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(eq=False)
class Wait:
    event: str


@dataclass
class First:
    of: Sequence[Timer | Wait]


@dataclass
class Stage:
    """Stands in for the orchestration context. `answers` by step; the last one goes on for ever.

    `events` are what each wait for several events sees: a name, or None for its deadline.
    """

    answers: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    events: list[str | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    subjects: list[Mapping[str, Any]] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    current_utc_datetime: datetime = START
    instance_id: str = "saga-1"

    def get_input(self) -> Mapping[str, Any]:
        return INPUT

    def call_activity(self, name: str, subject: Mapping[str, Any]) -> Activity:
        return Activity(name, subject)

    def create_timer(self, due: datetime) -> Timer:
        self.timers.append(Timer(due))
        return self.timers[-1]

    def wait_for_external_event(self, event: str) -> Wait:
        return Wait(event)

    def task_any(self, tasks: Sequence[Timer | Wait]) -> First:
        return First(tasks)

    def set_custom_status(self, status: str) -> None:
        self.statuses.append(status)

    def result_of(self, task: Activity | Timer | First) -> Any:
        match task:
            case Activity(name, subject):
                self.calls.append(name)
                self.subjects.append(subject)
                given = self.answers.get(name, [{}])
                answer = given[min(self.calls.count(name), len(given)) - 1]
                if isinstance(answer, Exception):
                    raise answer
                return answer
            case Timer(due):
                self.waits_s.append((due - self.current_utc_datetime) / timedelta(seconds=1))
                self.current_utc_datetime = due
                return None
            case First(of):
                event = self.events.pop(0)
                for each in of:
                    if event is None and isinstance(each, Timer):
                        self.current_utc_datetime = each.due
                        return each
                    if isinstance(each, Wait) and each.event == event:
                        return each
                raise AssertionError(f"nobody waits for {event}")
            case _:
                raise AssertionError(f"not a task: {task}")

    def play(self, orchestrator: Callable[..., Any]) -> Any:
        """What the orchestrator returns in the end."""
        generator = orchestrator(cast("df.DurableOrchestrationContext", self))
        result: Any = None
        fault: Exception | None = None
        while True:
            try:
                task = generator.throw(fault) if fault else generator.send(result)
            except StopIteration as end:
                return end.value
            result, fault = None, None
            try:
                result = self.result_of(task)
            except AssertionError:
                raise
            except Exception as broken:  # noqa: BLE001 - thrown into the orchestrator, as in the SDK
                fault = broken

    def once_each(self) -> list[str]:
        """The steps called, repeated attempts of one step counted as one."""
        return [name for i, name in enumerate(self.calls) if i == 0 or self.calls[i - 1] != name]


def definition(builder: Any) -> Callable[..., Any]:
    """The generator function that a decorated orchestrator was made of."""
    handle = builder._function.get_user_function()
    return cast("Callable[..., Any]", handle.orchestrator_function)
