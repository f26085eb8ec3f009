"""Work that nobody awaits: held on to until it is done, and complained about when it fails."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

log = logging.getLogger(__name__)

_running: Final[set[asyncio.Task[None]]] = set()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Do this in the event loop, beside everything else."""
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_done)


def _done(task: asyncio.Task[None]) -> None:
    _running.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error("something failed in the background", exc_info=task.exception())
