"""Keeps the app running: a process of it that dies is started anew, on the same listening sockets.

A function may end its process: by `os._exit`, by a fault in native code, by taking all memory. The
guard is that process's parent. It loads nothing of the app and so does not die with it.
"""

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from typing import NoReturn, Protocol

from localcloud.functions.errors import RECYCLE
from localcloud.launch import die_with

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_SETTLED_S = 10.0
_LOOK_S = 0.01
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Life:
    """One run of one process of the app: `number` counts the `processes` from 0.

    `ended` says how the run before it ended, empty for the first.
    """

    number: int
    processes: int
    ended: str

    @property
    def completes(self) -> bool:
        """Whether the app serves, for the first time, once this process does."""
        return not self.ended and self.number == self.processes - 1


class Serve(Protocol):
    """Runs the app until it is drained; returns the exit code of its process.

    `announce` is to be called once it serves.
    """

    def __call__(self, life: Life, *, announce: Callable[[], None]) -> int: ...


@dataclass(slots=True)
class _Post:
    """One of the app's processes, whoever fills it. `due` is of the monotonic clock."""

    pid: int = 0
    started: float = 0.0
    ended: str = ""
    pause_s: float = 0.0
    due: float = 0.0


class Guard:
    """The parent of the app's processes, which share the listening sockets."""

    def __init__(self, serve: Serve, processes: int = 1) -> None:
        self._serve = serve
        self._posts = [_Post() for _ in range(processes)]
        self._served = mmap(-1, processes)  # shared with the processes that are forked
        self._stopping = False
        self._code = 0
        self._news = threading.Event()

    def run(self) -> int:
        """Serve until a signal, which is handed on; the exit code.

        What ends before it ever served is not started again: that is the author's to mend.
        """
        for number in _SIGNALS:
            signal.signal(number, self._hand_on)
        signal.signal(signal.SIGCHLD, lambda *_: self._news.set())
        while True:
            if not self._stopping:
                self._fill()
            elif not any(post.pid for post in self._posts):
                return self._code
            self._news.wait(self._until_next())
            self._news.clear()
            self._bury()

    def _until_next(self) -> float | None:
        vacant = [post.due for post in self._posts if not post.pid]
        if self._stopping or not vacant:
            return None
        return max(min(vacant) - time.monotonic(), 0.0)

    def _fill(self) -> None:
        for number, post in enumerate(self._posts):
            if not post.pid and post.due <= time.monotonic():
                self._begin(number, post)

    def _begin(self, number: int, post: _Post) -> None:
        parent = os.getpid()
        # Nothing is to reach the child before it has its own ways with signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        post.started = time.monotonic()
        post.pid = os.fork()
        if post.pid == 0:
            self._be_the_app(parent, Life(number, len(self._posts), post.ended))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _be_the_app(self, parent: int, life: Life) -> NoReturn:
        code = 1
        try:
            for number in (*_SIGNALS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            die_with(parent, signal.SIGKILL)
            self._await_predecessor(life)
            code = self._serve(life, announce=lambda: self._announce(life.number))
        except Exception:  # noqa: BLE001 - told here: further up is the guard's code, not ours
            traceback.print_exc()
        finally:
            # A thread of a sync function that outlived its time must not keep the process alive.
            os._exit(code)

    def _await_predecessor(self, life: Life) -> None:
        """One after the other at first: the first one makes keys and tables for all."""
        while not life.ended and life.number and not self._served[life.number - 1]:
            time.sleep(_LOOK_S)

    def _announce(self, number: int) -> None:
        self._served[number] = 1

    def _bury(self) -> None:
        """Note which processes have ended, and how."""
        for number, post in enumerate(self._posts):
            if not post.pid:
                continue
            pid, status = os.waitpid(post.pid, os.WNOHANG)
            if pid:
                post.pid = 0
                self._note(number, post, os.waitstatus_to_exitcode(status))

    def _note(self, number: int, post: _Post, code: int) -> None:
        if self._stopping or not self._served[number]:
            self._code = self._code or (code if code >= 0 else 128 - code)
            if not self._stopping:
                self._stop(signal.SIGTERM)
            return
        if time.monotonic() - post.started > _SETTLED_S:
            post.pause_s = 0.0
        post.ended = _ending(code)
        post.due = time.monotonic() + (0.0 if code == RECYCLE else post.pause_s)
        post.pause_s = min(max(post.pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    def _hand_on(self, number: int, _frame: object) -> None:
        self._stop(number)
        self._news.set()

    def _stop(self, number: int) -> None:
        self._stopping = True
        for post in self._posts:
            if post.pid:
                os.kill(post.pid, number)


def _ending(code: int) -> str:
    if code == RECYCLE:
        return "was recycled"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"exited with code {code} (0x{code:X})"
