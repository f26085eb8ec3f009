"""CPU time by process: on a shared machine it says more than a rate does."""

import os
import time
from collections.abc import Mapping

import psutil

from localcloud.cloud import LocalCloud

BENCH = "bench"


def processes(cloud: LocalCloud) -> dict[str, int]:
    """The process of each part that runs now, and this one, which makes the load."""
    parts = {part.name: part.process.pid for part in cloud.record().parts if part.process}
    return parts | {BENCH: os.getpid()}


class Meter:
    """What processes and their children use from now on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = self._now()
        self._started = time.monotonic()

    def ms_per(self, count: int) -> dict[str, float]:
        """Milliseconds of CPU per operation for each process, and their `total` without ours."""
        now = self._now()
        used = {name: now[name] - before for name, before in self._before.items()}
        each = {name: round(1000 * seconds / count, 3) for name, seconds in used.items()}
        busy = {name: ms for name, ms in each.items() if ms >= 0.01}
        total = sum(ms for name, ms in busy.items() if name != BENCH)
        return busy | {"total": round(total, 3)}

    def _now(self) -> dict[str, float]:
        return {name: _seconds(psutil.Process(pid)) for name, pid in self._pids.items()}


def _seconds(process: psutil.Process) -> float:
    """CPU time of a process, of its children that ended and of those that run."""
    own = process.cpu_times()
    total: float = own.user + own.system
    if process.pid == os.getpid():
        return total
    total += own.children_user + own.children_system
    for child in process.children(recursive=True):
        times = child.cpu_times()
        total += times.user + times.system
    return total
