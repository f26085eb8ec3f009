"""W3C trace context: from the caller, through the host, into the function."""

from pathlib import Path

import httpx
import pytest

from localcloud.functions.tracing import trace_of_instance
from localcloud.tests.functions.running_host import APPS, RunningHost, running

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PASSED_ON = "host:src/WebJobs.Script.Grpc/Channel/GrpcWorkerChannel.cs"


@pytest.mark.conforms(
    "OpenTelemetry context",
    "the caller's traceparent goes on in a span of its own, its tracestate unchanged",
    source=PASSED_ON,
)
def test_the_callers_trace_goes_on_in_a_new_span(web: RunningHost) -> None:
    headers = {"traceparent": CALLER, "tracestate": "shop=1,other=2"}
    seen = web.http.get("/api/echo", headers=headers).json()

    assert seen["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert seen["traceparent"].endswith("-01")
    assert seen["traceparent"] != CALLER
    assert seen["tracestate"] == "shop=1,other=2"


@pytest.mark.conforms(
    "OpenTelemetry context",
    "a traceparent that cannot be read begins a new trace, and its tracestate is dropped",
    source="w3c:trace-context/#a-traceparent-is-received",
)
@pytest.mark.parametrize(
    "bad",
    [
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "nonsense",
    ],
)
def test_a_bad_traceparent_begins_a_new_trace(web: RunningHost, bad: str) -> None:
    headers = {"traceparent": bad, "tracestate": "shop=1"}
    seen = web.http.get("/api/echo", headers=headers).json()

    assert seen["traceparent"][3:35] not in {bad[3:35], bad[3:35].lower()}
    assert len(seen["traceparent"]) == 55
    assert seen["tracestate"] == ""


@pytest.mark.conforms(
    "OpenTelemetry context",
    "with PYTHON_ENABLE_OPENTELEMETRY the worker makes it the current context of the function",
    source="learn:azure/azure-functions/opentelemetry-howto",
)
def test_the_function_runs_in_the_trace_when_told_so(web: RunningHost, tmp_path: Path) -> None:
    headers = {"traceparent": CALLER}
    assert web.http.get("/api/echo", headers=headers).json()["span"] == "0" * 32

    with running(APPS / "web", tmp_path, env={"PYTHON_ENABLE_OPENTELEMETRY": "true"}) as host:
        seen = httpx.get(f"{host.http.base_url}/api/echo", headers=headers).json()

    assert seen["span"] == "0af7651916cd43dd8448eb211c80319c"


def test_all_turns_and_steps_of_an_orchestration_are_of_one_trace() -> None:
    first, second, other = map(trace_of_instance, ("order-1", "order-1", "order-2"))

    assert first.trace_parent[:35] == second.trace_parent[:35] != other.trace_parent[:35]
    assert first.trace_parent != second.trace_parent
