"""W3C trace context: every invocation carries one on, or begins one."""

import os
import re

from localcloud.functions.protos import TraceContext

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def trace_context(traceparent: str | None, tracestate: str | None = None) -> TraceContext:
    """A span of the caller's trace, or the first of a new trace when `traceparent` is no good."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return TraceContext(f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01", "")
    return TraceContext(f"00-{match[1]}-{os.urandom(8).hex()}-{match[2]}", tracestate or "")
