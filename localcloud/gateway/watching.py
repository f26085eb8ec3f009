"""Notices that the policy folder has changed, and takes the new edition if it is in order."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from localcloud.gateway.edition import Edition
from localcloud.gateway.policy import PolicyFault

_PAUSE_S = 0.25

_log = logging.getLogger(__name__)

Snapshot = frozenset[tuple[str, int, int]]


def snapshot(folder: Path) -> Snapshot:
    """Path, time of change in ns and size of every file of the folder that can matter."""
    return frozenset(_files(str(folder)))


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name.endswith((".xml", ".json")):
                try:
                    facts = entry.stat()
                except OSError:
                    continue  # it went away just now
                yield entry.path, facts.st_mtime_ns, facts.st_size


async def watch(
    folder: Path, named: Mapping[str, str], seen: Snapshot, take: Callable[[Edition], None]
) -> None:
    """Give `take` a new edition whenever a file has changed since `seen`, for ever.

    A folder that cannot be executed is logged with file and line, and what was taken last stays.
    """
    while True:
        await asyncio.sleep(_PAUSE_S)
        now = snapshot(folder)
        if now == seen:
            continue
        await asyncio.sleep(_PAUSE_S)
        if snapshot(folder) != now:
            continue  # still being written
        seen = now
        try:
            edition = await asyncio.to_thread(Edition.load, folder, named)
        except (PolicyFault, OSError) as fault:
            _log.error("the change is not taken, the policies before it stay: %s", fault)
            continue
        take(edition)
        _log.info("the policies were read again")
