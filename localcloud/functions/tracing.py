"""W3C trace context: every invocation carries one on, or begins one."""

import hashlib
import re

from uuid_utils import uuid4

from localcloud.functions.protos import TraceContext

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def trace_context(traceparent: str | None, tracestate: str | None = None) -> TraceContext:
    """A span of the caller's trace, or the first of a new trace when `traceparent` is no good."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return TraceContext(f"00-{uuid4().hex}-{uuid4().hex[16:]}-01", "")
    return TraceContext(f"00-{match[1]}-{uuid4().hex[16:]}-{match[2]}", tracestate or "")


def trace_of_instance(instance_id: str) -> TraceContext:
    """A span of the trace that all turns and activities of an orchestration share."""
    trace = hashlib.blake2b(instance_id.encode(), digest_size=16).hexdigest()
    return TraceContext(f"00-{trace}-{uuid4().hex[16:]}-01", "")
