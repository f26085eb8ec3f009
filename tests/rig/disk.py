"""A disk that is full for one part of the local cloud, without root and without filling one."""

import contextlib
import subprocess
from collections.abc import Iterator

import psutil

from localcloud.cloud import LocalCloud

PRLIMIT = "/usr/bin/prlimit"
"""Of util-linux; Python's own can only limit processes of this process's user."""


@contextlib.contextmanager
def full_disk(cloud: LocalCloud, part: str) -> Iterator[None]:
    """No process of the part can write to a file, until the block ends or it is started anew.

    The kernel refuses a write beyond the limit on file sizes, which may be changed for a process
    that runs. Reading, sockets and pipes go on.
    """
    recorded = next(record for record in cloud.record().parts if record.name == part)
    assert recorded.process is not None, f"{part} does not run"
    first = psutil.Process(recorded.process.pid)
    everybody = [first, *first.children(recursive=True)]
    for process in everybody:
        _limit(process, "0")
    try:
        yield
    finally:
        for process in everybody:
            _limit(process, "unlimited")


def _limit(process: psutil.Process, size: str) -> None:
    """Limit the process as its own user, which needs no other right; nothing if it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        done = subprocess.run(
            [PRLIMIT, f"--pid={process.pid}", f"--fsize={size}:"],
            check=False,
            capture_output=True,
            text=True,
            user=process.uids().real,
            group=process.gids().real,
        )
        assert done.returncode == 0 or not process.is_running(), done.stderr
