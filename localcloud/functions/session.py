"""`functions start`: keeps one worker process running, anew after each change of the app."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import psycopg

from localcloud.cloud import DEFAULT_STATE, ROOT
from localcloud.functions import logs
from localcloud.functions.accounts import HOST_ACCOUNT
from localcloud.functions.durable import DSN_SETTING
from localcloud.functions.errors import NEEDS_ACCOUNT, NEEDS_STORE, StartRefused
from localcloud.functions.files import replace_file
from localcloud.functions.logs import host_log
from localcloud.functions.settings import load_host_options, load_local_settings
from localcloud.functions.storage import Storage
from localcloud.functions.watching import Snapshot, snapshot
from localcloud.postgres import PostgresError
from localcloud.process import PREFIX, bind
from localcloud.state import StateError, StateFolder
from localcloud.storage import azurite
from localcloud.supervisor import StartError

_POLL_S = 0.1
_LOOK_EVERY_S = 0.5
_GRACE_S = 5.0
_LAST_WORD_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_LAUNCHER = ROOT / "localcloud" / "launch.py"
_STORAGE_ERRORS = (StateError, StartError, PostgresError, psycopg.Error)


class _Worker:
    """One run of the app: a process that serves on the session's sockets."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.served = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(PREFIX):
                self.served = True
            if not sys.stdout.isatty():
                sys.stdout.write(line)
                sys.stdout.flush()

    def end(self) -> None:
        """Let it drain, then end it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_GRACE_S + _LAST_WORD_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join()


class Session:
    """What `functions start` runs."""

    def __init__(
        self,
        script_root: Path,
        *,
        state: Path,
        port: int,
        only: tuple[str, ...],
        require_keys: bool,
        reload: bool,
    ) -> None:
        self._script_root, self._state, self._port = script_root, state, port
        self._only, self._require_keys, self._reload = only, require_keys, reload
        self._stop = threading.Event()
        self._cloud_state = Path(os.environ.get("LOCALCLOUD_STATE") or DEFAULT_STATE)
        self._cloud = StateFolder(self._cloud_state).running()
        self._storage = Storage(state, script_root, self._cloud)
        self._needs = set[int]()
        """The exit codes of a host that lacked something, which is given to those that follow."""

    def run(self) -> int:
        """Run until a signal; the exit code. ClickException when it cannot even begin."""
        logs.configure(logs.LogLevels({"default": "Information"}), style="terminal")
        logging.getLogger("localcloud").setLevel(logging.INFO)
        self._heed_signals()
        try:
            _make_private(self._state)
            listeners = bind("127.0.0.1", self._port), bind("127.0.0.1", 0)
        except OSError as error:
            raise click.ClickException(
                f"port {self._port} or {self._state} cannot be used: {error.strerror}"
            ) from error
        try:
            return self._serve(listeners)
        finally:
            self._storage.stop()

    def _heed_signals(self) -> None:
        def note(_number: int, _frame: object) -> None:
            if self._stop.is_set():
                os._exit(1)
            self._stop.set()

        signal.signal(signal.SIGINT, note)
        signal.signal(signal.SIGTERM, note)

    def _serve(self, listeners: tuple[socket.socket, socket.socket]) -> int:
        pause_s = _FIRST_PAUSE_S
        self._needs |= {NEEDS_STORE} if self._storage.has_database() else set()
        self._needs |= {NEEDS_ACCOUNT} if self._storage.has_emulator() else set()
        while True:
            seen = snapshot(self._script_root)
            try:
                worker = self._spawn(listeners)
            except StartRefused as refusal:
                host_log.error("%s", refusal)
                ended: int | None = 1
                served = False
            else:
                ended = self._watch(worker, seen)
                worker.end()
                served = worker.served
            if self._stop.is_set():
                return 0
            if ended is None:
                host_log.info("The app has changed: starting it anew")
            elif ended in {NEEDS_STORE, NEEDS_ACCOUNT} - self._needs:
                self._needs.add(ended)
            elif served:
                host_log.error("The app's process ended (exit code %d): starting it again", ended)
                self._stop.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            elif not self._reload or not self._wait_for_change(seen):
                return 0 if self._stop.is_set() else 1

    def _spawn(self, listeners: tuple[socket.socket, socket.socket]) -> _Worker:
        """Start the app's process. StartRefused when its settings or its stores forbid it."""
        environ = dict(os.environ)
        load_local_settings(self._script_root, environ)
        if self._cloud is not None:
            for name, value in self._cloud.environment.items():
                environ[name] = environ.get(name) or value
        try:
            self._give_stores(environ)
        except _STORAGE_ERRORS as error:
            raise StartRefused(f"what the app needs cannot be started: {error}") from error
        descriptors = [listener.fileno() for listener in listeners]
        search = os.pathsep.join(filter(None, [str(ROOT), environ.get("PYTHONPATH")]))
        # A session of its own: Ctrl-C reaches this process, which lets the app drain.
        process = subprocess.Popen(  # noqa: S603 - our own module
            [*_tied(), sys.executable, "-m", "localcloud.functions", *self._options(descriptors)],
            env=environ | {"PYTHONPATH": search},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=descriptors,
            start_new_session=True,
        )
        return _Worker(process)

    def _give_stores(self, environ: dict[str, str]) -> None:
        if NEEDS_STORE in self._needs and not environ.get(DSN_SETTING):
            hub = load_host_options(self._script_root, environ).durable.hub_name
            environ[DSN_SETTING] = self._storage.dsn(hub, self._cloud_state)
        if NEEDS_ACCOUNT in self._needs:
            account = self._storage.account()
            environ[HOST_ACCOUNT] = environ.get(HOST_ACCOUNT) or account
            for name, value in environ.items():
                if value.strip().rstrip(";") == azurite.DEVELOPMENT:
                    environ[name] = account

    def _options(self, descriptors: list[int]) -> list[str]:
        options = ["--script-root", str(self._script_root), "--state", str(self._state)]
        options += ["--listeners", ",".join(map(str, descriptors)), "--log-format", "terminal"]
        options += ["--require-keys" if self._require_keys else "--no-require-keys"]
        options += ["--grace-s", str(_GRACE_S)]
        options += [] if NEEDS_ACCOUNT in self._needs else ["--emulator-at-hand"]
        return options + [word for name in self._only for word in ("--function", name)]

    def _watch(self, worker: _Worker, seen: Snapshot) -> int | None:
        """Wait for a change (None), a signal (also None), or the process's end (its exit code)."""
        look_at = time.monotonic() + _LOOK_EVERY_S
        while not self._stop.wait(_POLL_S):
            code = worker.process.poll()
            if code is not None:
                return code
            if self._reload and time.monotonic() > look_at:
                if snapshot(self._script_root) != seen:
                    return None
                look_at = time.monotonic() + _LOOK_EVERY_S
        return None

    def _wait_for_change(self, seen: Snapshot) -> bool:
        """True once the app's files differ; False when a signal came first."""
        host_log.info("Waiting for a change of the app; Ctrl-C ends")
        while not self._stop.wait(_LOOK_EVERY_S):
            if snapshot(self._script_root) != seen:
                return True
        return False


def _tied() -> list[str]:
    """What lets the process that follows end with this one, however that ends."""
    number = str(signal.SIGKILL.value)
    return [sys.executable, "-I", "-S", str(_LAUNCHER), number, "", str(os.getpid()), "--"]


def _make_private(state: Path) -> None:
    state.mkdir(parents=True, exist_ok=True)
    ignored = state / ".gitignore"
    if not ignored.exists():
        replace_file(ignored, "*\n")
