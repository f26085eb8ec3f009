"""Parts made of the fake program, and waiting for things without sleeping through them."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from localcloud import probes
from localcloud.parts import Command, Part

PROGRAM = str(Path(__file__).with_name("fake_part.py"))


def fake_part(
    name: str,
    mode: str = "serve",
    *,
    after: tuple[str, ...] = (),
    stop_s: float = 5.0,
    ready_s: float = 10.0,
) -> Part:
    return Part(
        name=name,
        ports=(name,),
        after=after,
        command=lambda site: Command([sys.executable, PROGRAM, str(site.ports[name]), mode]),
        probe=lambda site: probes.listening(site.ports[name]),
        stop_s=stop_s,
        ready_s=ready_s,
    )


def until(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    """Return once `holds()`; AssertionError when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
