"""A whole local cloud in this process's care: started in order, stopped in reverse."""

import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Protocol, Self

import psutil

from localcloud import environment, parts, ports, postgres
from localcloud.parts import Part, Site, Step
from localcloud.state import CloudRecord, ProcessId, StateError, StateFolder
from localcloud.supervisor import Supervisor

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_STATE = ROOT / ".localcloud"

_LEFTOVER_S = 10.0
_ABORT_POLL_S = 0.05


class PortTaken(StateError):
    """A port that a part needs is in use; the message names port, part and holder."""


class Cancelled(Exception):
    """The start was interrupted; everything is stopped again."""


class Progress(Protocol):
    """Whoever wants to see the start and the stop happen."""

    def began(self, step: str) -> None: ...

    def ended(self, step: str, took_s: float, detail: str) -> None: ...

    def stopping(self, part: str) -> None: ...


class _Silent:
    def began(self, step: str) -> None: ...

    def ended(self, step: str, took_s: float, detail: str) -> None: ...

    def stopping(self, part: str) -> None: ...


class LocalCloud:
    """The parts of one local cloud, as child processes that cannot outlive this process.

    `port_base` 0 takes free ports, once: they stay the same over stop and start. `settings` are
    application settings that win over the local cloud's own; they may be changed at any time and
    count from the next start of the Functions host. `steps` is the table of what to start. In a
    `keyless` cloud the application has no key or password to any store: it is known by its
    managed identity.
    """

    def __init__(
        self,
        state_dir: Path = DEFAULT_STATE,
        *,
        port_base: int = 0,
        settings: Mapping[str, str] | None = None,
        steps: Iterable[Step] = parts.ALL,
        root: Path = ROOT,
        progress: Progress | None = None,
        keyless: bool = False,
    ) -> None:
        self.state = StateFolder(state_dir)
        self.settings = dict(settings or {})
        self._steps, self._broker_host = tuple(steps), ""
        if keyless:
            self._steps, self._broker_host = _keyless(self._steps)
        self._parts = {step.name: step for step in self._steps if isinstance(step, Part)}
        own = [name for part in self._parts.values() for name in part.ports]
        known = {**ports.DEFAULTS, **(ports.KEYLESS if keyless else {})}
        self.ports: Mapping[str, int] = ports.assign({*known, *own}, port_base)
        self._root = root
        self._progress = progress or _Silent()
        self._site: Site | None = None
        self._supervisor: Supervisor | None = None
        self._phase = "stopped"
        self._writing = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """The application's settings in this cloud, as the Functions host gets them."""
        site = self._running_site()
        return site.application_settings(postgres.socket_folder(site.state)) | self.settings

    def url(self, part: str) -> str:
        """Where an HTTP part answers, without a trailing slash."""
        return environment.url(self.ports, part)

    def database_url(self, database: str) -> str:
        """`platform` or `durable`, as its owner."""
        return environment.database_url(
            self.ports, database, getattr(self._running_site().secrets, database)
        )

    def start(self, cancel: threading.Event | None = None) -> None:
        """Start every step as soon as those it comes after are done; return when all are.

        When one fails, or `cancel` is set, everything is stopped again and the error raised:
        StateError (folder in use, port taken), StartError, Cancelled, or the failed task's own.
        """
        self.state.create()
        self.state.acquire()
        try:
            self._stop_leftovers()
            self._refuse_taken_ports()
            self._site = Site(
                self._root,
                self.state,
                self.ports,
                self.state.secrets(),
                self.settings,
                self._broker_host,
            )
            self._supervisor = Supervisor(self._site, self._write)
            self._enter("starting")
            self._run_steps(cancel or threading.Event())
            self._enter("ready")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every part, the last started first; the data stays. Harmless when nothing runs."""
        if self._supervisor is not None:
            self._enter("stopping")
            self._stop_parts()
            self._supervisor.close()
            self._enter("stopped")
            self._supervisor = None
        self.state.release()

    def erase(self) -> None:
        """Stop, then delete all data, logs and secrets."""
        self.stop()
        with self.state.held():
            erase(self.state)

    def kill(self, part: str) -> None:
        """End one part with SIGKILL and leave it down; the rest runs on."""
        self._running_supervisor().kill(part)

    def stop_part(self, part: str) -> None:
        """Let one part drain and leave it down."""
        self._running_supervisor().stop(part)

    def start_part(self, part: str) -> None:
        """Start a part that is down, on the same ports, and return once it is ready."""
        self._running_supervisor().start(self._parts[part])

    def record(self) -> CloudRecord:
        """What `cloud.json` says about this cloud now."""
        assert self._supervisor is not None, "the cloud was not started"
        speak_http = (
            *("functions", "notifier", "dashboard", "identity"),
            *("eventgrid", "communication", "erp", "payment", "shipping"),
        )
        urls = {name: self.url(name) for name in speak_http}
        return CloudRecord(
            state=self._phase,
            supervisor=ProcessId.of(os.getpid()),
            ports=self.ports,
            urls={**environment.gateways(self.ports), "api": f"{urls['functions']}/api/v1", **urls},
            environment=self.environment,
            parts=self._supervisor.records(),
            broker_host=self._broker_host,
        )

    def _running_site(self) -> Site:
        assert self._site is not None, "the cloud was not started"
        return self._site

    def _running_supervisor(self) -> Supervisor:
        assert self._supervisor is not None, "the cloud was not started"
        return self._supervisor

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._write()

    def _write(self) -> None:
        with self._writing:
            if self._supervisor is not None:
                self.state.write(self.record())

    def _run_steps(self, cancel: threading.Event) -> None:
        aborted = threading.Event()
        with ThreadPoolExecutor(len(self._steps), thread_name_prefix="step") as pool:
            futures: dict[str, Future[None]] = {}
            for step in self._steps:
                before = [futures[name] for name in step.after if name in futures]
                futures[step.name] = pool.submit(self._run_step, step, before, aborted)
            try:
                _await_all(futures.values(), cancel)
            except BaseException:
                aborted.set()
                while not all(future.done() for future in futures.values()):
                    self._stop_parts()  # also what a step under way starts only now
                    time.sleep(_ABORT_POLL_S)
                raise

    def _run_step(
        self, step: Step, before: Iterable[Future[None]], aborted: threading.Event
    ) -> None:
        for earlier in before:
            earlier.result()
        if aborted.is_set():
            raise Cancelled
        self._progress.began(step.name)
        began = time.monotonic()
        detail = ""
        if isinstance(step, Part):
            self._running_supervisor().start(step)
            detail = ", ".join(f"{ports.HOST}:{self.ports[name]}" for name in step.ports)
        else:
            detail = step.run(self._running_site())
        self._progress.ended(step.name, time.monotonic() - began, detail)

    def _stop_parts(self) -> None:
        supervisor = self._running_supervisor()
        running = {record.name for record in supervisor.records() if record.process}
        for name in reversed(self._parts):
            if name in running:
                self._progress.stopping(name)
                supervisor.stop(name)

    def _refuse_taken_ports(self) -> None:
        taken = []
        for part in self._parts.values():
            for name in part.ports:
                if not ports.is_free(self.ports[name]):
                    by = ports.holder(self.ports[name])
                    taken.append(
                        f"port {self.ports[name]}, which {part.name} needs, is taken"
                        + (f" by {by}" if by else "")
                    )
        if taken:
            raise PortTaken(
                "; ".join(taken) + ". Stop what holds it, or move every port, for example with "
                "`python -m localcloud up --port-base 6000`"
            )

    def _stop_leftovers(self) -> None:
        """End processes that outlived their supervisor, as they may on other systems than Linux."""
        last = self.state.read()
        for part in last.parts if last else []:
            process = part.process.process() if part.process else None
            if process is None:
                continue
            log.warning("%s (pid %d) outlived its supervisor: stopping it", part.name, process.pid)
            known = self._parts.get(part.name)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(known.stop_signal if known else signal.SIGTERM)
            with contextlib.suppress(psutil.Error):
                _, alive = psutil.wait_procs([process], _LEFTOVER_S)
                for stubborn in alive:
                    stubborn.kill()


def _keyless(steps: Iterable[Step]) -> tuple[tuple[Step, ...], str]:
    """The steps of the keyless profile, and where its broker takes tokens."""
    from localcloud import keyless, keyless_parts  # noqa: PLC0415 - few need them

    return keyless_parts.of(steps), keyless.broker_host()


def erase(state: StateFolder) -> None:
    """Delete a state folder that the caller holds, and data that had to live elsewhere."""
    postgres.remove_private_folder(state)
    shutil.rmtree(state.path)


def _await_all(futures: Iterable[Future[None]], cancel: threading.Event) -> None:
    """Return when all are done; raise the first failure, or Cancelled once `cancel` is set."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=0.1, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        if cancel.is_set():
            raise Cancelled
