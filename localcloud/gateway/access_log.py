"""One line for each request, without anything that a caller wrote: no path, query or header.

A path holds ids and whatever was typed, so the operation stands for it.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime

from localcloud.gateway.policy.context import Context

_PAUSE_S = 0.2
_SANE_MAX = 64


class AccessLog:
    """Gathers lines and writes them together: a line by itself costs more than the request."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def record(self, context: Context, status: int, *, size: int) -> None:
        """Note that `context` was answered with `status` and `size` bytes."""
        api = context.api.name if context.api is not None else "-"
        now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        refusal = context.last_error
        self._lines.append(
            f"{now}Z INFO gateway {api} {context.operation_id or '-'} {status} {size} B"
            f" {context.elapsed * 1000:.1f} ms {_correlation(context)}"
            f"{f' {refusal.source}/{refusal.reason}' if refusal is not None else ''}\n"
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE_S, self.flush)

    def flush(self) -> None:
        """Write what has been gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        sys.stderr.write("".join(lines))
        sys.stderr.flush()


def _correlation(context: Context) -> str:
    """The correlation id, which a caller may have chosen: only what is an id in form."""
    given = context.request.headers.get("X-Correlation-Id") or ""
    if given and len(given) <= _SANE_MAX and given.replace("-", "").isalnum() and given.isascii():
        return given
    return context.request_id
