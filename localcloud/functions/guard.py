"""Keeps the app running: its process is started anew when it dies, on the same listening sockets.

A function may end its process: by `os._exit`, by a fault in native code, by taking all memory. The
guard is that process's parent. It loads nothing of the app and so does not die with it.
"""

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from mmap import mmap
from typing import NoReturn, Protocol

from localcloud.functions.errors import RECYCLE
from localcloud.launch import die_with

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_SETTLED_S = 10.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Serve(Protocol):
    """Runs the app until it is drained; returns the exit code of its process.

    `announce` is to be called once it serves. It is the first to do so unless `ended` says how the
    process before this one ended.
    """

    def __call__(self, *, announce: Callable[[], None], ended: str) -> int: ...


class Guard:
    """The parent of the app's process."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._served = mmap(-1, 1)  # shared with the processes that are forked
        self._child = 0
        self._asked: int | None = None
        self._stop = threading.Event()

    def run(self) -> int:
        """Serve until a signal, which is handed on; the exit code.

        What ends before it ever served is not started again: that is the author's to mend.
        """
        for number in _SIGNALS:
            signal.signal(number, self._hand_on)
        ended, pause_s = "", 0.0
        while True:
            started = time.monotonic()
            code = self._life(ended)
            if self._stop.is_set() or not self._served[0]:
                return code if code >= 0 else 128 - code
            if time.monotonic() - started > _SETTLED_S:
                pause_s = 0.0
            ended = _ending(code)
            if self._stop.wait(0.0 if code == RECYCLE else pause_s):
                return 0
            pause_s = min(max(pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    def _life(self, ended: str) -> int:
        """Run one process of the app to its end; its exit code, negative for a signal."""
        parent = os.getpid()
        # Nothing is to reach the child before it has its own ways with signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._child = os.fork()
        if self._child == 0:
            self._be_the_app(parent, ended)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status)

    def _be_the_app(self, parent: int, ended: str) -> NoReturn:
        code = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            die_with(parent, signal.SIGKILL)
            code = self._serve(announce=self._announce, ended=ended)
        except Exception:  # noqa: BLE001 - told here: further up is the guard's code, not ours
            traceback.print_exc()
        finally:
            # A thread of a sync function that outlived its time must not keep the process alive.
            os._exit(code)

    def _announce(self) -> None:
        self._served[0] = 1

    def _hand_on(self, number: int, _frame: object) -> None:
        self._stop.set()
        if self._child:
            os.kill(self._child, number)


def _ending(code: int) -> str:
    if code == RECYCLE:
        return "was recycled"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"exited with code {code} (0x{code:X})"
