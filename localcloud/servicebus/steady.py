"""The clock by which locks are timed: somebody who sets the machine's must not lose or keep one."""

import time
from typing import Final

_STARTED_MS: Final = time.time() * 1000 - time.monotonic() * 1000


def steady_ms() -> int:
    """Milliseconds since 1970-01-01 UTC, had nobody set the clock since this process started."""
    return int(_STARTED_MS + time.monotonic() * 1000)
