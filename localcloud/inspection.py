"""Looks at a running cloud from outside: the health, uptime and memory of every part."""

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from localcloud.parts import Part, Site, Step
from localcloud.state import CloudRecord, PartRecord, StateFolder

_MIB = 1024 * 1024

type Children = Mapping[int, Sequence[psutil.Process]]


@dataclass(frozen=True)
class PartStatus:
    """One line of `status`. `health` is ok, or why not."""

    name: str
    state: str
    health: str
    pid: int | None
    ports: Sequence[int]
    uptime_s: float | None
    memory_mib: float | None
    restarts: int
    note: str


def look(
    state: StateFolder, record: CloudRecord, root: Path, steps: Iterable[Step]
) -> list[PartStatus]:
    """Every part of the cloud, probed now and at the same time."""
    site = Site(root, state, record.ports, state.secrets(), broker_host=record.broker_host)
    if record.broker_host:
        from localcloud import keyless_parts  # noqa: PLC0415 - few need them

        steps = keyless_parts.of(steps)
    known = {step.name: step for step in steps if isinstance(step, Part)}
    if not record.parts:
        return []
    children = _children()
    with ThreadPoolExecutor(len(record.parts)) as pool:
        return list(
            pool.map(
                lambda part: _look_at(part, known.get(part.name), site, children), record.parts
            )
        )


def _look_at(recorded: PartRecord, part: Part | None, site: Site, children: Children) -> PartStatus:
    process = recorded.process.process() if recorded.process else None
    uptime = memory = None
    if process is not None:
        with contextlib.suppress(psutil.Error):
            uptime = time.time() - process.create_time()
            memory = _memory(process, children)
    return PartStatus(
        name=recorded.name,
        state=recorded.state if process or recorded.state != "running" else "gone",
        health=_health(part, site) if process else "down",
        pid=process.pid if process else None,
        ports=list(recorded.ports.values()),
        uptime_s=uptime,
        memory_mib=memory,
        restarts=recorded.restarts,
        note=recorded.note,
    )


def _health(part: Part | None, site: Site) -> str:
    if part is None:
        return "unknown"
    try:
        part.probe(site)
    except OSError as refused:
        return str(refused) or type(refused).__name__
    return "ok"


def _children() -> Children:
    """Every process of this machine by the pid of its parent, read once for all parts."""
    children: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"], []).append(process)
    return children


def _memory(process: psutil.Process, children: Children) -> float:
    """MiB of the process and all below it; memory that they share counts once."""
    total = 0
    family = [process]
    for member in family:  # which grows by the children of each
        family += children.get(member.pid, ())
        with contextlib.suppress(psutil.NoSuchProcess):
            try:
                total += member.memory_full_info().pss
            except (psutil.AccessDenied, AttributeError):  # not ours, or not Linux
                total += member.memory_info().rss
    return total / _MIB
