"""Keeps the app running: a process of it that dies is started anew, on the same listening sockets.

A function may end its process: by `os._exit`, by a fault in native code, by taking all memory. The
guard is that process's parent. It loads nothing of the app and so does not die with it.
"""

import os
import selectors
import signal
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from typing import NoReturn, Protocol

from localcloud.functions.errors import RECYCLE
from localcloud.functions.lifelines import HeldConnections, Lifelines
from localcloud.launch import die_with

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_SETTLED_S = 10.0
_LOOK_S = 0.01
_WAKE_BYTES = 4096
# Of all processes together: well below the usual limit of open files.
_HELD_AT_MOST = 500
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

    `announce` is to be called once it serves; `lifelines` take the connections of its callers.
    """

    def __call__(
        self, life: Life, *, announce: Callable[[], None], lifelines: Lifelines
    ) -> int: ...


@dataclass(slots=True)
class _Post:
    """One of the app's processes, whoever fills it. `due` is of the monotonic clock."""

    pid: int = 0
    started: float = 0.0
    ended: str = ""
    pause_s: float = 0.0
    due: float = 0.0
    held: HeldConnections | None = None


class Guard:
    """The parent of the app's processes, which share the listening sockets."""

    def __init__(self, serve: Serve, processes: int = 1) -> None:
        self._serve = serve
        self._posts = [_Post() for _ in range(processes)]
        self._served = mmap(-1, processes)  # shared with the processes that are forked
        self._stopping = False
        self._code = 0
        self._woken, self._waking = socket.socketpair()
        self._waking.setblocking(False)
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Serve until a signal, which is handed on; the exit code.

        What ends before it ever served is not started again: that is the author's to mend.
        """
        for number in _SIGNALS:
            signal.signal(number, self._hand_on)
        # Every signal, also that a child has ended, wakes the guard from its waiting.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        while True:
            if not self._stopping:
                self._fill()
            elif not any(post.pid for post in self._posts):
                return self._code
            self._attend(self._until_next())
            self._bury()

    def _attend(self, within_s: float | None) -> None:
        """Wait for news of the processes; hold the connections that they tell of meanwhile."""
        for key, _ in self._selector.select(within_s):
            if key.fileobj is self._woken:
                self._woken.recv(_WAKE_BYTES)
            elif not key.data.attend():
                self._selector.unregister(key.fileobj)

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
        post.held = HeldConnections(_HELD_AT_MOST // len(self._posts))
        post.pid = os.fork()
        if post.pid == 0:
            self._be_the_app(parent, Life(number, len(self._posts), post.ended))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        post.held.for_the_guard()
        self._selector.register(post.held.channel, selectors.EVENT_READ, post.held)

    def _be_the_app(self, parent: int, life: Life) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (*_SIGNALS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            die_with(parent, signal.SIGKILL)
            lifelines = self._lifelines(life.number)
            self._await_predecessor(life)
            code = self._serve(
                life, announce=lambda: self._announce(life.number), lifelines=lifelines
            )
        except Exception:  # noqa: BLE001 - told here: further up is the guard's code, not ours
            traceback.print_exc()
        finally:
            # A thread of a sync function that outlived its time must not keep the process alive.
            os._exit(code)

    def _lifelines(self, number: int) -> Lifelines:
        """This process's; what the guard holds for the others is none of its business."""
        for other, post in enumerate(self._posts):
            if post.held is not None and other != number:
                post.held.forget()
        held = self._posts[number].held
        assert held is not None, "it was made before the fork"
        return held.for_the_app()

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
                self._answer_for(post)
                self._note(number, post, os.waitstatus_to_exitcode(status))

    def _answer_for(self, post: _Post) -> None:
        """Tell those who wait for the process that is gone."""
        assert post.held is not None, "it was made when the process began"
        if post.held.channel in {key.fileobj for key in self._selector.get_map().values()}:
            self._selector.unregister(post.held.channel)
        post.held.answer()
        post.held = None

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
