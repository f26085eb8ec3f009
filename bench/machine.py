"""What else the machine was doing: a number without this is no measurement."""

import os
import platform
import time
from typing import Any

import psutil


def state() -> dict[str, Any]:
    """Cores, load averages over 1, 5 and 15 minutes, free memory in MiB, versions."""
    one, five, fifteen = os.getloadavg()
    return {
        "cores": os.cpu_count(),
        "load": [round(one, 2), round(five, 2), round(fifteen, 2)],
        "memory_available_mib": psutil.virtual_memory().available // 2**20,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def memory_mib(pids: list[int]) -> dict[str, float]:
    """Memory of these processes and their children together, in MiB.

    `memory_mib` counts a page that several share once (proportional set size, where the system
    tells it); `resident_mib` counts it for each.
    """
    shared_once = resident = 0
    for pid in pids:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            memory = one.memory_full_info()
            resident += memory.rss
            shared_once += getattr(memory, "pss", memory.rss)
    return {
        "memory_mib": round(shared_once / 2**20, 1),
        "resident_mib": round(resident / 2**20, 1),
    }


def idle_cores(pids: list[int], seconds: float) -> float:
    """How much of one core these processes and their children use in the next `seconds`."""
    before = _cpu_s(pids)
    time.sleep(seconds)
    return round((_cpu_s(pids) - before) / seconds, 3)


def _cpu_s(pids: list[int]) -> float:
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system
    return total
