"""Correlation and log lines."""

import logging
from uuid import UUID

import pytest

from shared import telemetry

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_work_is_done_under_one_correlation_id() -> None:
    assert telemetry.correlation_id() is None
    with telemetry.correlation("outer", TRACE):
        with telemetry.correlation("inner"):
            assert (telemetry.correlation_id(), telemetry.traceparent()) == ("inner", None)
        assert (telemetry.correlation_id(), telemetry.traceparent()) == ("outer", TRACE)
    assert (telemetry.correlation_id(), telemetry.traceparent()) == (None, None)


@pytest.mark.parametrize("candidate", [None, "", "a\nb", "a b", "x" * 65, "c-1\n"])
def test_an_odd_correlation_id_is_replaced(candidate: str | None) -> None:
    with telemetry.correlation(candidate) as chosen:
        assert UUID(chosen).version == 7
        assert telemetry.correlation_id() == chosen


@pytest.mark.parametrize(
    "trace",
    [
        "",
        "x",
        TRACE.upper(),
        TRACE + "-00",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    ],
)
def test_an_odd_trace_context_is_dropped(trace: str) -> None:
    with telemetry.correlation("c-1", trace):
        assert telemetry.traceparent() is None


def test_log_lines_end_with_the_correlation_id(caplog: pytest.LogCaptureFixture) -> None:
    log = telemetry.logger("platform.test")
    with caplog.at_level(logging.INFO):
        log.info("alone %d", 1)
        with telemetry.correlation("c-1"):
            log.info("sent %d%%", 2)
    assert caplog.messages == ["alone 1", "sent 2% correlation_id=c-1"]


def test_a_fault_is_described_by_kinds_and_places_not_by_values() -> None:
    try:
        try:
            int("alice@clients.example")
        except ValueError as inner:
            raise KeyError("alice@clients.example") from inner
    except KeyError as fault:
        described = telemetry.describe(fault)
    outer, inner_line = described.splitlines()
    place = "in test_a_fault_is_described_by_kinds_and_places_not_by_values"
    assert outer.startswith("builtins.KeyError | ")
    assert inner_line.startswith("builtins.ValueError | ")
    assert outer.endswith(place)
    assert "alice" not in described
