"""Timers that really fire."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.tests.functions.running_host import APPS, RunningHost, eventually, running


def runs(evidence: Path, name: str) -> list[dict[str, Any]]:
    file = evidence / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def times(evidence: Path, name: str) -> list[datetime]:
    return [datetime.fromisoformat(run["at"]) for run in runs(evidence, name)]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def clock(evidence: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    with running(APPS / "clock", tmp_path_factory.mktemp("clock"), env=settings(evidence)) as host:
        yield host


def settings(evidence: Path) -> dict[str, str]:
    return {
        "EVIDENCE": str(evidence),
        "SLOW_SCHEDULE": "00:00:00.3",
        "AzureWebJobs.switched_off.Disabled": "1",
    }


@pytest.mark.usefixtures("clock")
def test_an_interval_fires_again_and_again(evidence: Path) -> None:
    eventually(lambda: len(runs(evidence, "every_second")) >= 3)

    first, second, third = times(evidence, "every_second")[:3]
    assert timedelta(seconds=1.5) < third - first < timedelta(seconds=2.5)
    assert second - first > timedelta(seconds=0.5)
    assert runs(evidence, "every_second")[0]["past_due"] is False


@pytest.mark.conforms(
    "Timers",
    "runs of one timer never overlap: the next waits for the one under way",
    source="learn:azure/azure-functions/functions-bindings-timer",
)
@pytest.mark.usefixtures("clock")
def test_runs_of_one_timer_never_overlap(evidence: Path) -> None:
    eventually(lambda: len(runs(evidence, "slow_end")) >= 3)

    begins, ends = times(evidence, "slow_begin"), times(evidence, "slow_end")
    for end, begin in zip(ends, begins[1:], strict=False):
        assert end <= begin


@pytest.mark.conforms(
    "Admin API",
    "a timer runs by POST /admin/functions/{name}",
    source="learn:azure/azure-functions/functions-manually-run-non-http",
)
def test_a_timer_can_be_run_by_hand(clock: RunningHost, evidence: Path) -> None:
    before = len(runs(evidence, "nightly"))

    clock.fire("Nightly")

    eventually(lambda: len(runs(evidence, "nightly")) == before + 1)
    assert runs(evidence, "nightly")[-1]["past_due"] is False


@pytest.mark.conforms(
    "Retry policies",
    '"The retry policy tells the runtime to rerun a failed execution until either successful'
    ' completion occurs or the maximum number of retries is reached"',
    source="learn:azure/azure-functions/functions-bindings-error-pages#retry-policies",
)
def test_a_failed_run_is_tried_again_as_the_policy_says(clock: RunningHost, evidence: Path) -> None:
    """ "The retry policy tells the runtime to rerun a failed execution until either successful
    completion occurs or the maximum number of retries is reached."

    learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages#retry-policies
    """
    clock.fire("stubborn")

    eventually(lambda: len(runs(evidence, "stubborn")) == 2)
    first, second = runs(evidence, "stubborn")
    assert (first["retry"], second["retry"]) == (0, 1)
    assert second["most"] == 3
    waited = datetime.fromisoformat(second["at"]) - datetime.fromisoformat(first["at"])
    assert waited >= timedelta(seconds=1)


def test_executions_are_told_in_the_log(clock: RunningHost) -> None:
    eventually(lambda: "Executed 'Functions.every_second' (Succeeded, Duration=" in clock.log)
    assert "Executing 'Functions.every_second' (Reason='Timer fired')" in clock.log


@pytest.mark.conforms(
    "Settings",
    "AzureWebJobs.<function>.Disabled switches a function off",
    source="learn:azure/azure-functions/disable-function",
)
def test_a_disabled_timer_does_not_fire(clock: RunningHost, evidence: Path) -> None:
    eventually(lambda: len(runs(evidence, "every_second")) >= 2)

    assert runs(evidence, "switched_off") == []
    assert "switched_off: timerTrigger 00:00:01 (disabled)" in clock.log


@pytest.mark.conforms(
    "Timers",
    "the schedule is persisted, so that a missed run is made up for once",
    source="learn:azure/azure-functions/functions-bindings-timer#attributes",
)
def test_a_missed_occurrence_runs_at_the_next_start_once(tmp_path: Path) -> None:
    env, state = settings(tmp_path), tmp_path / "state"
    status_file = state / "timers" / "nightly.json"
    with running(APPS / "clock", state, env=env):
        eventually(status_file.exists)
    assert runs(tmp_path, "nightly") == []
    status = json.loads(status_file.read_text())
    shifted = {
        key: (datetime.fromisoformat(status[key]) - timedelta(days=2)).isoformat()
        for key in ("Next", "LastUpdated")
    }
    status_file.write_text(json.dumps(status | shifted))

    with running(APPS / "clock", state, env=env):
        eventually(lambda: len(runs(tmp_path, "nightly")) == 1)
        eventually(lambda: json.loads(status_file.read_text())["Last"] > status["LastUpdated"])
    assert runs(tmp_path, "nightly")[0]["past_due"] is True

    with running(APPS / "clock", state, env=env):
        eventually(lambda: len(runs(tmp_path, "slow_begin")) >= 3)
    assert len(runs(tmp_path, "nightly")) == 1
