"""What follows a piece of work through every hop: correlation id, trace context, log lines."""

import contextlib
import logging
import re
import traceback
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from typing import Any

from uuid_utils.compat import uuid7

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


def new_correlation_id() -> str:
    """A fresh id that sorts by time."""
    return str(uuid7())


def correlation_id() -> str | None:
    """The id of the work in progress; None outside of any."""
    return _correlation_id.get()


def traceparent() -> str | None:
    """The W3C trace context that the work in progress came with; None if it came without."""
    return _traceparent.get()


def accepted(candidate: str | None) -> str:
    """`candidate` if it is a sane correlation id (it ends in logs and headers), else a new one."""
    if candidate is not None and _CORRELATION_ID.fullmatch(candidate):
        return candidate
    return new_correlation_id()


@contextlib.contextmanager
def correlation(candidate: str | None, traceparent: str | None = None) -> Iterator[str]:
    """Do work under a correlation id; yields the id in force (see `accepted`)."""
    chosen = accepted(candidate)
    trace = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
    id_token, trace_token = _correlation_id.set(chosen), _traceparent.set(trace)
    try:
        yield chosen
    finally:
        _correlation_id.reset(id_token)
        _traceparent.reset(trace_token)


class _Correlated(logging.LoggerAdapter[logging.Logger]):
    """Ends each line with the correlation id: Application Insights keeps only the text."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        current = _correlation_id.get()
        return (msg if current is None else f"{msg} correlation_id={current}"), kwargs


def logger(name: str) -> logging.LoggerAdapter[logging.Logger]:
    """The logger of module `name`, whose lines carry the correlation id."""
    return _Correlated(logging.getLogger(name))


def describe(fault: BaseException) -> str:
    """Type, SQLSTATE and the innermost frames of `fault` and its causes, one line each.

    Messages are left out: a driver's message repeats the values that it choked on.
    """
    lines = []
    current: BaseException | None = fault
    while current is not None:
        kind = type(current)
        parts = [f"{kind.__module__}.{kind.__qualname__}"]
        if sqlstate := getattr(current, "sqlstate", None):
            parts.append(f"sqlstate={sqlstate}")
        if constraint := getattr(getattr(current, "diag", None), "constraint_name", None):
            parts.append(f"constraint={constraint}")
        frames = traceback.extract_tb(current.__traceback__)[-8:]
        parts += [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        lines.append(" | ".join(parts))
        current = current.__cause__ or current.__context__
    return "\n".join(lines)
