"""What else the machine was doing: a number without this is no measurement."""

import os
import platform
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


def memory_mib(pids: list[int]) -> float:
    """Resident memory of these processes and their children together."""
    total = 0
    for pid in pids:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    return round(total / 2**20, 1)
