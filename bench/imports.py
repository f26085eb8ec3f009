"""How long a cold start imports: `function_app`, in a fresh interpreter each time."""

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PROBE = "import time; t = time.perf_counter(); import function_app; print(time.perf_counter() - t)"


def import_seconds(settings: Mapping[str, str], *, runs: int = 5) -> dict[str, float]:
    """Median and fastest of `runs` imports, in seconds. CalledProcessError if one fails."""
    times = []
    for _ in range(runs):
        done = subprocess.run(  # noqa: S603 - our own interpreter and source
            [sys.executable, "-c", _PROBE],
            cwd=ROOT,
            env=os.environ | dict(settings),
            check=True,
            capture_output=True,
            text=True,
        )
        times.append(float(done.stdout.strip().splitlines()[-1]))
    return {"median_s": round(statistics.median(times), 3), "fastest_s": round(min(times), 3)}
