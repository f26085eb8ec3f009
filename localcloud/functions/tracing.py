"""W3C trace context: every invocation carries one on, or begins one."""

import hashlib
import os
import re

from localcloud.functions.protos import TraceContext

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def trace_context(traceparent: str | None, tracestate: str | None = None) -> TraceContext:
    """A span of the caller's trace, or the first of a new trace when `traceparent` is no good."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        random = os.urandom(24).hex()
        return TraceContext(f"00-{random[:32]}-{random[32:]}-01", "")
    return TraceContext(f"00-{match[1]}-{os.urandom(8).hex()}-{match[2]}", tracestate or "")


def trace_of_instance(instance_id: str) -> TraceContext:
    """A span of the trace that all turns and activities of an orchestration share."""
    trace = hashlib.blake2b(instance_id.encode(), digest_size=16).hexdigest()
    return TraceContext(f"00-{trace}-{os.urandom(8).hex()}-01", "")
