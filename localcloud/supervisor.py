"""Keeps processes alive: starts them in one thread, restarts the crashed, stops them for good."""

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil

from localcloud.logs import last_lines, open_log, rotate
from localcloud.parts import Part, Site
from localcloud.process import PREFIX
from localcloud.state import PartRecord, ProcessId

log = logging.getLogger(__name__)

RESTARTS_MAX = 5
FIRST_BACKOFF_S = 0.5
SETTLED_S = 60.0
"""A part that ran this long is forgiven its earlier crashes."""

_TICK_S = 0.1
_LAUNCHER = Path(__file__).with_name("launch.py")


class StartError(Exception):
    """A part did not start; the message names it, the reason and the end of its log."""


class _Child:
    """One part's process now, and what the supervisor intends for it.

    States: starting, running, restarting (waits for its back-off), stopping, stopped, killed
    (left down on purpose), failed (left down because it keeps crashing).
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.state = "stopped"
        self.process: subprocess.Popen[bytes] | None = None
        self.identity: ProcessId | None = None
        self.ready = threading.Event()
        self.restarts = 0
        self.started = 0.0
        self.restart_at = 0.0


class Supervisor:
    """The processes of one site.

    Children are forked by one thread that lives as long as the supervisor: Linux ends a child
    with the *thread* that forked it. All public methods may be called from any thread.
    """

    def __init__(self, site: Site, changed: Callable[[], None]) -> None:
        self._site = site
        self._changed = changed
        self._children: dict[str, _Child] = {}
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._warden = threading.Thread(target=self._watch, name="warden", daemon=True)
        self._warden.start()

    def records(self) -> list[PartRecord]:
        """Every part that was ever started, in the order of first start."""
        return [self._record(child) for child in list(self._children.values())]

    def start(self, part: Part) -> None:
        """Run the part and return once it is ready. StartError when it ends or stays silent."""
        child = self._children.setdefault(part.name, _Child(part))
        if child.process is not None and child.process.poll() is None:
            return
        if part.prepare:
            part.prepare(self._site)
        child.restarts = 0
        self._in_warden(lambda: self._spawn(child))
        self._await_ready(child)

    def stop(self, name: str) -> None:
        """Let the part finish what it does; kill it when its time is over."""
        child = self._children.get(name)
        if child is None:
            return
        self._intend(child, "stopping")
        process = child.process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(child.part.stop_signal)
            try:
                process.wait(child.part.stop_s)
            except subprocess.TimeoutExpired:
                log.warning("%s did not stop within %g s: killing it", name, child.part.stop_s)
        self._end_group(child)
        self._intend(child, "stopped")

    def kill(self, name: str) -> None:
        """End the part at once, as a power cut would, and leave it down."""
        child = self._children[name]
        self._intend(child, "killed")
        self._end_group(child)
        self._changed()

    def close(self) -> None:
        """End the supervising thread; children that still run die with it."""
        self._closed.set()
        self._warden.join()

    def _intend(self, child: _Child, state: str) -> None:
        # In the warden, so that it never restarts a part that was stopped a moment ago.
        self._in_warden(lambda: setattr(child, "state", state))
        self._changed()

    def _in_warden(self, work: Callable[[], Any]) -> Any:
        future: Future[Any] = Future()
        self._jobs.put((future, work))
        return future.result()

    def _watch(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Empty):
                future, work = self._jobs.get(timeout=_TICK_S)
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - belongs to whoever asked
                    future.set_exception(error)
            for child in list(self._children.values()):
                self._look_after(child)

    def _look_after(self, child: _Child) -> None:
        if child.state == "restarting" and time.monotonic() >= child.restart_at:
            self._respawn(child)
        elif child.state == "running" and child.process and child.process.poll() is not None:
            self._crashed(child)
        elif child.state == "running":
            rotate(self._site.state.log_file(child.part.name))

    def _crashed(self, child: _Child) -> None:
        assert child.process is not None
        ending = _ending(child.process.returncode)
        self._end_group(child)
        if time.monotonic() - child.started > SETTLED_S:
            child.restarts = 0
        if child.restarts >= RESTARTS_MAX:
            child.state = "failed"
            log.error(
                "%s %s; it crashed %d times in a row and stays down: see %s",
                child.part.name,
                ending,
                child.restarts + 1,
                self._site.state.log_file(child.part.name),
            )
        else:
            pause = FIRST_BACKOFF_S * 2**child.restarts
            child.restarts += 1
            child.state = "restarting"
            child.restart_at = time.monotonic() + pause
            log.warning(
                "%s %s; starting it again in %g s (%d of %d)",
                child.part.name,
                ending,
                pause,
                child.restarts,
                RESTARTS_MAX,
            )
        self._changed()

    def _respawn(self, child: _Child) -> None:
        try:
            if child.part.prepare:
                child.part.prepare(self._site)
            self._spawn(child)
        except Exception:
            log.exception("%s cannot be started again", child.part.name)
            child.state = "failed"
        else:
            child.state = "running"
        self._changed()

    def _spawn(self, child: _Child) -> None:
        part = child.part
        command = part.command(self._site)
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
        ties = [str(part.death_signal.value), command.user, str(os.getpid()), "--"]
        file = self._site.state.log_file(part.name)
        with open_log(file) as output:
            process = subprocess.Popen(  # noqa: S603 - the table of parts is ours
                [*launcher, *ties, *command.arguments],
                cwd=self._site.root,
                env=_surroundings(command.settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if part.announces else output,
                stderr=output,
                start_new_session=True,
            )
        child.ready = threading.Event()
        child.process = process
        child.started = time.monotonic()
        child.state = "starting"
        with contextlib.suppress(psutil.NoSuchProcess):
            child.identity = ProcessId.of(process.pid)
        if part.announces:
            reader = threading.Thread(
                target=_listen, args=(process, child.ready, file), daemon=True
            )
            reader.start()
        self._changed()

    def _await_ready(self, child: _Child) -> None:
        deadline = time.monotonic() + child.part.ready_s
        process = child.process
        assert process is not None
        while time.monotonic() < deadline and process.poll() is None:
            if self._is_ready(child):
                self._intend(child, "running")
                return
        code = process.poll()
        self._intend(child, "failed")
        self._end_group(child)
        self._changed()
        silence = f"was not ready after {child.part.ready_s:g} s"
        reason = silence if code is None else _ending(code)
        file = self._site.state.log_file(child.part.name)
        tail = "\n".join(f"    {line}" for line in last_lines(file, 15))
        raise StartError(f"{child.part.name} {reason}. The end of {file}:\n{tail}")

    def _is_ready(self, child: _Child) -> bool:
        if child.part.announces and not child.ready.wait(0.05):
            return False
        try:
            child.part.probe(self._site)
        except OSError:
            time.sleep(0.02)
            return False
        return True

    def _end_group(self, child: _Child) -> None:
        """Kill the process and whatever it started, and collect it."""
        process = child.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        child.process = child.identity = None

    def _record(self, child: _Child) -> PartRecord:
        part = child.part
        return PartRecord(
            name=part.name,
            state=child.state,
            ports={name: self._site.ports[name] for name in part.ports},
            log=str(self._site.state.log_file(part.name)),
            process=child.identity,
            restarts=child.restarts,
            note=part.note(self._site) if part.note else "",
        )


def _listen(process: subprocess.Popen[bytes], ready: threading.Event, file: Path) -> None:
    """Watch a part's standard output for its READY line; the rest goes to its log."""
    assert process.stdout is not None
    with process.stdout, open_log(file) as output:
        for line in process.stdout:
            if line.startswith(PREFIX.encode()):
                ready.set()
            else:
                output.write(line)
                output.flush()


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _surroundings(part: Mapping[str, str]) -> dict[str, str]:
    """The part's environment: the supervisor's, less what would point it elsewhere."""
    # libpq's variables would complete a connection string, and a proxy would swallow loopback.
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    mine |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    return {**mine, "PYTHONUNBUFFERED": "1", **part}
