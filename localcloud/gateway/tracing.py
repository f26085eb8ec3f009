"""W3C trace context: the gateway is one hop of the caller's trace, or begins one."""

import re
import secrets

from localcloud.gateway.policy.headers import Headers

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch
_NOTHING = "0" * 32


def carry_trace(headers: Headers) -> None:
    """Replace `traceparent` by one whose span is ours; `tracestate` goes if it belongs to none.

    W3C Trace Context §3.2, §4.3: a parent that cannot be read is as good as none.
    """
    trace_id, flags = _of(headers.values("traceparent"))
    if trace_id is None:
        trace_id = secrets.token_hex(16)
        headers.remove("tracestate")
    headers.set("traceparent", f"00-{trace_id}-{secrets.token_hex(8)}-{flags}")


def _of(given: list[str]) -> tuple[str | None, str]:
    found = _PARENT(given[0]) if len(given) == 1 else None
    if found is None:
        return None, "00"
    version, trace_id, span_id, flags, rest = found.groups()
    unreadable = version == "ff" or (version == "00" and rest is not None)
    if unreadable or trace_id == _NOTHING or span_id == _NOTHING[:16]:
        return None, "00"
    return trace_id, flags
