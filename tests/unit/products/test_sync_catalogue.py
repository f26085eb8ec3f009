"""The sync's control flow, without a Durable back end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import azure.durable_functions as df

from durable import sync_catalogue
from tests.unit.durable.rehearsal import definition

RUN = {"run_id": "0192f0c1-0000-7000-8000-000000000001", "correlation_id": "corr-1"}
FAULT = Exception("Activity function failed: the ERP answered with status 503 \n a stack")

type Answer = Mapping[str, Any] | Exception


@dataclass
class Stage:
    """Stands in for the context: answers each activity from its list, the last one for ever."""

    answers: Mapping[str, Sequence[Answer]]
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def get_input(self) -> Mapping[str, Any]:
        return RUN

    def call_activity_with_retry(
        self, name: str, retry: df.RetryOptions, subject: Mapping[str, Any]
    ) -> Answer:
        assert retry.max_number_of_attempts == 4
        self.calls.append((name, subject))
        given = self.answers.get(name, [{}])
        return given[min(sum(call[0] == name for call in self.calls), len(given)) - 1]

    def play(self) -> Any:
        """What the orchestration returns."""
        orchestrator: Callable[..., Any] = definition(sync_catalogue.sync_catalogue)
        generator = orchestrator(cast("df.DurableOrchestrationContext", self))
        task: Any = next(generator)
        try:
            while True:
                task = (
                    generator.throw(task) if isinstance(task, Exception) else generator.send(task)
                )
        except StopIteration as end:
            return end.value


def test_pages_are_pulled_until_there_are_no_more_and_then_the_run_ends() -> None:
    stage = Stage({"pull_catalogue_page": [{"more": True}, {"more": True}, {"more": False}]})

    assert stage.play() == {"status": "succeeded", "pages": 3}
    assert stage.calls == [
        ("pull_catalogue_page", RUN | {"page": 1}),
        ("pull_catalogue_page", RUN | {"page": 2}),
        ("pull_catalogue_page", RUN | {"page": 3}),
        ("finish_catalogue_sync", RUN),
    ]


def test_a_page_that_cannot_be_pulled_ends_the_run_with_its_reason() -> None:
    stage = Stage({"pull_catalogue_page": [{"more": True}, FAULT]})

    assert stage.play() == {"status": "failed", "pages": 2}
    failure = "page 2: Activity function failed: the ERP answered with status 503 "
    assert stage.calls[-1] == ("fail_catalogue_sync", RUN | {"failure": failure})
    assert [name for name, _ in stage.calls].count("finish_catalogue_sync") == 0


def test_an_end_that_cannot_be_written_down_fails_the_run() -> None:
    stage = Stage({"pull_catalogue_page": [{"more": False}], "finish_catalogue_sync": [FAULT]})

    assert stage.play() == {"status": "failed", "pages": 1}
    assert [name for name, _ in stage.calls] == [
        "pull_catalogue_page",
        "finish_catalogue_sync",
        "fail_catalogue_sync",
    ]


def test_an_empty_catalogue_is_a_failed_run() -> None:
    refusal = {"refused": "empty_catalogue"}
    stage = Stage({"pull_catalogue_page": [{"more": False}], "finish_catalogue_sync": [refusal]})

    assert stage.play() == {"status": "failed", "pages": 1}
