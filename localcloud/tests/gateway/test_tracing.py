"""The gateway is one hop of the caller's trace, or begins one."""

import re

import pytest

from localcloud.gateway.policy.headers import Headers
from localcloud.gateway.tracing import carry_trace

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def carried(*pairs: tuple[str, str]) -> Headers:
    headers = Headers.of(pairs)
    carry_trace(headers)
    return headers


def parts(headers: Headers) -> list[str]:
    (parent,) = headers.values("traceparent")
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", parent)
    return parent.split("-")


def test_the_callers_trace_goes_on_with_a_span_of_our_own() -> None:
    headers = carried(("traceparent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", "a=1"))
    _, trace, span, flags = parts(headers)
    assert (trace, flags) == (TRACE, "01")
    assert span != SPAN
    assert headers.get("tracestate") == "a=1"


def test_a_later_version_is_read_as_far_as_we_know_it() -> None:
    assert parts(carried(("traceparent", f"cc-{TRACE}-{SPAN}-01-more")))[1] == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        "hello",
        "",
    ],
)
def test_a_parent_that_cannot_be_read_is_none(parent: str) -> None:
    headers = carried(("traceparent", parent), ("tracestate", "a=1"))
    assert parts(headers)[1] != TRACE
    assert "tracestate" not in headers


def test_two_parents_are_none() -> None:
    parent = f"00-{TRACE}-{SPAN}-01"
    headers = Headers.of([("traceparent", parent), ("traceparent", parent)])
    carry_trace(headers)
    assert parts(headers)[1] != TRACE
